// The browser helper when all is well: one request for all who ask, in all tabs, and a token that is kept nowhere but in memory.

import assert from "node:assert/strict";
import { answerTokens, craft, getToken, load, questions, say, tab, TOKEN_PATH, waiting } from "./support/client.mjs";
import { signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

// crowd has a page ask ten times at once, as Amplify does for many channels, and gives the distinct tokens.
const crowd = (page, options) =>
  page.evaluate(async (given) => {
    const provider = globalThis.client.tokenProvider();
    const answers = await Promise.all(Array.from({ length: 10 }, () => provider.getTokens(given)));
    return [...new Set(answers.map(({ accessToken }) => accessToken.toString()))];
  }, options);

person("thirty questions at once in three tabs cost one request", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const tabs = [await tab(context, demo), await tab(context, demo), await tab(context, demo)];
  const asked = questions(context);
  await answerTokens(context, (route) => waiting(tabs[0], 2).then(() => route.continue()));
  const tokens = (await Promise.all(tabs.map((each) => crowd(each)))).flat();
  assert.deepEqual([new Set(tokens).size, asked], [1, [""]]);
});

person("thirty demands for a new token in three tabs cost one request and one refresh", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const tabs = [await tab(context, demo), await tab(context, demo), await tab(context, demo)];
  const old = await getToken(tabs[0]);
  await Promise.all(tabs.map((each) => getToken(each)));
  const [asked, before] = [questions(context), await demo.stats()];
  await answerTokens(context, (route) => waiting(tabs[0], 2).then(() => route.continue()));
  const tokens = new Set((await Promise.all(tabs.map((each) => crowd(each, { forceRefresh: true })))).flat());
  assert.deepEqual([tokens.size, tokens.has(old)], [1, false]);
  assert.equal(asked.length, 1);
  assert.match(asked[0], /[?&]forceRefresh=true/);
  assert.equal((await demo.stats()).refresh.ok - before.refresh.ok, 1);
  assert.equal(await getToken(tabs[1]), [...tokens][0], "what was demanded is what is kept");
});

person("Amplify gets a token with its claims, and the ID token where the server tells it", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await load(page, demo);
  const read = () =>
    page.evaluate(async () => {
      const { accessToken, idToken } = await globalThis.client.tokenProvider().getTokens({});
      const [, payload] = accessToken.toString().split(".");
      return { claims: accessToken.payload, same: JSON.stringify(accessToken.payload) === atob(payload.replace(/-/g, "+").replace(/_/g, "/")), id: idToken?.payload };
    });
  const { claims, same, id } = await read();
  assert.deepEqual([claims.token_use, same, id], ["access", true, undefined]);
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), idToken: craft({ name: "Zoë 愛" }), expiresIn: 60 } });
  await load(page, demo);
  assert.equal((await read()).id.name, "Zoë 愛");
});

person("a token is kept until half of its short life is spent, or a minute before the end of a long one", async ({ page, context, demo }) => {
  await context.clock.install();
  const asked = questions(context);
  for (const [life, keeps, query] of [[60, 29, "?min_ttl=30"], [3600, 3539, "?min_ttl=60"]]) {
    await answerTokens(context, { json: { accessToken: craft({ sub: "x", life }), expiresIn: life } });
    await load(page, demo);
    asked.length = 0;
    await getToken(page);
    await context.clock.fastForward(keeps * 1000);
    await getToken(page);
    assert.deepEqual(asked, [""], `of ${life} s, at ${keeps} s`);
    await context.clock.fastForward(2000);
    await getToken(page);
    assert.deepEqual(asked, ["", query], `of ${life} s, at ${keeps + 2} s`);
  }
});

person("a caller may demand more life; what cannot be had is used for half of what was given", async ({ page, context, demo }) => {
  await context.clock.install();
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 300 } });
  await load(page, demo);
  const asked = questions(context);
  for (const minTtl of [undefined, 200, 600, 600, 200]) await getToken(page, { minTtl });
  assert.deepEqual(asked, ["", "?min_ttl=600"]);
  await context.clock.fastForward(151_000);
  await getToken(page, { minTtl: 600 });
  assert.deepEqual(asked.slice(2), ["?min_ttl=600"]);
});

person("a demand that is no number above 0 is none", async ({ context, demo }) => {
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 300 } });
  for (const minTtl of [Number.NaN, 0, -1, null, "soon"]) {
    const page = await tab(context, demo, { minTtl });
    const asked = questions(context);
    for (const options of [{ minTtl }, undefined, { minTtl: 200 }]) assert.equal(await getToken(page, options), craft({ sub: "x" }));
    assert.deepEqual(asked, [""], `${minTtl}`);
    await page.close();
  }
});

person("the machine slept, or its clock was set back: a dead token is not taken for a living one", async ({ page, context, demo }) => {
  const start = Date.parse("2030-01-01T12:00:00Z");
  await context.clock.install({ time: start });
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 300 } });
  await load(page, demo);
  const asked = questions(context);
  await getToken(page);
  await context.clock.setSystemTime(start + 3600_000); // and the page's own clock stood still
  await getToken(page);
  assert.equal(asked.length, 2, "after a sleep");
  await context.clock.setSystemTime(start - 3600_000);
  await getToken(page);
  assert.equal(asked.length, 2, "the clock set back alone is no reason to ask");
  await context.clock.fastForward(301_000);
  assert.equal(typeof (await getToken(page)), "string");
  assert.equal(asked.length, 3, "after its life has passed");
});

