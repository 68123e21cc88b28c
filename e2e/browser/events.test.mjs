// The server's word that a session has ended, as it reaches pages that use the browser helper: whoever ended it, wherever, in every tab.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { freePorts, start } from "../wirings/support/processes.mjs";
import { startBackdrop, startVestibule } from "../wirings/support/servers.mjs";
import { launch, visitor } from "./support/browser.mjs";
import { bruno, getToken, listen, load, locks, reasons, tab } from "./support/client.mjs";
import { startDemo } from "./support/demo.mjs";
import { fillIn, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();
const EVENTS = "/api/auth/events";
const SESSION = "/api/auth/session";

// openSocket gives the page a thing to be closed, and notes when that was.
const openSocket = (page) =>
  page.evaluate(() => {
    globalThis.closedAt = 0;
    globalThis.client.closeOnSignOut({ close: () => (globalThis.closedAt = Date.now()) });
  });

// closedAfter gives the time between a moment and the close, in ms.
async function closedAfter(page, at) {
  await page.waitForFunction(() => globalThis.closedAt);
  return (await page.evaluate(() => globalThis.closedAt)) - at;
}

// noted collects the requests of a path that this browser sends from now on: streams are such as open one.
function noted(context, path) {
  const requests = [];
  context.on("request", (request) => {
    if (new URL(request.url()).pathname === path) requests.push(request.url());
  });
  return requests;
}
const streams = (context) => noted(context, EVENTS);
const sessions = (context) => noted(context, SESSION);

// listening resolves once a stream is open in this browser.
const listening = (context) => context.waitForEvent("response", (response) => response.url().endsWith(EVENTS) && response.ok());

person("a plain form signs out, and the sockets of all other tabs are closed within a second", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(SESSION);
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`); // no helper runs there
  const opened = listening(context);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  for (const each of [one, other]) {
    await getToken(each);
    await openSocket(each);
  }
  await listen(other);
  await opened;
  const at = Date.now();
  await page.evaluate(() => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/api/auth/sign-out";
    document.body.append(form);
    form.submit();
  });
  for (const each of [one, other]) {
    const took = await closedAfter(each, at);
    assert.ok(took < 1000, `closed after ${took} ms`);
  }
  assert.deepEqual(await reasons(other, 1), ["expired"]);
});

person("nobody listens who has nothing to lose", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`);
  const opened = streams(context);
  const idle = await tab(context, demo);
  await getToken(idle);
  assert.equal(opened.length, 0);
  const heard = listening(context);
  await listen(idle);
  await heard;
  await idle.evaluate(() => globalThis.forget());
  await locks(idle, ({ held }) => held.length === 0);
  assert.equal(opened.length, 1);
});

person("a page that only has something to close asks whose session that lives on, and listens", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(SESSION);
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`);
  await context.clock.install();
  const one = await tab(context, demo);
  const asked = sessions(context);
  await openSocket(one);
  await openSocket(one);
  const heard = listening(context);
  await context.clock.fastForward(5100);
  await heard;
  assert.equal(asked.length, 1);
  await context.clock.fastForward(300_000);
  const at = await one.evaluate(() => Date.now());
  await context.request.post(`${demo.origin}/api/auth/sign-out`, { maxRedirects: 0 });
  const took = await closedAfter(one, at);
  assert.ok(took < 1000, `closed after ${took} ms`);
  assert.equal(asked.length, 2, "once at the start, once at the end");
});

person("where nobody is signed in, nobody listens, and what was opened is closed", async ({ context, demo, expectRefusals }) => {
  expectRefusals(SESSION);
  await context.clock.install();
  const opened = streams(context);
  const stranger = await tab(context, demo);
  const asked = sessions(context);
  let fails = 1; // an answer that says nothing is not the last
  await context.route(`**${SESSION}`, (route) => (fails-- > 0 ? route.fulfill({ status: 503, json: {} }) : route.continue()));
  await openSocket(stranger);
  const failed = stranger.waitForResponse((response) => response.url().endsWith(SESSION));
  await context.clock.fastForward(5100);
  assert.equal((await failed).status(), 503);
  const refused = stranger.waitForResponse((response) => response.url().endsWith(SESSION) && response.status() === 401);
  await stranger.evaluate(() => new Promise((done) => setTimeout(done))); // what has arrived is read
  await context.clock.fastForward(5100);
  await refused;
  await stranger.waitForFunction(() => globalThis.closedAt);
  await context.clock.fastForward(60_000);
  assert.equal(asked.length, 2);
  assert.deepEqual(opened, []);
});

person("a page whose links have another base listens at its own origin", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`);
  const one = await tab(context, demo);
  await one.evaluate(() => {
    document.head.append(Object.assign(document.createElement("base"), { href: "https://elsewhere.example/" }));
  });
  await getToken(one);
  const heard = listening(context);
  await listen(one);
  assert.equal((await heard).url(), demo.origin + EVENTS);
});

