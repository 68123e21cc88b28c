// One way and one browser for the tests of a file.

import { after, before, test } from "node:test";
import { launch, visitor } from "../../browser/support/browser.mjs";
import { withAxe } from "../../browser/support/looks.mjs";
import { startWay } from "./ways.mjs";

const TEST_LIMIT = 90_000; // ms

// suite returns `person(name, does, options)`: a test in which does({ way, page, context, browser, expectRefusals }) is one person's
// visit. It fails if the browser complained of anything.
export function suite(name, settings) {
  let way;
  let browser;
  before(async () => {
    // One after the other: what has started has to be known to after() when the next does not.
    browser = await launch();
    way = await startWay(name, settings);
  });
  after(async () => {
    await browser?.close();
    await way?.stop();
  });
  return function person(does, what, options) {
    test(`${name}: ${does}`, { timeout: TEST_LIMIT }, async (t) => {
      // The events server has a certificate of its own making, and Amplify speaks nothing but wss.
      const visit = await visitor(browser, { ignoreHTTPSErrors: true, ...options });
      await withAxe(visit.context);
      try {
        await what({ ...visit, way, browser, t });
        visit.check();
      } finally {
        await visit.close();
      }
    });
  };
}
