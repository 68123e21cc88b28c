// The end of a session, as the browser helper notices it and says it: in every tab, once, and in time.

import assert from "node:assert/strict";
import { answerTokens, bruno, craft, deaf, getToken, listen, load, questions, reasons, say, stay, tab, TOKEN_PATH } from "./support/client.mjs";
import { signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();
const SIGNED_OUT = { name: "SignedOutError", reason: "expired", message: "not signed in: expired" };

// openThings gives the page something to be closed of each kind, and notes what happens to it in `shut`.
const openThings = (page) =>
  page.evaluate(() => {
    const { client } = globalThis;
    globalThis.shut = [];
    const socket = { close: () => globalThis.shut.push("socket") };
    if (client.closeOnSignOut(socket) !== socket) throw new Error("closeOnSignOut gave something else back");
    client.closeOnSignOut((reason) => globalThis.shut.push(reason));
  });

// ALONE is a client that hears nothing of the other pages' tokens: channels are those of one token path.
const ALONE = { tokenPath: `${TOKEN_PATH}?alone` };

const signOutPlainly = async (page, demo) => {
  await page.goto(`${demo.origin}/api/auth/sign-out`);
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
};

person("a sign-out in one tab closes the sockets of all within a second, and reaches the provider's logout", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await getToken(other);
  await Promise.all([one, other].flatMap((each) => [listen(each), openThings(each)]));
  const [asked, before] = [questions(context), await demo.stats()];
  const at = await one.evaluate(() => {
    const now = Date.now();
    globalThis.client.signOut({ returnTo: "/login" });
    return now;
  });
  assert.deepEqual(await reasons(other, 1), ["signed-out"]);
  const heard = await other.evaluate(() => globalThis.ends[0].at);
  assert.ok(heard - at < 1000, `heard after ${heard - at} ms`);
  assert.deepEqual(await other.evaluate(() => globalThis.shut), ["socket", "signed-out"]);
  assert.deepEqual(await getToken(other), { name: "SignedOutError", reason: "signed-out", message: "not signed in: signed-out" });
  assert.equal(await other.evaluate(() => globalThis.client.session()), null);
  await one.waitForURL(`${demo.origin}/login`);
  assert.deepEqual(await context.cookies(demo.origin), []);
  assert.equal((await demo.stats()).logouts - before.logouts, 1);
  assert.deepEqual(asked, [], "tokens were asked for during the sign-out");
});

person("the tab that signs out closes its own sockets first, whatever a listener of its page does", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await stay(context);
  const one = await tab(context, demo);
  const closed = await one.evaluate(async () => {
    const { client } = globalThis;
    await client.getToken();
    const faults = [];
    addEventListener("error", (event) => (faults.push(event.message), event.preventDefault()));
    const order = [];
    client.onSessionEnd(() => {
      throw new Error("a listener's fault");
    });
    const forget = client.onSessionEnd(() => order.push("forgotten"));
    forget();
    client.closeOnSignOut({ close: () => order.push("socket") });
    client.signOut();
    const now = [...order];
    client.signOut();
    client.closeOnSignOut({ close: () => order.push("late") }); // it was opened while the session ended
    await new Promise((done) => setTimeout(done));
    return { now, order, faults };
  });
  assert.deepEqual(closed, { now: ["socket"], order: ["socket", "late"], faults: ["Uncaught Error: a listener's fault"] });
});

person("a sign-out that takes its time is not undone in the other tabs", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await context.clock.install();
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await getToken(other);
  await listen(other);
  await stay(context);
  await one.evaluate(() => globalThis.client.signOut());
  assert.deepEqual(await reasons(other, 1), ["signed-out"]);
  const asked = questions(context);
  await context.clock.fastForward(19_000);
  assert.equal((await getToken(other)).reason, "signed-out");
  assert.deepEqual(asked, []);
});