person("the time told is this browser's, however wrong the server's", async ({ page, context, demo }) => {
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 300, expiresAt: 12 } });
  await load(page, demo);
  const left = await page.evaluate(async () => (await globalThis.client.getToken()).expiresAt - Date.now() / 1000);
  assert.ok(left > 295 && left <= 300, `${left} s`);
});

person("a page opened later asks once, and all tabs hear; told its user, it takes what another tab holds", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const first = await tab(context, demo);
  const token = await getToken(first);
  const asked = questions(context);
  assert.equal(await getToken(await tab(context, demo)), token);
  assert.equal(asked.length, 1, "without the user's name");
  const user = JSON.parse(atob(token.split(".")[1])).sub;
  assert.equal(await getToken(await tab(context, demo, { user })), token);
  assert.equal(asked.length, 1, "with it");
});

person("a renewal in one tab serves all", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await getToken(other);
  const fresh = await getToken(one, { forceRefresh: true });
  const asked = questions(context);
  assert.equal(await getToken(other), fresh);
  assert.deepEqual(asked, []);
});

person("a clock that is set back does not part the tabs", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await page.goto(`${demo.origin}/login`); // the demo's page asks for tokens, too, by a clock that nobody set back
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  await Promise.all([one, other].map((each) => getToken(each)));
  for (const each of [one, other]) {
    await each.evaluate(() => {
      const real = Date.now;
      Date.now = () => real() - 3600_000;
    });
  }
  const fresh = await getToken(one, { forceRefresh: true });
  const asked = questions(context);
  assert.equal(await getToken(other), fresh);
  assert.deepEqual(asked, []);
});

person("a token path may have a query of its own", async ({ context, demo }) => {
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 300 } });
  const page = await tab(context, demo, { tokenPath: `${TOKEN_PATH}?pool=two` });
  const asked = questions(context);
  await getToken(page);
  await getToken(page, { minTtl: 600 });
  assert.deepEqual(asked, ["?pool=two", "?pool=two&min_ttl=600"]);
});

person("nobody's word is taken for a token that lives for ever", async ({ context, demo }) => {
  await context.clock.install();
  await answerTokens(context, { json: { accessToken: craft({ sub: "x" }), expiresIn: 60 } });
  const page = await tab(context, demo);
  await getToken(page);
  const endless = { accessToken: craft({ sub: "x", endless: true }), life: Infinity, wall: Infinity, born: Date.now() + 500, want: Infinity };
  await say(await tab(context, demo), page, endless);
  assert.equal(await getToken(page), endless.accessToken);
  await context.clock.fastForward(86_400_000);
  assert.equal(await getToken(page), craft({ sub: "x" }));
});

person("clients of different token paths know nothing of each other", async ({ page, context, demo }) => {
  await context.route("**/other/token*", (route) => route.fulfill({ json: { accessToken: craft({ sub: "other" }), expiresIn: 60 } }));
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo, { tokenPath: "/other/token" })];
  const [mine, theirs] = await Promise.all([getToken(one), getToken(other)]);
  assert.deepEqual([theirs, mine === theirs], [craft({ sub: "other" }), false]);
  assert.equal(await getToken(one), mine);
});

person("the header against forgery goes with each question", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await load(page, demo, { csrfHeader: "X-Requested-By" });
  const request = context.waitForEvent("request", (each) => each.url().includes("cognito-token"));
  await getToken(page);
  assert.equal((await request).headers()["x-requested-by"], "1");
});

person("no token is in any storage, in an address, or in the page", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const [one, other] = [await tab(context, demo), await tab(context, demo)];
  const tokens = [await getToken(one), await getToken(other, { forceRefresh: true })];
  for (const each of [one, other]) {
    const found = await each.evaluate(async () => ({
      places: [document.cookie, ...Object.entries(localStorage), ...Object.entries(sessionStorage), JSON.stringify(history.state), window.name],
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      held: await navigator.locks.query().then(({ held }) => held.map(({ name }) => name).filter((name) => name !== "vestibule:/api/cognito-token/events")),
    }));
    assert.deepEqual(found, { places: ["", "null", ""], databases: [], caches: [], held: [] });
    const content = (await each.content()) + each.url();
    for (const token of tokens) assert.ok(!content.includes(token));
  }
});

person("what other scripts of the origin shout on the channel is judged by its shape", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const one = await tab(context, demo);
  const token = await getToken(one);
  const now = Date.now();
  const good = { accessToken: craft({ sub: "mallory" }), life: 60, wall: now, born: now + 500 };
  const rubbish = [
    null, 7, "token", [], {}, { is: "token" }, { after: -1 }, { after: "soon" }, { is: "expired" }, { is: "expired", born: "now" }, { is: "who", born: 1e300 },
    { ...good, accessToken: 7 }, { ...good, accessToken: "" }, { ...good, accessToken: "x".repeat(30_000) }, { ...good, idToken: {} },
    { ...good, life: undefined }, { ...good, life: -1 }, { ...good, wall: "later" }, { ...good, born: undefined }, { ...good, born: Number.NaN },
    { ...good, born: now + 3600_000 }, { is: "expired", born: now + 3600_000 }, { is: "expired", born: 1 }, { ...good, born: 1 },
  ];
  await say(await tab(context, demo), one, ...rubbish);
  const asked = questions(context);
  assert.equal(await getToken(one), token);
  assert.deepEqual(asked, []);
});
