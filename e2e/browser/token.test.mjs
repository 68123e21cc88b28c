// The token: fetched, counted down, refreshed once for all who ask; and where it can not be found.

import assert from "node:assert/strict";
import { claim, logged, secondsLeft, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

person("a token is shown with its countdown, which runs", async ({ page, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  const first = await secondsLeft(page);
  assert.ok(first > 30 && first <= 60, `${first} s left, want 31 to 60`);
  await page.getByTestId("expires-in").filter({ hasNotText: `${first} s` }).waitFor();
  assert.ok((await secondsLeft(page)) < first);
});

person("a token that is good is not asked for again", async ({ page, demo }) => {
  let asked = 0;
  page.on("request", (request) => (asked += request.url().includes("/api/cognito-token") ? 1 : 0));
  await signIn(page, demo);
  await logged(page, "channel open");
  await page.getByTestId("get-token").click();
  await logged(page, "same token: the page had it in memory");
  assert.equal(asked, 1);
});

person("a refresh brings another token with a later expiry", async ({ page, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  const [token, expiry, before] = [await page.getByTestId("token").textContent(), await claim(page, "exp"), await demo.stats()];
  const left = (await secondsLeft(page)) - 2; // expiries are whole seconds: let one pass
  await page.getByTestId("expires-in").filter({ hasText: `${left} s` }).waitFor();
  await page.getByTestId("refresh-now").click();
  await logged(page, "refreshed on the server");
  assert.notEqual(await page.getByTestId("token").textContent(), token);
  assert.notEqual(await claim(page, "exp"), expiry);
  assert.equal((await demo.stats()).refresh.ok - before.refresh.ok, 1);
});

person("twenty questions at once cost one refresh", async ({ page, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  const before = await demo.stats();
  await page.getByTestId("refresh-many").click();
  await logged(page, "20 answers, 1 distinct token");
  const { refresh, reuses } = await demo.stats();
  assert.deepEqual([refresh.asked - before.refresh.asked, reuses], [1, 0]);
});

person("two tabs that refresh together share one refresh and one token", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const other = await context.newPage();
  await other.goto(demo.origin);
  await Promise.all([page, other].map((tab) => logged(tab, "token fetched")));
  const before = await demo.stats();
  await Promise.all([page, other].map((tab) => tab.getByTestId("refresh-now").click()));
  await Promise.all([page, other].map((tab) => logged(tab, "refreshed on the server")));
  const tokens = await Promise.all([page, other].map((tab) => tab.getByTestId("token").textContent()));
  assert.equal(tokens[0], tokens[1]);
  assert.equal((await demo.stats()).refresh.asked - before.refresh.asked, 1);
});

person("a tab opened later gets the token that the first one refreshed", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  await page.getByTestId("refresh-now").click();
  await logged(page, "refreshed on the server");
  const other = await context.newPage();
  await other.goto(demo.origin);
  await logged(other, "token fetched");
  assert.equal(await other.getByTestId("token").textContent(), await page.getByTestId("token").textContent());
});

person("the session is out of a script's reach", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  const cookies = await context.cookies(demo.origin);
  assert.ok(cookies.length > 0, "no session cookie");
  for (const { name, httpOnly, sameSite, path } of cookies) {
    assert.deepEqual({ name, httpOnly, sameSite, path }, { name, httpOnly: true, sameSite: "Lax", path: "/" });
  }
  const found = await page.evaluate(async () => ({
    cookie: document.cookie,
    local: Object.entries(localStorage),
    session: Object.entries(sessionStorage),
    databases: await indexedDB.databases(),
    caches: await caches.keys(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
  }));
  assert.deepEqual(found, { cookie: "", local: [], session: [], databases: [], caches: [], workers: 0 });
});

person("no token and no code stays in an address, the title or the page", async ({ page, demo }) => {
  let token = "";
  page.on("response", async (response) => {
    if (response.url().includes("/api/cognito-token")) token = (await response.json()).accessToken;
  });
  await signIn(page, demo);
  await logged(page, "token fetched");
  assert.equal(page.url(), `${demo.origin}/`);
  assert.ok(token.length > 100, "no token was seen");
  assert.ok(!(await page.content()).includes(token), "the whole token is in the page");
});

person("another site's script gets no token", async ({ page, demo, expectRefusals }) => {
  expectRefusals("/api/cognito-token", "/favicon.ico");
  await signIn(page, demo);
  await page.goto(`${demo.provider}/devidp/stats`); // 127.0.0.1 is another site than localhost
  const outcome = await page.evaluate(
    (url) => fetch(url, { credentials: "include" }).then((answer) => answer.status, (error) => error.name),
    `${demo.origin}/api/cognito-token`,
  );
  assert.equal(outcome, "TypeError");
}, { ignoreComplaints: /blocked by CORS policy/ });

person("when the provider does not answer, the living token is served and the session stays", async ({ page, demo }) => {
  await signIn(page, demo);
  await logged(page, "token fetched");
  await demo.faults({ token: { status: 503 } });
  try {
    await page.getByTestId("refresh-now").click();
    await logged(page, "the server kept its token");
  } finally {
    await demo.faults({});
  }
  assert.ok(await page.getByTestId("user-email").isVisible());
});
