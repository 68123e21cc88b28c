// The live channel: two windows talk, the token is replaced below an open socket, a lost connection comes back, and signing out closes
// what other tabs have open.

import assert from "node:assert/strict";
import { deaf } from "./support/client.mjs";
import { ASKED_BY_ITSELF, visitor } from "./support/browser.mjs";
import { bruno } from "./support/demo.mjs";
import { clickNow, logged, say, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

// listen collects what a page's sockets send, and tells when they close. Call it before the page is opened.
function listen(page) {
  const heard = { sockets: [], frames: [] };
  page.on("websocket", (socket) => {
    heard.sockets.push(socket);
    socket.on("framesent", ({ payload }) => heard.frames.push(JSON.parse(payload)));
  });
  return heard;
}

const carried = (frame) => `…${frame.authorization.Authorization.slice(-8)}`;
const published = ({ frames }) => frames.filter(({ type }) => type === "publish");
const open = (page) => page.locator('[data-testid="channel-state"][data-state="open"]').waitFor();
const heard = (page, text) => page.getByTestId("messages").getByText(text, { exact: true }).waitFor();
const shown = (page, id) => page.getByTestId(id).textContent();

async function tabs(page, context, demo) {
  await signIn(page, demo);
  const other = await context.newPage();
  const sockets = listen(other);
  await other.goto(demo.origin);
  await Promise.all([page, other].map(open));
  return { other, sockets };
}

person("two people talk, each under their own name", async ({ page, browser, demo }) => {
  const visit = await visitor(browser);
  try {
    await Promise.all([signIn(page, demo), signIn(visit.page, demo, bruno)]);
    await Promise.all([page, visit.page].map(open));
    await say(page, "Which token did you use?");
    await heard(visit.page, "Which token did you use?");
    assert.match(await visit.page.getByTestId("messages").getByRole("listitem").textContent(), /^alice@example\.com/);
    await say(visit.page, "One of my own.");
    await heard(page, "One of my own.");
    assert.deepEqual(await page.getByTestId("messages").locator("bdi").allTextContents(), ["You", bruno.email]);
    visit.check();
  } finally {
    await visit.close();
  }
});

person("two windows of one person talk", async ({ page, context, demo }) => {
  const { other } = await tabs(page, context, demo);
  await say(page, "Is this me?");
  await heard(other, "Is this me?");
  await heard(page, "Is this me?");
  assert.equal(await other.getByTestId("messages").locator(".own").count(), 0);
  assert.equal(await page.getByTestId("messages").locator(".own").count(), 1);
});

person("a message is text, whatever it looks like", async ({ page, context, demo }) => {
  const { other } = await tabs(page, context, demo);
  const hostile = '<img src=x onerror="document.title=1"><b>bold</b> {{7*7}} &lt;';
  await say(page, hostile);
  await heard(other, hostile);
  assert.equal(await other.getByTestId("messages").locator("img, b").count(), 0);
});

person("what is no message is passed over", async ({ page, demo }) => {
  const heardHere = listen(page);
  await signIn(page, demo);
  await open(page);
  await say(page, "first");
  await heard(page, "first");
  const { Authorization: token } = published(heardHere)[0].authorization;
  const events = ["null", "7", '"text"', "[]", '{"text":"no name"}', '{"id":1,"name":{},"text":[]}'];
  for (const event of events) {
    const answer = await fetch(`${demo.events}/event`, {
      method: "POST",
      headers: { authorization: token, "content-type": "application/json" },
      body: JSON.stringify({ channel: "default/chat", events: [event] }),
    });
    assert.equal(answer.status, 200, await answer.text());
  }
  await say(page, "last");
  await heard(page, "last");
  assert.equal(await page.getByTestId("messages").getByRole("listitem").count(), 2);
});

person("a refresh leaves the socket open, and what is sent next carries the new token", async ({ page, demo }) => {
  const here = listen(page);
  await signIn(page, demo);
  await open(page);
  await say(page, "before");
  await heard(page, "before");
  await page.getByTestId("refresh-now").click();
  await logged(page, "the channel stays open");
  await say(page, "after");
  await heard(page, "after");
  await logged(page, /^sent with the token/);
  const tokens = published(here).map(carried);
  assert.equal(new Set(tokens).size, 2);
  assert.ok((await shown(page, "token")).endsWith(tokens[1]), "the second message carries another token than the one on the page");
  assert.deepEqual([await shown(page, "opened-with"), await shown(page, "sent-with")], tokens);
  assert.deepEqual(here.sockets.map((socket) => socket.isClosed()), [false]);
});

person("a dropped connection comes back by itself, with the token of that moment", async ({ page, demo }) => {
  const here = listen(page);
  await signIn(page, demo);
  await open(page);
  const before = await shown(page, "opened-with");
  await page.getByTestId("refresh-now").click();
  await logged(page, "the channel stays open");
  await page.getByTestId("drop").click();
  await logged(page, /^channel closed: the connection was dropped; next try/);
  await open(page);
  const after = await shown(page, "opened-with");
  assert.notEqual(after, before);
  assert.ok((await shown(page, "token")).endsWith(after));
  assert.equal(here.sockets.length, 2);
  await say(page, "here again");
  await heard(page, "here again");
});

person("a connection that the server cuts comes back, and the other window with it", async ({ page, context, demo }) => {
  const { other } = await tabs(page, context, demo);
  await demo.dropSockets();
  await Promise.all([page, other].map((tab) => logged(tab, /^channel closed: the connection was lost/)));
  await Promise.all([page, other].map(open));
  await say(other, "still there?");
  await heard(page, "still there?");
});

person("signing out in one tab closes the other's socket within a second", async ({ page, context, demo, t }) => {
  const { other, sockets } = await tabs(page, context, demo);
  await other.getByTestId("channel-state").evaluate((pill) => {
    globalThis.channelClosed = new Promise((resolve) => {
      new MutationObserver(() => pill.dataset.state === "closed" && resolve(Date.now())).observe(pill, { attributes: true });
    });
  });
  const gone = sockets.sockets[0].waitForEvent("close");
  const clicked = await clickNow(page.getByTestId("sign-out"));
  const took = (await other.evaluate(() => globalThis.channelClosed)) - clicked;
  t.diagnostic(`the other tab's channel was closed ${took} ms after the click`);
  assert.ok(took >= 0 && took < 1000, `it took ${took} ms`);
  await other.getByRole("heading", { name: "You are signed out" }).waitFor();
  await logged(other, "channel closed: signed out");
  await gone;
  assert.equal(await other.getByTestId("token").isVisible(), false);
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
});

person("when somebody else signs in, the page that is left over closes its channel and says so", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(...ASKED_BY_ITSELF); // between the two sessions there is none
  await deaf(context);
  const { other, sockets } = await tabs(page, context, demo);
  const gone = sockets.sockets[0].waitForEvent("close");
  await context.clearCookies();
  await signIn(page, demo, bruno);
  await open(page);
  await other.getByRole("heading", { name: "Somebody else is signed in now" }).waitFor();
  await gone;
  await other.getByTestId("start-over").click();
  await other.getByTestId("user-email").filter({ hasText: bruno.email }).waitFor();
});

person("nothing is sent while the channel is closed, and what was typed stays", async ({ page, demo }) => {
  await signIn(page, demo);
  await open(page);
  await page.getByTestId("text").fill("too early");
  await page.evaluate(() => ["drop", "send"].forEach((id) => document.querySelector(`[data-testid=${id}]`).click())); // before it is open again
  await logged(page, "nothing was sent: the channel is not open");
  assert.equal(await page.getByTestId("text").inputValue(), "too early");
});

person("the channel can be worked without a mouse", async ({ page, demo }) => {
  await signIn(page, demo);
  await open(page);
  await page.getByTestId("text").focus();
  await page.keyboard.type("from the keyboard");
  await page.keyboard.press("Enter");
  await heard(page, "from the keyboard");
  await page.getByTestId("drop").focus();
  await page.keyboard.press("Enter");
  await logged(page, /^channel closed/);
});

person("the page may connect to its own channel and to nothing else", async ({ page, demo }) => {
  await signIn(page, demo);
  const policy = (await page.reload()).headers()["content-security-policy"];
  assert.match(policy, new RegExp(`connect-src 'self' ${demo.events.replace("http:", "ws:")};`));
});
