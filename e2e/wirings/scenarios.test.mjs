// What happens to open sockets when tokens end, refresh tokens rotate without grace, the provider fails, somebody signs out.
// Amplify's own timers are long (5 s, then 60 s for each attempt): where a test says so, the page's clock is moved on.

import assert from "node:assert/strict";
import { clickNow } from "../browser/support/steps.mjs";
import { arrive, connected, heard, say } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

const LIFE = 20; // s; refreshed when half is left
const person = suite("vestibule in front", { accessLife: `${LIFE}s`, grace: "0s" });
const QUIET = { ignoreComplaints: /WebSocket/ }; // Chromium says so when a socket is cut

// tokens collects what the token endpoint answers to a page.
function tokens(page) {
  const answers = [];
  page.on("response", (answer) => {
    if (answer.url().endsWith("/api/cognito-token")) answers.push(answer);
  });
  return answers;
}

const pause = (page, seconds) => page.waitForTimeout(seconds * 1000);

async function until(page, what, is) {
  const limit = Date.now() + 15_000;
  while (!(await is())) {
    assert.ok(Date.now() < limit, `not within 15 s: ${what}`);
    await page.waitForTimeout(50);
  }
}

person("a token that ends while its socket is open takes nothing away", async ({ page, context, way }) => {
  await arrive(page, way, "/chat");
  await connected(page);
  const before = await way.sockets();
  await pause(page, LIFE + 1);
  const other = await context.newPage();
  await other.goto(`${way.origin}/chat`);
  await connected(other);
  await say(other, "Slack water");
  await heard(page, "Slack water"); // the socket was opened with a token that is over
  await say(page, "Copied");
  await heard(other, "Copied");
  const after = await way.sockets();
  assert.equal(after.connections - before.connections, 1, "only the second window connected");
});

person("six questions at a reconnect cost one refresh, although no old token is forgiven", async ({ page, way }) => {
  await arrive(page, way, "/chat");
  await page.goto(`${way.origin}/chat?channels=5`);
  await connected(page);
  await until(page, "five subscriptions", async () => (await way.sockets()).subscriptions >= 5);
  await pause(page, LIFE / 2 + 1); // the token is due
  const before = await way.stats();
  const answers = tokens(page);
  await way.drop();
  await until(page, "six answers", () => answers.length >= 6); // the drop is over: what stands from here on was asked for since
  const after = await way.stats();
  assert.deepEqual(answers.map((answer) => answer.status()), Array(answers.length).fill(200));
  assert.deepEqual([after.refresh.asked - before.refresh.asked, after.refresh.refused, after.reuses], [1, 0, 0]);
  await until(page, "five subscriptions again", async () => (await way.sockets()).subscriptions >= 5);
  await connected(page);
  await say(page, "All stations");
  await heard(page, "All stations");
}, QUIET);

person("signing out in one window cuts the other's socket within a second", async ({ page, context, way, expectRefusals }) => {
  expectRefusals("/api/cognito-token");
  await arrive(page, way, "/chat/watch");
  await connected(page);
  const other = await context.newPage();
  const opened = other.waitForEvent("websocket");
  await other.goto(`${way.origin}/chat/watch`);
  await connected(other);
  const cut = (await opened).waitForEvent("close").then(() => Date.now());
  const asked = await clickNow(page.getByRole("button", { name: "Sign out in all windows" }));
  const took = (await cut) - asked;
  assert.ok(took >= 0 && took < 1_000, `the socket was open for ${took} ms`);
  await other.getByTestId("over").waitFor();
  assert.equal(await other.getByTestId("over").getAttribute("data-reason"), "signed-out");
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
});

person("while the provider is down nobody is signed out, and sockets come back after it", async ({ page, context, way, expectRefusals }) => {
  expectRefusals("/api/cognito-token");
  await page.clock.install();
  await arrive(page, way, "/chat");
  await connected(page);
  const cookies = (await context.cookies(way.origin)).length;
  await way.faults({ token: { status: 503 } });
  const answers = tokens(page);
  try {
    await pause(page, LIFE + 1); // no usable token is left
    await way.drop();
    await until(page, "Amplify asks", () => answers.length > 0);
    assert.equal(answers[0].status(), 503);
    await page.clock.fastForward(61_000); // its second attempt
    await until(page, "Amplify asks again", () => answers.length > 1);
    assert.equal(answers[1].status(), 503);
    assert.equal((await context.cookies(way.origin)).length, cookies);
  } finally {
    await way.faults({});
  }
  await pause(page, Number(answers[1].headers()["retry-after"]) + 1); // the minute that Amplify lets pass is longer
  await page.clock.fastForward(61_000);
  await connected(page);
  await say(page, "Back on the air");
  await heard(page, "Back on the air");
}, QUIET);

person("a window that is signed out asks on, is told so each time, and comes back after the next sign-in", async ({ page, context, way, expectRefusals }) => {
  expectRefusals("/api/cognito-token");
  await page.clock.install();
  await arrive(page, way, "/chat");
  await connected(page);
  const other = await context.newPage();
  await other.goto(`${way.origin}/dashboard`);
  await other.getByRole("button", { name: "Sign out" }).click();
  await other.getByRole("heading", { name: "You are signed out" }).waitFor();
  const answers = tokens(page);
  await way.drop();
  for (let asked = 1; asked <= 5; asked++) {
    await until(page, `question ${asked}`, () => answers.length >= asked);
    await page.clock.fastForward(61_000);
  }
  for (const answer of answers) {
    assert.deepEqual([answer.status(), await answer.json()], [401, { error: "Unauthorized" }]);
  }
  await arrive(other, way, "/dashboard");
  await page.clock.fastForward(61_000);
  await connected(page);
}, QUIET);