person("an answer that was on its way when the session ended is not taken", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context);
  expectRefusals(TOKEN_PATH); // a machine so slow that the pause is over asks once more, and is told 401
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await listen(other);
  let release;
  const released = new Promise((done) => (release = done));
  let make;
  const made = new Promise((resolve) => (make = resolve));
  await answerTokens(context, async (route) => {
    const response = await route.fetch();
    make(response.status());
    await released;
    await route.fulfill({ response });
  });
  const answer = getToken(other);
  assert.equal(await made, 200);
  await context.request.post(`${demo.origin}/api/auth/sign-out`, { maxRedirects: 0 });
  await stay(context);
  await one.evaluate(() => globalThis.client.signOut());
  assert.deepEqual(await reasons(other, 1), ["signed-out"]);
  release();
  assert.equal((await answer).name, "SignedOutError");
});

person("what closes by a function does so at every end of a session, a thing with close() at its own", async ({ context, demo }) => {
  await deaf(context);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  const signedIn = () => ({ accessToken: craft({ sub: "a" }), life: 60, wall: Date.now(), born: Date.now() + 500 }); // later than the end before
  await openThings(one);
  await say(other, one, signedIn());
  await say(other, one, { is: "signed-out" });
  await say(other, one, { is: "signed-out" }); // told already
  assert.deepEqual(await one.evaluate(() => globalThis.shut), ["socket", "signed-out"]);
  await one.waitForFunction((since) => Date.now() > since, Date.now() + 500);
  await say(other, one, signedIn());
  await say(other, one, { is: "signed-out" });
  assert.deepEqual(await one.evaluate(() => globalThis.shut), ["socket", "signed-out", "signed-out"]);
});

person("a page of a signed-out visitor closes what it opened, and tells no listener of an end that was none", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context);
  expectRefusals("/api/auth/session");
  await context.clock.install();
  await load(page, demo);
  await listen(page);
  await openThings(page);
  const looked = page.waitForResponse(`${demo.origin}/api/auth/session`);
  await context.clock.fastForward(5000);
  assert.equal((await looked).status(), 401);
  await page.waitForFunction(() => globalThis.shut.length === 2);
  assert.deepEqual(await page.evaluate(() => [globalThis.shut, globalThis.ends]), [["socket", "expired"], []]);
});

person("a 401 is told once, in all tabs, and costs one request for five seconds", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context); // the stream, too, would meet the 401
  expectRefusals(TOKEN_PATH);
  await signIn(page, demo);
  await context.clock.install();
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  for (const each of [one, other]) await getToken(each); // both know their session, and need not look
  await Promise.all([one, other].flatMap((each) => [listen(each), openThings(each)]));
  await context.clearCookies();
  const asked = questions(context);
  await context.clock.fastForward(31_000);
  // From here on only the time passes that the test lets pass: a slow machine takes seconds for a few answers.
  const later = (ms) => Promise.all([one, other].map((each) => each.evaluate((by) => {
    globalThis.stopped ??= performance.now();
    performance.now = () => globalThis.stopped + by;
  }, ms)));
  await later(0);
  const poll = () => Promise.all([one, other].flatMap((each) => [getToken(each), getToken(each), getToken(each)]));
  assert.deepEqual(await poll(), Array(6).fill(SIGNED_OUT));
  for (const each of [one, other]) {
    assert.deepEqual(await reasons(each, 1), ["expired"]);
    assert.deepEqual(await each.evaluate(() => globalThis.shut), ["socket", "expired"]);
  }
  assert.equal(asked.length, 1);
  await later(4900);
  await poll();
  assert.equal(asked.length, 1, "within 5 s");
  await later(5100);
  await poll();
  assert.equal(asked.length, 2, "after 5 s");
  assert.deepEqual(await reasons(one, 1), ["expired"], "an end that was told is not told again");
});

