// One demo and one browser for the tests of a file.

import { after, before, test } from "node:test";
import { launch, visitor } from "./browser.mjs";
import { startDemo } from "./demo.mjs";

const TEST_LIMIT = 90_000; // ms

// suite returns `person(name, does, options)`: a test in which does({ demo, page, context, browser, expectRefusals }) is one person's
// visit. It fails if the browser complained of anything: a console error, an exception, a violation of a content security policy.
// The flags are those of its demo.
export function suite(...flags) {
  let demo;
  let browser;
  before(async () => {
    [demo, browser] = await Promise.all([startDemo(...flags), launch()]);
  });
  after(async () => {
    await browser?.close();
    await demo?.stop();
  });
  return function person(name, does, options) {
    test(name, { timeout: TEST_LIMIT }, async (t) => {
      const visit = await visitor(browser, options);
      try {
        await does({ ...visit, demo, browser, t });
        visit.check();
      } finally {
        await visit.close();
      }
    });
  };
}
