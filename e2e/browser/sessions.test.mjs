// The page of one's own sessions: it tells the truth, works without a script, with the keyboard alone and by ear, and signs out whom it says.

import assert from "node:assert/strict";
import { visitor } from "./support/browser.mjs";
import { bruno } from "./support/demo.mjs";
import { fitsAnyName, look, withAxe } from "./support/looks.mjs";
import { signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite("--session.mode=server");

const AGENTS = {
  firefox: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
  iphone: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  unknown: "Refrigerator",
};
const TITLES = {
  en: ["Your devices", "Firefox on Windows"],
  "pt-BR": ["Seus dispositivos", "Firefox no Windows"],
  ja: ["サインイン中の端末", "Windows の Firefox"],
  id: ["Perangkat Anda", "Firefox di Windows"],
  "zh-CN": ["您的设备", "Windows 上的 Firefox"],
};

const list = (demo) => `${demo.origin}/api/auth/sessions`;
const rows = (page) => page.locator(".sessions li");
const heading = (page) => page.getByRole("heading", { name: "Your devices" });
const isSignedIn = async ({ context }, demo) => (await context.request.get(`${demo.origin}/api/auth/session`)).ok();

// elsewhere signs the same person in on other devices, one after the other, and ends them all with the test.
async function elsewhere({ browser, demo, t }, ...names) {
  const devices = [];
  for (const name of names) {
    const device = await visitor(browser, { userAgent: AGENTS[name], javaScriptEnabled: false });
    t.after(() => device.close());
    await signIn(device.page, demo);
    devices.push(device);
  }
  return devices;
}

person("the list shows every device, accessible and on every screen, in every language", async ({ page, context, demo, browser, t }) => {
  const others = await elsewhere({ browser, demo, t }, "firefox", "iphone", "unknown");
  await withAxe(context);
  await signIn(page, demo);
  await look(page, "demo-in-server-mode", ["light-desktop", "dark-phone"]);
  await page.getByTestId("sessions").click();
  await heading(page).waitFor();
  assert.deepEqual(await rows(page).locator("h2 bdi").allTextContents(), ["Chrome on Linux", "Unknown device", "Safari on iPhone", "Firefox on Windows"]);
  assert.deepEqual(await rows(page).filter({ hasText: "This device" }).locator("bdi").allTextContents(), ["Chrome on Linux"]);
  await look(page, "sessions");
  for (const [language, [title, device]] of Object.entries(TITLES)) {
    await page.goto(`${list(demo)}?lang=${language}`);
    assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), title);
    assert.equal(await rows(page).last().locator("bdi").textContent(), device);
    await look(page, `sessions-${language}`, ["light-phone"]);
  }
  await page.goto(list(demo));
  await page.getByRole("button", { name: "Sign out all other devices" }).click();
  await page.getByText("No other device is signed in.").waitFor();
  await look(page, "sessions-alone", ["light-desktop", "dark-phone"]);
  await fitsAnyName(page, "sessions-alone");
  for (const other of others) assert.equal(await isSignedIn(other, demo), false);
});

person("by ear and by keyboard: each button is called by its device, and what was done is where the reading goes on", async ({ page, demo, browser, t }) => {
  const [windows, iphone] = await elsewhere({ browser, demo, t }, "firefox", "iphone");
  await signIn(page, demo);
  await page.goto(list(demo));
  await page.getByRole("list").filter({ has: page.locator("time") }).waitFor();
  await page.getByRole("button", { name: /^Sign out Safari on iPhone Signed in 20\d\d-\d\d-\d\d \d\d:\d\d UTC$/ }).focus();
  await page.keyboard.press("Enter");
  const said = page.getByRole("status");
  await said.waitFor();
  assert.equal(await said.textContent(), "The device is signed out.");
  assert.equal(await said.evaluate((element) => element === document.activeElement), true, "the message has the focus");
  assert.deepEqual(await Promise.all([isSignedIn(windows, demo), isSignedIn(iphone, demo)]), [true, false]);
  assert.equal(await page.getByRole("button", { name: "Sign out Safari on iPhone" }).count(), 0);
  const reached = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.textContent.trim()));
  }
  const wanted = [...(await rows(page).getByRole("button").allTextContents()), "Sign out all other devices", "Sign out everywhere"];
  assert.deepEqual(reached.filter((text) => text.startsWith("Sign out")).slice(0, wanted.length), wanted);
});

person("by ear, two browsers of one kind are two, and one's own is known", async ({ page, context, demo, browser, t }) => {
  await elsewhere({ browser, demo, t }, "firefox", "firefox");
  await withAxe(context);
  await signIn(page, demo);
  await page.goto(list(demo));
  const [own, one, other] = (await rows(page).getByRole("button").all()).map((button) => button.ariaSnapshot());
  assert.match(await own, /"Sign out Chrome on Linux This device Signed in 20[\d-]+ [\d:]+ UTC"/);
  assert.match(await one, /"Sign out Firefox on Windows Signed in 20[\d-]+ [\d:]+ UTC"/);
  assert.notEqual(await one, await other);
  await look(page, "sessions-alike", ["light-desktop", "dark-phone"]);
});

person(
  "all of it works without JavaScript",
  async ({ page, demo, browser, t }) => {
    const others = await elsewhere({ browser, demo, t }, "firefox", "iphone");
    await signIn(page, demo);
    await page.goto(list(demo));
    await page.getByRole("button", { name: "Sign out all other devices" }).click();
    assert.equal(await page.getByRole("status").textContent(), "All other devices are signed out.");
    assert.equal(await rows(page).count(), 1);
    for (const other of others) {
      assert.equal(await isSignedIn(other, demo), false);
      await other.page.goto(list(demo));
      await other.page.getByRole("link", { name: "Sign in" }).waitFor();
    }
    await rows(page).getByRole("button").click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  },
  { javaScriptEnabled: false },
);

person("signing in leads back to the list, which is nobody else's", async ({ page, demo, browser, t }) => {
  const [other] = await elsewhere({ browser, demo, t }, "firefox");
  await page.goto(list(demo));
  await page.getByRole("link", { name: "Sign in", exact: true }).click();
  await page.getByLabel("Email").fill(bruno.email);
  await page.getByLabel("Password").fill(bruno.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(page).waitFor();
  assert.equal(page.url(), list(demo));
  assert.deepEqual(await rows(page).locator("bdi").allTextContents(), ["Chrome on Linux"]);
  await page.getByText(bruno.email.split("@")[0]).waitFor();
  assert.equal(await isSignedIn(other, demo), true);
});

person("signing out everywhere leaves no device signed in", async ({ page, demo, browser, t }) => {
  const [other] = await elsewhere({ browser, demo, t }, "iphone");
  await signIn(page, demo);
  await page.goto(list(demo));
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  assert.equal(await isSignedIn(other, demo), false);
});

person("the back button shows no list after signing out", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.goto(list(demo));
  await rows(page).getByRole("button").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "Sign in", exact: true }).waitFor();
  assert.equal(await rows(page).count(), 0);
});
