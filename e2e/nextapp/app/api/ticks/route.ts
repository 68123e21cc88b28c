import { currentUser } from "@/lib/vestibule";

const EVERY = 300; // ms
const HEIGHTS = ["2.1 m", "2.2 m", "2.4 m", "2.7 m", "3.0 m"];

export async function GET() {
  if ((await currentUser()) === null) return new Response("Unauthorized", { status: 401 });
  const text = new TextEncoder();
  let timer: NodeJS.Timeout;
  const stream = new ReadableStream({
    start(controller) {
      let next = 0;
      timer = setInterval(() => {
        if (next < HEIGHTS.length) return controller.enqueue(text.encode(`data: ${HEIGHTS[next++]}\n\n`));
        clearInterval(timer);
        controller.enqueue(text.encode("event: end\ndata:\n\n"));
        controller.close();
      }, EVERY);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(stream, { headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" } });
}
