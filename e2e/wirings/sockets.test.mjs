// WebSockets of an application, in a browser, through every front.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { alice, enter } from "./support/journey.mjs";
import { startListener } from "./support/listener.mjs";
import { suite } from "./support/suite.mjs";

// who the application learns of from the handshake, and whether our cookie stays behind.
const FRONTS = [
  { name: "nginx by path", told: false, strips: false },
  { name: "caddy by path", told: false, strips: false },
  { name: "nginx auth_request", told: true, strips: false },
  { name: "caddy forward_auth", told: true, strips: false },
  { name: "vestibule in front", told: true, strips: true },
];

// boarded signs in, and opens a socket in a page of the application. The page keeps it, and how it ended.
async function boarded(page, way) {
  await enter(page, way, "/berths");
  return page.evaluate(() => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/socket`);
    socket.onopen = () => socket.send("Ahoy");
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error("the socket failed"));
    window.ended = new Promise((over) => (socket.onclose = ({ code, reason, wasClean }) => over({ code, reason, wasClean })));
  }));
}

for (const { name, told, strips } of FRONTS) {
  describe(name, () => {
    const person = suite(name, { application: startListener });

    person("a socket opens, speaks, and its handshake says who is there", async ({ page, context, way }) => {
      await context.addCookies([{ name: "theme", value: "dark", url: way.origin }]);
      assert.equal(await boarded(page, way), "Ahoy");
      const { target, headers } = way.application.heard.find(({ headers }) => headers.some(([name]) => name === "upgrade"));
      const sent = Object.fromEntries(headers);
      assert.equal(target, "/socket");
      assert.equal(sent["x-auth-request-email"], told ? alice.email : undefined);
      assert.equal(/^Bearer ey/.test(sent.authorization ?? ""), told);
      const cookies = sent.cookie.split("; ").map((pair) => pair.split("=")[0]);
      assert.ok(cookies.includes("theme"), "the application's own cookie is missing");
      assert.equal(cookies.length, strips ? 1 : 2, `cookies: ${cookies}`);
    });

    if (strips) {
      person("signing out in another window ends the socket, and says so", async ({ page, context, way }) => {
        await boarded(page, way);
        const other = await context.newPage();
        await other.goto(`${way.origin}/api/auth/sign-out`);
        await other.getByRole("heading", { name: "You are signed out" }).waitFor();
        assert.deepEqual(await page.evaluate(() => window.ended), { code: 1008, reason: "session over", wasClean: true });
      });
    }
  });
}
