// How a page looks and reads: pictures, accessibility, and whether it fits a narrow screen.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const SCREENSHOTS = fileURLToPath(new URL("../../screenshots/", import.meta.url));
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const NARROW = 320; // CSS pixels: WCAG 2.2, criterion 1.4.10 (reflow), and 1280 at a zoom of 400 %

// Names that an application may have (brand.name, 64 characters at most): a word of everyday German, and the longest, in either direction.
const LONG_NAMES = ["Donaudampfschifffahrtsgesellschaft", "W".repeat(64), "ש".repeat(64)];

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const ALL = ["light-desktop", "light-phone", "dark-desktop", "dark-phone"];

// withAxe loads the checker into every page to come, past the pages' policies, which the browser still holds the page itself to.
export const withAxe = (context) => context.addInitScript({ content: AXE });

// look takes pictures of the page in the given settings, wants it to be accessible in each, and to fit the narrowest screen.
export async function look(page, name, settings = ALL) {
  for (const setting of settings) {
    const [colorScheme, size] = setting.split("-");
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize(SIZES[size]);
    await page.screenshot({ path: `${SCREENSHOTS}${name}-${setting}.png`, fullPage: true, animations: "disabled" });
    await assertAccessible(page, `${name}, ${setting}`);
  }
  await assertFits(page, name);
}

async function assertAccessible(page, where) {
  const violations = await page.evaluate(async (tags) => {
    const { violations: found } = await globalThis.axe.run(document, { runOnly: tags });
    return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} (${failureSummary})`).join("; ")}`);
  }, RULES);
  assert.deepEqual(violations, [], where);
}

// fitsAnyName gives the page an application of another name, and wants it to fit the narrowest screen all the same. The page is left so.
export async function fitsAnyName(page, name) {
  let brand = "Vestibule";
  for (const long of LONG_NAMES) {
    const told = await page.evaluate(
      ([from, to]) => {
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        let count = 0;
        while (texts.nextNode()) {
          if (!texts.currentNode.data.includes(from)) continue;
          texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
          count++;
        }
        return count;
      },
      [brand, long],
    );
    assert.notEqual(told, 0, `${name} does not name the application`);
    brand = long;
    await assertFits(page, `${name}, of ${long},`);
  }
}

// assertFits names what sticks out, since a scroll bar alone does not.
async function assertFits(page, name) {
  await page.setViewportSize({ width: NARROW, height: 640 });
  const wide = await page.evaluate((limit) => {
    if (document.documentElement.scrollWidth <= limit) return [];
    const outside = [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > limit + 0.5);
    return [`scrolls to ${document.documentElement.scrollWidth} px`, ...outside.map((element) => element.outerHTML.slice(0, 80))];
  }, NARROW);
  assert.deepEqual(wide, [], `${name} is wider than ${NARROW} px`);
}
