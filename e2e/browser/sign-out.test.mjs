// Signing out: really out, in every tab, for good; and never because another site wishes it.

import assert from "node:assert/strict";
import { deaf } from "./support/client.mjs";
import { createServer } from "node:http";
import { after, before } from "node:test";
import { alice } from "./support/demo.mjs";
import { logged, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

// A stranger's site. Cookies and Fetch Metadata know 127.0.0.1 as another site than localhost.
const stranger = createServer((request, answer) => {
  const target = new URL(request.url, "http://127.0.0.1").searchParams.get("target");
  answer.setHeader("Content-Type", "text/html; charset=utf-8");
  answer.end(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Stranger</title>
    <form method="post" action="${target}"><button>Win a prize</button></form><a href="${target}">Read more</a>`);
});
let elsewhere = "";
before(() => new Promise((done) => stranger.listen(0, "127.0.0.1", () => done((elsewhere = `http://127.0.0.1:${stranger.address().port}`)))));
after(() => stranger.close());

const lure = (demo) => `${elsewhere}/?target=${demo.origin}/api/auth/sign-out`;

person("signing out ends at the signed-out page, without a session here or at the provider", async ({ page, context, demo }) => {
  await signIn(page, demo);
  const before = await demo.stats();
  await page.getByTestId("sign-out").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.deepEqual(await context.cookies(demo.origin), []);
  const { revoke, logouts } = await demo.stats();
  assert.deepEqual([revoke.ok - before.revoke.ok, logouts - before.logouts], [1, 1]);
  await page.getByRole("link", { name: "Sign in again" }).click();
  await page.getByLabel("Password").waitFor(); // the provider forgot, too
});

person("the other tab finds out at once", async ({ page, context, demo }) => {
  const other = await context.newPage();
  await signIn(page, demo);
  await other.goto(demo.origin);
  await logged(other, "token fetched");
  await page.getByTestId("sign-out").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await other.getByTestId("session-over").getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.equal(await other.getByText(alice.email).filter({ visible: true }).count(), 0);
  assert.equal(await other.getByTestId("token").isVisible(), false);
});

person("a tab that nobody told finds out when it asks", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context);
  expectRefusals("/api/cognito-token");
  await signIn(page, demo);
  await logged(page, "token fetched");
  const cookies = (await context.cookies(demo.origin)).map(({ name, value }) => `${name}=${value}`).join("; ");
  await fetch(`${demo.origin}/api/auth/sign-out`, { method: "POST", headers: { cookie: cookies }, redirect: "manual" });
  await page.getByTestId("refresh-now").click();
  await page.getByTestId("session-over").getByRole("heading", { name: "Your session is over" }).waitFor();
  await logged(page, "channel closed: 401, the session is over");
  assert.equal(await page.getByTestId("token").isVisible(), false);
});

person("the back button shows nothing private after signing out", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.getByTestId("sign-out").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await page.goBack();
  await page.waitForURL(`${demo.origin}/`);
  await page.getByTestId("sign-in").first().waitFor();
  assert.equal(await page.getByTestId("user-email").count(), 0);
});

person("a cookie kept aside is worth nothing after signing out", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/api/cognito-token", "/favicon.ico"); // a JSON document names no icon, and the browser asks for one
  await signIn(page, demo);
  const kept = await context.cookies(demo.origin);
  await page.getByTestId("sign-out").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await context.addCookies(kept);
  const answer = await page.goto(`${demo.origin}/api/cognito-token`);
  assert.equal(answer.status(), 401);
  assert.deepEqual(await context.cookies(demo.origin), [], "the dead cookie is cleared");
});

person("a form on another site signs nobody out: the person is asked", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await page.goto(lure(demo));
  await page.getByRole("button", { name: "Win a prize" }).click();
  await page.getByRole("heading", { name: "Sign out?" }).waitFor();
  assert.notDeepEqual(await context.cookies(demo.origin), []);
  await page.goto(demo.origin);
  assert.equal(await page.getByTestId("user-email").textContent(), alice.email);
});

person("a link on another site asks by name; no means no, yes means yes", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.goto(lure(demo));
  await page.getByRole("link", { name: "Read more" }).click();
  await page.getByText(alice.email).waitFor();
  await page.getByRole("link", { name: "Stay signed in" }).click();
  await page.getByTestId("user-email").waitFor();
  await page.goto(lure(demo));
  await page.getByRole("link", { name: "Read more" }).click();
  await page.getByRole("button", { name: "Yes, sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
});

person("a frame on another site shows nothing of ours", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.goto(lure(demo));
  const answer = page.waitForResponse(`${demo.origin}/`);
  await page.evaluate((origin) => {
    const frame = document.createElement("iframe");
    frame.src = `${origin}/`;
    document.body.append(frame);
  }, demo.origin);
  assert.match((await answer).headers()["content-security-policy"], /frame-ancestors 'none'/);
}, { ignoreComplaints: /frame-ancestors/ });
