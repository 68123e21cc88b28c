// The passing of time: nobody touches the page, and its token is replaced before it ends.

import assert from "node:assert/strict";
import { claim, logged, secondsLeft, signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();

person("a page left alone has a new token before the old one ends", async ({ page, demo }) => {
  await signIn(page, demo);
  await page.getByTestId("get-token").click();
  await logged(page, "token fetched");
  const [expiry, before] = [await claim(page, "exp"), await demo.stats()];
  await logged(page, "refreshed on the server", 45_000);
  assert.ok((await claim(page, "exp")) !== expiry, "the expiry is the same");
  assert.ok((await secondsLeft(page)) > 35, "the new token is not fresh");
  assert.equal((await demo.stats()).refresh.ok - before.refresh.ok, 1);
});
