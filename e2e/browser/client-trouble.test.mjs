// The browser helper in trouble: outages, dying and hanging tabs, browsers that lack what it builds on.

import assert from "node:assert/strict";
import { answerTokens, craft, deaf, getToken, listen, load, questions, reasons, stay, tab, TOKEN_PATH, waiting } from "./support/client.mjs";
import { signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();
const SESSION_PATH = "/api/auth/session";
const unavailable = (retryAfter, message) => ({ name: "UnavailableError", retryAfter, message });

// answerAllButFirst leaves the first question without an answer; arrived resolves when it is there.
async function answerAllButFirst(context) {
  let asked = 0;
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  await answerTokens(context, (route) => (++asked > 1 ? route.continue() : arrive()));
  return { arrived, count: () => asked };
}

person("the provider is down: a living token serves, a dead one is a 503 with a time, and nobody is signed out", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH);
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`); // no helper runs there: what it met, this tab would hear of
  await context.clock.install();
  const one = await tab(context, demo);
  await listen(one);
  const token = await getToken(one);
  await demo.faults({ token: { status: 503 } });
  try {
    assert.equal(await getToken(one, { forceRefresh: true }), token, "our server serves the living token");
    await answerTokens(context, { status: 503, headers: { "Retry-After": "2" }, json: { error: "Service Unavailable" } });
    await context.clock.fastForward(31_000);
    assert.equal(await getToken(one), token, "and so does the page where the server has none");
    const asked = questions(context);
    assert.deepEqual([await getToken(one), await getToken(one, { forceRefresh: true }), asked], [token, token, []], "nothing is asked in the meantime");
    await context.clock.fastForward(30_000);
    assert.deepEqual(await getToken(one), unavailable(2, "status 503"));
    assert.deepEqual([await getToken(one), asked.length], [unavailable(2, "status 503"), 1]);
  } finally {
    await demo.faults({});
  }
  await answerTokens(context);
  await context.clock.fastForward(2100);
  assert.equal(typeof (await getToken(one)), "string");
  assert.deepEqual(await reasons(one, 0), []);
});

person("an outage that one tab meets is known to those that wait for it", async ({ context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH);
  const tabs = [await tab(context, demo), await tab(context, demo), await tab(context, demo)];
  const asked = questions(context);
  await answerTokens(context, async (route) => {
    await waiting(tabs[0], 2);
    await route.fulfill({ status: 503, headers: { "Retry-After": "30" }, json: {} });
  });
  const answers = await Promise.all(tabs.map((each) => getToken(each)));
  assert.deepEqual(new Set(answers.map(({ name, retryAfter }) => `${name} ${retryAfter}`)), new Set(["UnavailableError 30"]));
  assert.equal(asked.length, 1);
});

person("where the session cannot be asked after, tokens come as before", async ({ context, demo, expectRefusals }) => {
  expectRefusals(SESSION_PATH, TOKEN_PATH);
  await deaf(context);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await listen(one);
  for (const [status, name] of [[403, "ForbiddenError"], [404, "UnavailableError"], [503, "UnavailableError"]]) {
    await context.unroute(`**${SESSION_PATH}`);
    await context.route(`**${SESSION_PATH}`, (route) => route.fulfill({ status, json: {} }));
    await answerTokens(context, { json: { accessToken: craft({ sub: "a", status }), expiresIn: 60 } });
    assert.equal(await one.evaluate(() => globalThis.client.session().catch((error) => error.name)), name);
    assert.equal(await getToken(other, { forceRefresh: true }), craft({ sub: "a", status }));
    assert.equal(await getToken(one), craft({ sub: "a", status }));
  }
  await answerTokens(context, { status: 403, json: {} });
  assert.equal((await getToken(one, { forceRefresh: true })).split(".").length, 3, "the one held is given, whatever forbids another");
  assert.deepEqual(await reasons(one, 0), []);
});

for (const [fault, stop] of [
  ["is stopped", (page) => page.evaluate(() => window.stop())],
  ["leaves its page", (page, demo) => page.goto(`${demo.origin}/login`)],
]) {
  person(`the tab that asks ${fault}: the others take that for no outage`, async ({ page, context, demo }) => {
    await signIn(page, demo);
    const [one, other, third] = [await tab(context, demo), await tab(context, demo), await tab(context, demo)];
    const { arrived, count } = await answerAllButFirst(context);
    getToken(one).catch(() => {}); // it fails, or never comes back
    await arrived;
    const tokens = [getToken(other), getToken(third)];
    await waiting(other, 2);
    await stop(one, demo);
    const [token, same] = await Promise.all(tokens);
    assert.deepEqual([token.split?.(".").length, same === token, count()], [3, true, 2]);
  });
}

person("an answer that takes longer than its token lives is asked for once, and taken as it is", async ({ context, demo }) => {
  await context.clock.install();
  const page = await tab(context, demo);
  const asked = questions(context);
  await answerTokens(context, async (route) => {
    await context.clock.fastForward(3000);
    await route.fulfill({ json: { accessToken: craft({ sub: "a", at: asked.length }), expiresIn: 2 } });
  });
  assert.equal(await getToken(page), craft({ sub: "a", at: 1 }));
  assert.equal(asked.length, 1);
  assert.equal(await getToken(page, { forceRefresh: true }), craft({ sub: "a", at: 2 }));
  assert.equal(asked.length, 2);
});

person("whatever is no answer is an outage, never a sign-out; 403 is a fault of its own", async ({ context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH);
  const page = await tab(context, demo);
  const nothing = unavailable(5, "no usable answer");
  const refused = { name: "ForbiddenError", message: "status 403" };
  const token = { accessToken: craft({ sub: "a" }), expiresIn: 60 };
  for (const [answer, want] of [
    [(route) => route.abort(), nothing],
    [{ contentType: "text/html", body: "<h1>Sign in</h1>" }, nothing],
    [{ json: null }, nothing],
    [{ json: { ...token, accessToken: undefined } }, nothing],
    [{ json: { ...token, expiresIn: undefined } }, nothing],
    [{ json: { ...token, expiresIn: 0 } }, nothing],
    [{ status: 404, body: "" }, unavailable(5, "status 404")],
    [{ status: 500, body: "" }, unavailable(5, "status 500")],
    [{ status: 429, headers: { "Retry-After": "7" }, body: "" }, unavailable(7, "status 429")],
    [{ status: 503, headers: { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" }, body: "" }, unavailable(5, "status 503")],
    [{ status: 503, headers: { "Retry-After": "-3" }, body: "" }, unavailable(5, "status 503")],
    [{ status: 503, headers: { "Retry-After": "0.001" }, body: "" }, unavailable(5, "status 503")],
    [{ status: 403, json: { error: "Forbidden" } }, refused],
    [{ json: token }, token.accessToken],
  ]) {
    await answerTokens(context, answer);
    await load(page, demo); // a page without a memory
    assert.deepEqual(await getToken(page), want);
  }
}, { ignoreComplaints: /net::ERR_FAILED/ });

person("the tab that asks is closed: another asks in its place", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  const { arrived, count } = await answerAllButFirst(context);
  getToken(one).catch(() => {}); // it never comes back
  await arrived;
  const token = getToken(other);
  await waiting(other, 1);
  await one.close();
  assert.equal(typeof (await token), "string");
  assert.equal(count(), 2);
});

person("the tab that asks hangs: the others wait for ten seconds", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await context.clock.install();
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  const { arrived, count } = await answerAllButFirst(context);
  getToken(one).catch(() => {}); // it never comes back
  await arrived;
  const token = getToken(other);
  token.catch(() => {}); // where the test fails before it is awaited
  await waiting(other, 1);
  await context.clock.fastForward(5000);
  await waiting(other, 1);
  assert.equal(count(), 1);
  await context.clock.fastForward(5000);
  assert.equal(typeof (await token), "string");
});

for (const [lack, remove] of [
  ["Web Locks", () => delete Navigator.prototype.locks],
  ["BroadcastChannel", () => delete globalThis.BroadcastChannel],
  ["the right to use a channel", () => (globalThis.BroadcastChannel = class { constructor() { throw new DOMException("denied", "SecurityError"); } })],
  ["the right to use locks", () => (LockManager.prototype.request = () => Promise.reject(new DOMException("denied", "SecurityError")))],
  ["AbortSignal.timeout", () => delete AbortSignal.timeout],
]) {
  person(`without ${lack}, a tab still asks once for all its callers`, async ({ page, context, demo }) => {
    await signIn(page, demo);
    await context.addInitScript(remove);
    await load(page, demo);
    await listen(page);
    const asked = questions(context);
    const tokens = await Promise.all([getToken(page), getToken(page), getToken(page)]);
    const forced = await getToken(page, { forceRefresh: true });
    assert.deepEqual([new Set(tokens).size, typeof tokens[0], forced === tokens[0], asked.length], [1, "string", false, 2]);
    await stay(context);
    await page.evaluate(() => globalThis.client.signOut());
    assert.deepEqual(await reasons(page, 1), ["signed-out"]);
  });

  person(`without ${lack}, a page that comes back hands out no token from before`, async ({ page, context, demo, expectRefusals }) => {
    expectRefusals(TOKEN_PATH, "/api/auth/session", "/api/auth/events");
    await signIn(page, demo);
    await context.addInitScript(remove);
    await load(page, demo);
    await listen(page);
    await getToken(page);
    await context.clearCookies();
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
    assert.equal((await getToken(page)).reason, "expired");
    assert.deepEqual(await reasons(page, 1), ["expired"]);
  });
}
