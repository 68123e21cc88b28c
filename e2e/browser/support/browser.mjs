// Debian's Chromium, driven by playwright-core, with an ear on everything that it complains about.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

// The engine alone, and the browser around it, which takes three times the processor for the same page.
const ENGINE = "/usr/bin/chromium-headless-shell";
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const PATIENCE = 15_000; // ms for any one thing to happen on a page; generous, for slow machines

// The browser asks nothing of the network: whatever it looks for beside our pages would only be refused and cost time.
const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu"];

// launch starts it; options are those of playwright's launch, and whole: the browser itself, for what the engine alone has not (the pages
// that are kept for the back button).
export async function launch({ whole = false, ...options } = {}) {
  const places = [process.env.CHROMIUM, ...(whole ? [] : [ENGINE]), ...BROWSERS];
  const executablePath = places.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no Chromium: run "make setup", or name one in CHROMIUM');
  // Without the sandbox, which neither root nor most containers can have: the pages are all our own.
  return chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: QUIET, ...options });
}

// LEFT_EARLY is what Chromium says when a page is left while it opens a socket: a visitor who is quick, and nobody's fault.
const LEFT_EARLY = /^WebSocket connection to '[^']*' failed: WebSocket is closed before the connection is established/;

// ASKED_BY_ITSELF is what a page with client.js asks without anybody's doing, and every open page does so when it likes. Where a session ends
// or another takes its place, what one of them was just asking with the old one is 401.
export const ASKED_BY_ITSELF = ["/api/cognito-token", "/api/auth/events", "/api/auth/session"];

const SIGN_OUT = /\/(sign-out|logout)\b/;

// visitor gives one person's browser: cookies of its own, a first tab, and the list of complaints, which check() wants to be empty.
// Options are those of a playwright context, and ignoreComplaints, a pattern of complaints that are the point of a test.
export async function visitor(browser, { ignoreComplaints, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  const expected = [];
  let ended = false; // the last session of this browser has been signed out
  let expectsEnd = false; // the test says that one ends
  const visits = new WeakMap(); // page → how many documents it has shown
  context.on("request", (request) => {
    const { pathname } = new URL(request.url());
    ended = (ended || SIGN_OUT.test(pathname)) && !pathname.endsWith("/sign-in-callback");
  });
  context.on("page", (page) => {
    visits.set(page, 0);
    page.on("framenavigated", (frame) => {
      if (frame === page.mainFrame()) visits.set(page, visits.get(page) + 1);
    });
  });
  context.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const { url } = message.location();
    if (message.text().startsWith("Failed to load resource") && expected.some((path) => url.includes(path))) return;
    if (ignoreComplaints?.test(message.text())) return;
    if (LEFT_EARLY.test(message.text())) return;
    const page = message.page();
    const visit = visits.get(page);
    const asked = message.text().includes("401 (Unauthorized)") && ASKED_BY_ITSELF.some((path) => url.includes(path));
    const over = ended;
    // The session is over, or the person has left that page since: for signing in or out, mostly.
    const excused = () => asked && (expectsEnd || over || ended || (page !== null && (page.isClosed() || visits.get(page) > visit)));
    complaints.push({ said: `console ${message.type()}: ${message.text()} (${url})`, excused });
  });
  context.on("weberror", (error) => complaints.push({ said: `exception: ${error.error().message}`, excused: () => false }));
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
    // expectRefusals names paths that answer 4xx or 5xx on purpose: the console says so, and that is no complaint. One that is asked by
    // itself says that a session ends: then no page's 401 is a complaint.
    expectRefusals: (...paths) => {
      expected.push(...paths);
      expectsEnd ||= paths.some((path) => ASKED_BY_ITSELF.includes(path));
    },
    check: () => assert.deepEqual(complaints.filter(({ excused }) => !excused()).map(({ said }) => said), [], "the browser complains"),
    close: () => context.close(),
  };
}
