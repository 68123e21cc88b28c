import { Bar } from "@/components/bar";
import { Watch } from "@/components/watch";
import { channelsOf, type Query } from "@/lib/channels";
import { requireUser } from "@/lib/vestibule";

export default async function WatchPage({ searchParams }: { searchParams: Query }) {
  const user = await requireUser("/chat/watch");
  return (
    <>
      <Bar user={user} />
      <main>
        <Watch endpoint={process.env.EVENTS_ENDPOINT ?? ""} name={user.email} channels={await channelsOf(searchParams)} />
      </main>
    </>
  );
}