person("a page that never was signed in is told nothing; a sign-in elsewhere serves it at once", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH, "/api/auth/session");
  const visitor = await tab(context, demo);
  await listen(visitor);
  assert.deepEqual(await getToken(visitor), SIGNED_OUT);
  assert.equal(await visitor.evaluate(() => globalThis.client.session()), null);
  await signIn(page, demo);
  const token = await getToken(await tab(context, demo));
  assert.equal(await getToken(visitor), token);
  assert.deepEqual(await reasons(visitor, 0), []);
  await (await tab(context, demo)).evaluate(() => globalThis.client.signOut());
  assert.deepEqual(await reasons(visitor, 1), ["signed-out"]);
});

person("another user's sign-in is noticed: the old page gives out no token, and lends the new one none", async ({ page, context, demo }) => {
  await deaf(context);
  await signIn(page, demo);
  const old = await tab(context, demo);
  const alices = await getToken(old);
  await Promise.all([listen(old), openThings(old)]);
  await signOutPlainly(page, demo); // the old page hears nothing of this
  await signIn(page, demo, bruno);
  await load(page, demo);
  const brunos = await getToken(page);
  assert.notEqual(JSON.parse(atob(brunos.split(".")[1])).sub, JSON.parse(atob(alices.split(".")[1])).sub);
  assert.deepEqual(await reasons(old, 1), ["other-user"]);
  assert.deepEqual(await old.evaluate(() => globalThis.shut), ["socket", "other-user"]);
  assert.equal((await getToken(old)).reason, "other-user");
  await say(old, page, { accessToken: alices, life: 60, wall: Date.now(), born: Date.now() - 60_000 });
  assert.equal(await getToken(page), brunos, "what an old page says does not disturb the new one");
});

person("a page that comes back to another user's session is told so, though it never asked whose it is", async ({ page, context, demo }) => {
  await deaf(context);
  await signIn(page, demo);
  const old = await tab(context, demo, ALONE);
  await getToken(old);
  await Promise.all([listen(old), openThings(old)]);
  await signOutPlainly(page, demo);
  await signIn(page, demo, bruno);
  await old.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  assert.deepEqual(await reasons(old, 1), ["other-user"]);
  assert.deepEqual(await old.evaluate(() => globalThis.shut), ["socket", "other-user"]);
  assert.equal((await getToken(old)).reason, "other-user");
});

person("a page that looks after its session notices another user, though it never asked whose it is", async ({ page, context, demo }) => {
  await deaf(context);
  await signIn(page, demo);
  await context.clock.install();
  const old = await tab(context, demo, ALONE);
  await getToken(old);
  await listen(old);
  await signOutPlainly(page, demo);
  await signIn(page, demo, bruno);
  await context.clock.fastForward(61_000);
  assert.deepEqual(await reasons(old, 1), ["other-user"]);
});

for (const [way, options, bring] of [
  ["asks for", ALONE, (old) => getToken(old)],
  ["hears of", {}, async (old, page, demo) => {
    await load(page, demo);
    await getToken(page);
  }],
]) {
  person(`a page that knows whose session it is takes no other user's token as its first, where it ${way} it`, async ({ page, context, demo }) => {
    await deaf(context);
    await signIn(page, demo);
    const old = await tab(context, demo, options);
    await old.evaluate(() => globalThis.client.session());
    await listen(old);
    await signOutPlainly(page, demo);
    await signIn(page, demo, bruno);
    await bring(old, page, demo);
    assert.deepEqual(await reasons(old, 1), ["other-user"]);
    assert.equal((await getToken(old)).reason, "other-user");
  });
}

person("a page that was rendered for a user takes nobody else's token, even its first", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await load(page, demo, { user: "somebody-else" });
  await listen(page);
  assert.equal((await getToken(page)).reason, "other-user");
  assert.deepEqual(await reasons(page, 1), ["other-user"]);
});

