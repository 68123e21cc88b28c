import { Bar } from "@/components/bar";
import { Chat } from "@/components/chat";
import { channelsOf, type Query } from "@/lib/channels";
import { requireUser } from "@/lib/vestibule";

// The endpoint reaches the browser from here, at run time: one build serves every stage. NEXT_PUBLIC_ names are fixed at build.
export default async function ChatPage({ searchParams }: { searchParams: Query }) {
  const user = await requireUser("/chat");
  return (
    <>
      <Bar user={user} />
      <main>
        <Chat endpoint={process.env.EVENTS_ENDPOINT ?? ""} name={user.email} channels={await channelsOf(searchParams)} />
      </main>
    </>
  );
}
