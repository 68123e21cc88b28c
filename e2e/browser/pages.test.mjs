// Every page: its pictures in light and dark, on a phone and a desk (e2e/screenshots), accessible by axe-core's rules, no wider than
// the narrowest screen, and without a complaint from the browser.

import assert from "node:assert/strict";
import { fitsAnyName, look, withAxe } from "./support/looks.mjs";
import { suite } from "./support/suite.mjs";
import { languages, refused, views } from "./support/views.mjs";

const person = suite();

for (const [name, open] of Object.entries(views)) {
  person(`${name} is accessible and fits every screen`, async ({ page, context, demo, expectRefusals }) => {
    expectRefusals(...refused);
    await withAxe(context);
    await open(page, demo);
    await look(page, name);
    if (!name.startsWith("provider-")) await fitsAnyName(page, name); // those have a name of their own
  });
}

for (const [language, heading] of Object.entries(languages)) {
  person(
    `login speaks ${language} to a browser that prefers it`,
    async ({ page, context, demo }) => {
      await withAxe(context);
      await page.goto(`${demo.origin}/login`);
      assert.equal(await page.locator("html").getAttribute("lang"), language);
      assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), heading);
      await look(page, `login-${language}`, ["light-desktop", "dark-phone"]);
      await fitsAnyName(page, `login-${language}`);
    },
    { locale: language },
  );
}

person("login speaks the language that the visitor chooses, whatever the browser prefers", async ({ page, demo }) => {
  await page.goto(`${demo.origin}/login?returnTo=/somewhere`);
  await page.getByRole("link", { name: "日本語" }).click();
  await page.getByRole("heading", { name: languages.ja }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "ja");
  assert.equal(new URL(page.url()).searchParams.get("returnTo"), "/somewhere");
});
