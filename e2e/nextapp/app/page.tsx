import { Bar } from "@/components/bar";
import { currentUser } from "@/lib/vestibule";

export default async function Home() {
  const user = await currentUser();
  return (
    <>
      <Bar user={user} />
      <main className="hero">
        <p className="eyebrow">Harbour office</p>
        <h1>Who is coming in, who is going out, and when the water is high.</h1>
        <p>The board is open to everybody who works on the quay. Sign in to write on it.</p>
        {user ? <a className="button" href="/dashboard">Go to today&rsquo;s board</a> : <a className="button" href="/login?returnTo=/dashboard">Sign in</a>}
      </main>
    </>
  );
}
