import { Bar } from "@/components/bar";
import { bearer, requireUser } from "@/lib/vestibule";
import { notesOf } from "@/lib/board";
import { leaveNote } from "./notes";

export default async function Dashboard() {
  const user = await requireUser("/dashboard");
  const notes = notesOf(user.sub);
  return (
    <>
      <Bar user={user} />
      <main>
        <h1>Good day, {user.email.split("@")[0]}</h1>
        <div className="columns">
          <section className="card" aria-labelledby="identity">
            <h2 id="identity">What this server was told</h2>
            <dl>
              <dt>E-mail</dt>
              <dd data-testid="email">{user.email}</dd>
              <dt>Subject</dt>
              <dd data-testid="sub">{user.sub}</dd>
              <dt>Username</dt>
              <dd>{user.username}</dd>
              <dt>Groups</dt>
              <dd data-testid="groups">{user.groups.join(", ") || "none"}</dd>
              <dt>Token for APIs</dt>
              <dd data-testid="token">{describe(await bearer())}</dd>
            </dl>
          </section>
          <section className="card" aria-labelledby="notes">
            <h2 id="notes">Notes on the board</h2>
            <ul data-testid="notes">
              {notes.map((note, i) => <li key={i}>{note}</li>)}
              {notes.length === 0 && <li className="none">Nothing is pinned yet.</li>}
            </ul>
            <form action={leaveNote} className="line">
              <span className="field wide">
                <label htmlFor="note">Note</label>
                <input id="note" name="note" maxLength={200} required autoComplete="off" />
              </span>
              <button>Pin it</button>
            </form>
          </section>
        </div>
      </main>
    </>
  );
}

// describe tells how much life the token had when this page was made; never the token.
function describe(token: string | null): string {
  if (token === null) return "asked for by the browser when it needs one";
  const { iat, exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
  return `issued ${iat}, ${exp - Math.floor(Date.now() / 1000)} s left`;
}
