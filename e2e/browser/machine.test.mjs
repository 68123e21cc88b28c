// Machine tokens: a thousand requests cost the provider one call, the next thousand none, and the page that shows it needs no script.

import assert from "node:assert/strict";
import { look, withAxe } from "./support/looks.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

const calls = async (demo) => (await demo.stats()).clientCredentials.asked;
const number = async (page, id) => Number((await page.getByTestId(id).textContent()).replace(",", ""));

// press waits for the whole page: its dots come after the outcome, and a browser shows the beginning of a page before it has the end.
async function press(page, how = (button) => button.click()) {
  await how(page.getByTestId("send-burst"));
  await page.waitForURL(/#burst$/);
  await page.getByTestId("outcome").waitFor();
}

// dots gives the three kinds of them; a kind that did not occur is not in the legend.
async function dots(page) {
  const of = async (kind) => ((await page.getByTestId(`dots-${kind}`).count()) ? number(page, `dots-${kind}`) : 0);
  return { asked: await of("asked"), waited: await of("waited"), hit: await of("hit") };
}

person("another site's page cannot press the button", async ({ page, context, demo, expectRefusals }) => {
  await withAxe(context);
  expectRefusals("/machine/burst");
  const elsewhere = "http://elsewhere.example/";
  const form = `<!doctype html><html lang="en"><title>x</title><form method="post" action="${demo.origin}/machine/burst"><button>Win</button></form></html>`;
  await page.route(elsewhere, (route) => route.fulfill({ contentType: "text/html", body: form }));
  await page.goto(elsewhere);
  const answered = page.waitForResponse(`${demo.origin}/machine/burst`);
  await page.getByRole("button").click();
  assert.equal((await answered).status(), 403);
  await page.goto(`${demo.origin}/machine`);
  assert.equal(await page.getByTestId("outcome").count(), 0, "a burst was sent all the same");
  assert.equal(await calls(demo), 0, "calls that the provider counted");
  await look(page, "machine-before");
});

person("a provider that fails is told as it is", async ({ page, context, demo }) => {
  await withAxe(context);
  await demo.faults({ token: { status: 400 } });
  await page.goto(`${demo.origin}/machine`);
  await press(page);
  await demo.faults({});
  assert.match(await page.getByTestId("outcome").textContent(), /^0 tokens, \d+ calls to the provider$/);
  assert.equal(await number(page, "dots-failed"), 1000);
  await look(page, "machine-failed");
});

person("a burst costs one call, the next one none, and the page says so to everybody", async ({ page, context, demo }) => {
  await withAxe(context);
  await page.goto(demo.origin);
  await page.getByRole("link", { name: "Machines" }).click();
  await page.waitForURL(`${demo.origin}/machine`);
  const before = await calls(demo);

  await press(page, (button) => button.press("Enter"));
  const first = await dots(page);
  assert.equal(await calls(demo), before + 1, "calls that the provider counted");
  assert.equal(await page.getByTestId("outcome").textContent(), "1,000 tokens, 1 call to the provider");
  assert.match(await page.title(), /^1,000 tokens, 1 call/);
  assert.equal(first.asked, 1);
  assert.equal(first.asked + first.waited + first.hit, 1000);
  assert.equal(await number(page, "tokens"), 1);
  const words = await page.locator(".burst").getByRole("img").getAttribute("aria-label");
  assert.match(words, /^1,000 dots, one for each request; 1 asked the provider; /);
  assert.equal(await page.evaluate(() => document.querySelector(":target")?.id), "burst");
  await look(page, "machine-first");
  const left = Number.parseInt(await page.getByTestId("burst-expires-in").textContent(), 10);
  assert.ok(left > 50 && left <= 60, `expires_in is ${left}`);

  await press(page);
  await page.getByTestId("bursts").waitFor();
  assert.equal(await calls(demo), before + 1, "calls that the provider counted, after the second burst");
  assert.equal(await page.getByTestId("outcome").textContent(), "1,000 tokens, 0 calls to the provider");
  assert.deepEqual(await dots(page), { asked: 0, waited: 0, hit: 1000 });
  const later = Number.parseInt(await page.getByTestId("burst-expires-in").textContent(), 10);
  assert.ok(later < left, `expires_in was ${left} and is ${later}, some seconds later`);
  await look(page, "machine-second");

  await page.reload();
  assert.equal(await page.getByTestId("bursts").locator("tbody tr").count(), 3, "loading the page again sends nothing");
  await page.keyboard.press("Tab");
  await page.getByRole("link", { name: "People" }).click();
  await page.getByTestId("sign-in").waitFor();
});

person(
  "without JavaScript it is the same page",
  async ({ page, demo }) => {
    await page.goto(`${demo.origin}/machine`);
    await press(page);
    assert.match(await page.getByTestId("outcome").textContent(), /^1,000 tokens, [01] calls? to the provider$/);
  },
  { javaScriptEnabled: false },
);