person("session() tells who is signed in, and notices another user, too", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await load(page, demo);
  const { user, expiresAt } = await page.evaluate(() => globalThis.client.session());
  assert.deepEqual([user.email, expiresAt > Date.now() / 1000], ["alice@example.com", true]);
  await listen(page);
  await context.route("**/api/auth/session", (route) => route.fulfill({ json: { user: { sub: "another" }, expiresAt } }));
  assert.equal((await page.evaluate(() => globalThis.client.session())).user.sub, "another");
  assert.deepEqual(await reasons(page, 1), ["other-user"]);
});

person("another user's session is noticed, also where no token could be had when it was first seen", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH);
  await deaf(context);
  await answerTokens(context, { json: { accessToken: craft({ sub: "alice" }), expiresIn: 60 } });
  await load(page, demo);
  await getToken(page);
  await listen(page);
  await context.route("**/api/auth/session", (route) => route.fulfill({ json: { user: { sub: "bob" }, expiresAt: 2e9 } }));
  await answerTokens(context, { status: 503, json: {} });
  await page.evaluate(() => globalThis.client.session());
  assert.deepEqual(await reasons(page, 0), [], "it may be the same user by another name");
  await answerTokens(context, { json: { accessToken: craft({ sub: "bob" }), expiresIn: 60 } });
  await page.evaluate(() => globalThis.client.session());
  assert.deepEqual(await reasons(page, 1), ["other-user"]);
  assert.equal((await getToken(page)).reason, "other-user");
});

person("a provider that names a user differently in tokens and sessions confuses nobody", async ({ context, demo }) => {
  await deaf(context);
  await context.route("**/api/auth/session", (route) => route.fulfill({ json: { user: { sub: "00u1" }, expiresAt: 2e9 } }));
  await answerTokens(context, { json: { accessToken: craft({ sub: "alice@example.com" }), expiresIn: 60 } });
  const page = await tab(context, demo);
  await listen(page);
  for (let round = 0; round < 2; round++) {
    await page.evaluate(() => globalThis.client.session());
    assert.equal(await getToken(page, { forceRefresh: true }), craft({ sub: "alice@example.com" }));
  }
  const other = await tab(context, demo); // the other way round
  await listen(other);
  for (let round = 0; round < 2; round++) {
    assert.equal(await getToken(other, { forceRefresh: true }), craft({ sub: "alice@example.com" }));
    await other.evaluate(() => globalThis.client.session());
  }
  assert.deepEqual([...(await reasons(page, 0)), ...(await reasons(other, 0))], []);
  const stranger = { accessToken: craft({ sub: "bruno@example.com" }), life: 60, wall: Date.now(), born: Date.now() + 100 };
  await say(page, other, stranger);
  assert.deepEqual(await reasons(other, 1), ["other-user"]);
});

person("an old 401 does not end a session that began after its question", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context);
  expectRefusals(TOKEN_PATH);
  const one = await tab(context, demo);
  await listen(one);
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  await answerTokens(context, arrive);
  const token = getToken(one);
  const answer = await arrived;
  await say(await tab(context, demo), one, { accessToken: craft({ sub: "a" }), life: 60, wall: Date.now(), born: Date.now() + 100 });
  await answer.fulfill({ status: 401, json: { error: "Unauthorized" } });
  assert.equal(await token, craft({ sub: "a" }));
  assert.deepEqual(await reasons(one, 0), []);
});

person("while something is open, the session is looked after once in a token's life, and after the back button", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/api/auth/session");
  await signIn(page, demo);
  await context.clock.install();
  const one = await tab(context, demo);
  await getToken(one);
  await openThings(one);
  const looked = () => one.waitForResponse(`${demo.origin}/api/auth/session`);
  for (let round = 0; round < 2; round++) {
    const answer = looked();
    await context.clock.fastForward(61_000);
    assert.equal((await answer).status(), 200);
  }
  await context.clearCookies();
  const answer = looked();
  await one.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  assert.equal((await answer).status(), 401);
  await one.waitForFunction(() => globalThis.shut.length === 2);
});
