// The stream of events through what stands in front (the proxies of docs/reverse-proxy, Next.js's rewrites): what the server says arrives
// when it is said.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, visitor } from "../browser/support/browser.mjs";
import { startDemo } from "../browser/support/demo.mjs";
import { signIn } from "../browser/support/steps.mjs";
import { enter } from "./support/journey.mjs";
import { freePorts } from "./support/processes.mjs";
import { startCaddy, startNginx } from "./support/proxies.mjs";
import { startWay } from "./support/ways.mjs";

let demo;
let browser;
before(async () => {
  [demo, browser] = await Promise.all([startDemo(), launch()]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

for (const [file, startProxy] of [
  ["nginx-paths.conf", startNginx],
  ["nginx-auth-request.conf", startNginx],
  ["paths.Caddyfile", startCaddy],
  ["forward-auth.Caddyfile", startCaddy],
]) {
  test(`${file} passes events on as they come`, { timeout: 60_000 }, async (t) => {
    const [port] = await freePorts(1);
    const behind = new URL(demo.origin).port;
    const proxy = await startProxy(file, { port, vestibule: behind, app: behind });
    t.after(() => proxy.stop());
    const visit = await visitor(browser);
    t.after(() => visit.close());
    await signIn(visit.page, demo);
    await passesOn(visit.context, { front: `http://localhost:${port}`, origin: demo.origin });
  });
}

test("Next.js's rewrites pass events on as they come", { timeout: 90_000 }, async (t) => {
  const way = await startWay("rewrites");
  t.after(() => way.stop());
  const visit = await visitor(browser);
  t.after(() => visit.close());
  await enter(visit.page, way, "/icon.svg");
  await passesOn(visit.context, { front: way.origin, origin: way.origin });
});

// passesOn reads a stream at the front as a browser would, which says that it takes compressed answers, until the session ends. origin is
// where the visitor signed in.
async function passesOn(context, { front, origin }) {
  const cookie = (await context.cookies(origin)).map(({ name, value }) => `${name}=${value}`).join("; ");
  const headers = { cookie, accept: "text/event-stream", "accept-encoding": "gzip, deflate, br" };
  const answer = await fetch(`${front}/api/auth/events`, { headers, signal: AbortSignal.timeout(20_000) });
  assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "text/event-stream"]);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader.read()).value, /^:\nretry: \d+\n\n$/);
  const at = Date.now();
  await context.request.post(`${origin}/api/auth/sign-out`, { maxRedirects: 0 });
  assert.equal((await reader.read()).value, 'event: session.ended\ndata: {"reason":"signed_out"}\n\n');
  const took = Date.now() - at;
  assert.ok(took < 1000, `it took ${took} ms`);
  assert.equal((await reader.read()).done, true);
}
