// From Amplify's adapter to Vestibule: the sessions are made by the adapter itself, in the browser in which they then go on.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, visitor } from "../browser/support/browser.mjs";
import { fillIn } from "../browser/support/steps.mjs";
import { startBefore } from "./support/adapter.mjs";

const TEST_LIMIT = 60_000; // ms
const ADOPT = { "session.adopt_amplify": "true" };
const LIFE = 8; // s, of tokens where a test waits until they are over
const alice = { email: "alice@example.com", password: "wonderland" };

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

// mover tests what befalls a person who signed in at the adapter. what({ page, context, expectRefusals, site, theirs }): site is what
// startBefore gives, theirs the adapter's cookies. Options are startBefore's.
function mover(does, what, options) {
  test(`adapter: ${does}`, { timeout: TEST_LIMIT }, async () => {
    const site = await startBefore(options);
    let visit;
    try {
      visit = await visitor(browser);
      await visit.page.goto(`${site.origin}/api/auth/sign-in`);
      await fillIn(visit.page, alice);
      await visit.page.getByRole("heading", { name: "Signed in by the adapter" }).waitFor();
      const theirs = await visit.context.cookies(site.origin);
      assert.equal(theirs.length, 4, `the adapter's cookies are ${names(theirs)}`);
      await what({ ...visit, site, theirs });
      visit.check();
    } finally {
      await visit?.close();
      await site.stop();
    }
  });
}

// asked is what the application's page, which stays open, hears when it asks n times at once, as Amplify's tokenProvider does. The
// tests open Vestibule's pages beside it: those may not ask for anything.
const asked = (page, n = 1) => page.evaluate(
  (times) => Promise.all(Array.from({ length: times }, async () => {
    const answer = await fetch("/api/cognito-token");
    return { status: answer.status, body: await answer.json() };
  })),
  n,
);

const REFUSED = [{ status: 401, body: { error: "Unauthorized" } }];

const names = (cookies) => cookies.map(({ name }) => name).sort();
const namesAt = async (context, site) => names(await context.cookies(site.origin));
const valueOf = (cookies, name) => cookies.find((cookie) => cookie.name === name)?.value;
const whoIs = (page) => page.evaluate(async () => (await (await fetch("/api/auth/session")).json()).user);

async function beside(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

mover("who is signed in stays signed in, in the page that is open", async ({ page, context, site, theirs }) => {
  const user = valueOf(theirs, site.cookie("LastAuthUser"));
  assert.deepEqual(names(theirs), [site.cookie("LastAuthUser"), ...["accessToken", "idToken", "refreshToken"].map((token) => site.cookie(`${user}.${token}`))].sort());
  assert.ok(theirs.every(({ httpOnly, sameSite, path }) => httpOnly && sameSite === "Strict" && path === "/"), "the adapter's attributes have changed");

  await site.moveIn(ADOPT);
  const [{ status, body }] = await asked(page);
  assert.equal(status, 200);
  assert.equal(body.accessToken, valueOf(theirs, site.cookie(`${user}.accessToken`)), "the token is good for an hour yet");
  const ours = await context.cookies(site.origin);
  assert.equal(ours.length, 1, `there should be ours and no other: ${names(ours)}`);
  assert.match(ours[0].name, /vestibule/);
  assert.ok(ours[0].httpOnly);

  assert.equal((await whoIs(page)).email, alice.email);
  const login = await beside(context, `${site.origin}/login`);
  await login.getByText(alice.email).filter({ visible: true }).first().waitFor();
  assert.equal((await asked(page))[0].body.accessToken, body.accessToken);
  const { signIns, refresh } = await site.stats();
  assert.deepEqual([signIns, refresh.asked], [1, 0]);
});

for (const [userName, spelled] of [["us+er@ex.com", "us+er%40ex.com"], ["j.doe(pilot)", "j.doe(pilot)"], ["O'Neill*~!_1", "O'Neill*~!_1"], ["José", "Jos%C3%A9"]]) {
  mover(`a user whose name is ${userName}`, async ({ page, context, site, theirs }) => {
    const name = site.cookie(`${spelled}.accessToken`);
    assert.ok(valueOf(theirs, name), `the adapter spells it otherwise: ${names(theirs)}`);
    await site.moveIn(ADOPT);
    const [{ status, body }] = await asked(page);
    assert.deepEqual([status, body.accessToken], [200, valueOf(theirs, name)]);
    assert.equal((await namesAt(context, site)).length, 1);
    assert.equal((await whoIs(page))["cognito:username"], userName);
  }, { userName });
}

mover("six questions with an access token that is over cost one refresh, although no old token is forgiven", async ({ page, context, site, theirs }) => {
  await page.waitForTimeout(LIFE * 1000); // they were issued before that
  await site.moveIn(ADOPT);
  const answers = await asked(page, 6);
  assert.deepEqual(answers.map(({ status }) => status), Array(6).fill(200));
  const tokens = new Set(answers.map(({ body }) => body.accessToken));
  assert.equal(tokens.size, 1);
  assert.ok(!theirs.some(({ value }) => tokens.has(value)), "the token is the old one");
  const { refresh, reuses } = await site.stats();
  assert.deepEqual([refresh.asked, refresh.refused, reuses], [1, 0, 0]);
  assert.equal((await namesAt(context, site)).length, 1);
}, { accessLife: `${LIFE}s` });

for (const [when, taken] of [["after it was taken over", true], ["before it was", false]]) {
  mover(`signing out ${when} ends the session for good`, async ({ page, context, site, theirs, expectRefusals }) => {
    expectRefusals("/api/cognito-token");
    await site.moveIn(ADOPT);
    if (taken) await asked(page);
    const leaving = await beside(context, `${site.origin}/api/auth/sign-out`);
    await leaving.getByRole("heading", { name: "You are signed out" }).waitFor();
    assert.deepEqual(await namesAt(context, site), []);
    await context.addCookies(theirs);
    assert.deepEqual(await asked(page), REFUSED);
    assert.deepEqual(await namesAt(context, site), [], "the dead cookies are cleared");
    const { revoke, logouts } = await site.stats();
    assert.deepEqual([revoke.ok, logouts], [1, 1]);
  });
}

mover("without being asked to, Vestibule takes nothing over and touches nothing", async ({ page, context, site, theirs, expectRefusals }) => {
  expectRefusals("/api/cognito-token");
  await site.moveIn({});
  assert.deepEqual(await asked(page), REFUSED);
  const login = await beside(context, `${site.origin}/login`);
  await login.getByRole("link", { name: "Sign in" }).first().waitFor();
  assert.deepEqual(await context.cookies(site.origin), theirs);

  await site.moveIn(ADOPT); // and they are still good when it is
  assert.equal((await asked(page))[0].status, 200);
});

mover("while the provider is down nothing is lost", async ({ page, context, site, theirs, expectRefusals }) => {
  expectRefusals("/api/cognito-token");
  await page.waitForTimeout(LIFE * 1000); // they were issued before that
  await site.faults({ token: { status: 503 } });
  await site.moveIn(ADOPT);
  assert.equal((await asked(page))[0].status, 503);
  assert.deepEqual(await context.cookies(site.origin), theirs);
  await site.faults({});
  let [{ status }] = await asked(page);
  for (const end = Date.now() + 15_000; status !== 200 && Date.now() < end; [{ status }] = await asked(page)) await page.waitForTimeout(500);
  assert.equal(status, 200, "after the outage");
  assert.equal((await namesAt(context, site)).length, 1);
}, { accessLife: `${LIFE}s` });
