// Signing in, as people do it: with the mouse, the keyboard, without JavaScript, in two tabs, with a wrong password.

import assert from "node:assert/strict";
import { alice } from "./support/demo.mjs";
import { ASKED_BY_ITSELF } from "./support/browser.mjs";
import { fillIn, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

person("signing in through the provider's form shows who is signed in", async ({ page, demo }) => {
  await signIn(page, demo);
  assert.equal(await page.getByTestId("user-email").textContent(), alice.email);
});

person("the password goes to the provider's address and never to ours", async ({ page, demo }) => {
  const told = [];
  page.on("request", (request) => {
    if (request.postData()?.includes(alice.password)) told.push(new URL(request.url()).origin);
  });
  await signIn(page, demo);
  assert.deepEqual(told, [demo.provider]);
});

person("a wrong password is said at the provider, and a right one then goes on", async ({ page, demo, expectRefusals }) => {
  expectRefusals("/login");
  await page.goto(demo.origin);
  await page.getByTestId("sign-in").first().click();
  await fillIn(page, { ...alice, password: "looking-glass" });
  await page.getByRole("alert").waitFor();
  await fillIn(page);
  await page.getByTestId("user-email").waitFor();
});

person("the sign-in page leads back to where the visitor wanted to go", async ({ page, demo }) => {
  await page.goto(`${demo.origin}/login?returnTo=${encodeURIComponent("/?room=7#door")}`);
  await page.getByRole("link", { name: "Sign in", exact: true }).click();
  await fillIn(page);
  await page.waitForURL(`${demo.origin}/?room=7#door`);
  await page.getByTestId("user-email").waitFor();
});

person("signing in leads to no other site", async ({ page, demo }) => {
  await signIn(page, demo); // from now on the provider sends the visitor straight back
  const site = demo.provider.replace("http://", "");
  for (const returnTo of [demo.provider, `//${site}`, `/\\${site}`, `/\t/${site}`, `/.//${site}`, `${demo.origin}@${site}`]) {
    await page.goto(`${demo.origin}/api/auth/sign-in?returnTo=${encodeURIComponent(returnTo)}`);
    assert.equal(page.url(), `${demo.origin}/`, returnTo);
  }
});

person("the keyboard alone signs in and out", async ({ page, demo }) => {
  await page.goto(demo.origin);
  await pressUntilFocused(page, page.getByTestId("sign-in").first());
  await page.keyboard.press("Enter");
  await page.getByLabel("Email").waitFor();
  await pressUntilFocused(page, page.getByLabel("Email"));
  await page.keyboard.type(alice.email);
  await page.keyboard.press("Tab");
  await page.keyboard.type(alice.password);
  await page.keyboard.press("Enter");
  await page.getByTestId("user-email").waitFor();
  await pressUntilFocused(page, page.getByTestId("sign-out"));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
});

person(
  "without JavaScript the whole way in and out works",
  async ({ page, demo }) => {
    await signIn(page, demo);
    assert.equal(await page.getByTestId("user-email").textContent(), alice.email);
    assert.match(await page.locator(".talk noscript p").textContent(), /^The channel needs JavaScript/);
    assert.equal(await page.getByTestId("text").isVisible(), false);
    for (const empty of ["log", "messages", "channel-state", "opened-with"]) assert.equal(await page.getByTestId(empty).isVisible(), false, empty);
    assert.equal(await page.getByText("This page opened a live channel").isVisible(), false);
    assert.equal(await page.locator(".hero noscript p").isVisible(), true);
    await page.getByTestId("sign-out").click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    await page.goto(demo.origin);
    assert.equal(await page.getByTestId("user-email").count(), 0);
  },
  { javaScriptEnabled: false },
);

person("sign-ins begun in two tabs both come to their end", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals(...ASKED_BY_ITSELF); // the second takes the first's place, which may just be asking
  const other = await context.newPage();
  for (const tab of [page, other]) {
    await tab.goto(`${demo.origin}/api/auth/sign-in`);
    await tab.getByLabel("Email").waitFor();
  }
  for (const tab of [other, page]) {
    await fillIn(tab);
    await tab.getByTestId("user-email").waitFor();
  }
});

person("a script's request to sign in is told 401 and leaves no cookie", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/api/auth/sign-in");
  await page.goto(demo.origin);
  const status = await page.evaluate(async () => (await fetch("/api/auth/sign-in")).status);
  assert.equal(status, 401);
  assert.deepEqual(await context.cookies(demo.origin), []);
});

person("a callback nobody asked for is explained, and offers to try again", async ({ page, demo, expectRefusals }) => {
  expectRefusals("/sign-in-callback");
  const answer = await page.goto(`${demo.origin}/api/auth/sign-in-callback?code=x&state=unknown`);
  assert.equal(answer.status(), 400);
  await page.getByRole("link", { name: "Try again" }).click();
  await fillIn(page);
  await page.getByTestId("user-email").waitFor();
});

person("going back to a callback that was used explains itself", async ({ page, demo, expectRefusals }) => {
  expectRefusals("/sign-in-callback");
  const callback = page.waitForRequest((request) => request.url().includes("/sign-in-callback"));
  await signIn(page, demo);
  const answer = await page.goto((await callback).url());
  assert.equal(answer.status(), 400);
  await page.getByRole("link", { name: /^Back to/ }).click();
  await page.getByTestId("user-email").waitFor(); // the session is none the worse
});

person("an address that is none gets a page with 404", async ({ page, demo, expectRefusals }) => {
  expectRefusals("/no/such/page");
  const answer = await page.goto(`${demo.origin}/no/such/page`);
  assert.equal(answer.status(), 404);
  await page.getByRole("link", { name: /^Back to/ }).click();
  await page.getByTestId("sign-in").first().waitFor();
});

// pressUntilFocused tabs on as far as a page of ours is long.
async function pressUntilFocused(page, target) {
  for (let presses = 0; presses < 30; presses++) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`30 presses of Tab do not reach ${target}`);
}
