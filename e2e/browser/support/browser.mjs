// Debian's Chromium, driven by playwright-core, with an ear on everything that it complains about.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const PATIENCE = 15_000; // ms for any one thing to happen on a page; generous, for slow machines

// The browser asks nothing of the network: whatever it looks for beside our pages would only be refused and cost time.
const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu"];

export async function launch() {
  const executablePath = PLACES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no Chromium: run "make setup", or name one in CHROMIUM');
  // Without the sandbox, which neither root nor most containers can have: the pages are all our own.
  return chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: QUIET });
}

// visitor gives one person's browser: cookies of its own, a first tab, and the list of complaints, which check() wants to be empty.
// Options are those of a playwright context, and ignoreComplaints, a pattern of complaints that are the point of a test.
export async function visitor(browser, { ignoreComplaints, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const expected = [];
  context.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const { url } = message.location();
    if (message.text().startsWith("Failed to load resource") && expected.some((path) => url.includes(path))) return;
    if (ignoreComplaints?.test(message.text())) return;
    complaints.push(`console ${message.type()}: ${message.text()} (${url})`);
  });
  context.on("weberror", (error) => complaints.push(`exception: ${error.error().message}`));
  if (options.javaScriptEnabled !== false) {
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`securitypolicyviolation: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
  }
  return {
    context,
    page: await context.newPage(),
    // expectRefusals names paths that answer 4xx or 5xx on purpose: the console says so, and that is no complaint.
    expectRefusals: (...paths) => expected.push(...paths),
    check: () => assert.deepEqual(complaints, [], "the browser complains"),
    close: () => context.close(),
  };
}