person("seven tabs have one stream, and each its answers", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`);
  const opened = streams(context);
  const heard = listening(context);
  const tabs = [];
  for (let n = 0; n < 7; n++) {
    const one = await tab(context, demo);
    await getToken(one);
    await openSocket(one);
    tabs.push(one);
  }
  await heard;
  assert.equal(opened.length, 1);
  const users = await Promise.all(tabs.map((one) => one.evaluate(() => globalThis.client.session().then(({ user }) => user.email))));
  assert.deepEqual(users, Array(7).fill("alice@example.com"));
  const next = listening(context);
  await tabs[0].close(); // it was the one that listened: another takes its place
  await next;
  assert.equal(opened.length, 2);
});

person("somebody else signs in, in the same browser: a page of the first is told whose session it is now", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const heard = listening(context);
  const old = await tab(context, demo, { tokenPath: "/api/cognito-token?alone" });
  await getToken(old);
  await listen(old);
  await heard;
  // Signed in without a sign-out before it: the session is replaced.
  await page.goto(`${demo.origin}/api/auth/sign-in?prompt=login`);
  await fillIn(page, bruno);
  await page.waitForURL(`${demo.origin}/`);
  assert.deepEqual(await reasons(old, 1), ["other-user"]);
});

person("a server that refuses the stream is asked again, seldom, and ends nothing", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(EVENTS);
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`);
  await context.clock.install();
  let asked = 0;
  await context.route(`**${EVENTS}`, (route) => (asked++ ? route.continue() : route.fulfill({ status: 503, json: {} })));
  const one = await tab(context, demo);
  await getToken(one);
  const looked = one.waitForResponse((response) => response.url().endsWith(SESSION));
  await listen(one);
  await looked; // the refusal may mean that the session is over
  await context.clock.fastForward(50_000);
  await one.evaluate(() => globalThis.client.session());
  assert.equal(asked, 1);
  const heard = listening(context);
  await context.clock.fastForward(71_000); // the pause is of one to two minutes
  await heard;
  assert.deepEqual(await reasons(one, 0), []);
});

test("a page that listens is kept for the back button, and listens again when it comes back", { timeout: 90_000 }, async (t) => {
  const [demo, browser] = await Promise.all([startDemo(), launch({ whole: true, ignoreDefaultArgs: ["--disable-back-forward-cache"] })]);
  t.after(() => Promise.all([demo.stop(), browser.close()]));
  const { page, context, expectRefusals, check } = await visitor(browser);
  expectRefusals(SESSION);
  await signIn(page, demo);
  const heard = listening(context);
  await load(page, demo);
  await getToken(page);
  await listen(page);
  await heard;
  await page.evaluate(() => {
    globalThis.back = new Promise((done) => addEventListener("pageshow", ({ persisted }) => done(persisted)));
  });
  await page.goto("about:blank");
  const again = listening(context);
  await page.goBack({ waitUntil: "commit" });
  assert.equal(await page.evaluate(() => globalThis.back), true, "it was loaded anew");
  await again;
  await context.request.post(`${demo.origin}/api/auth/sign-out`, { maxRedirects: 0 });
  assert.deepEqual(await reasons(page, 1), ["expired"]);
  check();
});

// Two replicas that share nothing but their keys and a Redis.
let replicas;
before(async () => {
  const [redisPort, ...ports] = await freePorts(3);
  const origins = ports.map((port) => `http://localhost:${port}`);
  const parts = [];
  const add = async (part) => {
    parts.push(part);
    return part;
  };
  const redis = await start({
    name: "redis-server", command: "redis-server", args: ["--port", String(redisPort), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    ready: (said) => said.includes("Ready to accept connections"),
  });
  await add(redis);
  const backdrop = await startBackdrop({ origins });
  await add(backdrop);
  const key = randomBytes(32).toString("base64");
  const settings = { "session.keys": key, "cache.url": `redis://127.0.0.1:${redisPort}` };
  for (const [n, port] of ports.entries()) await add(await startVestibule({ port, origin: origins[n], backdrop, settings }));
  replicas = { origins, stop: async () => { for (const part of parts.reverse()) await part.stop(); } };
});
after(() => replicas?.stop());

test("a sign-out of all devices closes the sockets of another browser, at another replica, within a second", { timeout: 90_000 }, async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const visits = [];
  for (const origin of replicas.origins) {
    const visit = await visitor(browser);
    visits.push(visit);
    await visit.page.goto(`${origin}/api/auth/sign-in?returnTo=/login`);
    await fillIn(visit.page);
    await visit.page.waitForURL(`${origin}/login`);
  }
  const [here, there] = visits;
  there.expectRefusals(SESSION);
  const heard = listening(there.context);
  const one = await tab(there.context, { origin: replicas.origins[1] });
  await getToken(one);
  await openSocket(one);
  await heard;
  const at = Date.now();
  await here.context.request.post(`${replicas.origins[0]}/api/auth/sign-out`, { form: { everywhere: "true" }, maxRedirects: 0 });
  const took = await closedAfter(one, at);
  t.diagnostic(`closed after ${took} ms`);
  assert.ok(took < 1000, `closed after ${took} ms`);
  for (const visit of visits) visit.check();
});
