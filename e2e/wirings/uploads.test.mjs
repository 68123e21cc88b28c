// What is larger than a proxy takes by itself.

import assert from "node:assert/strict";
import { enter } from "./support/journey.mjs";
import { startListener } from "./support/listener.mjs";
import { suite } from "./support/suite.mjs";

const SIZE = 3_000_000; // bytes; nginx takes 1 MB unless it is told otherwise

for (const name of ["nginx by path", "nginx auth_request", "caddy by path", "caddy forward_auth"]) {
  const person = suite(name, { application: startListener });

  person("an upload arrives whole", async ({ page, way }) => {
    await enter(page, way, "/berths");
    const status = await page.evaluate(async (size) => (await fetch("/charts", { method: "POST", body: "x".repeat(size) })).status, SIZE);
    assert.equal(status, 200);
    assert.equal(way.application.heard.find(({ target }) => target === "/charts").body.length, SIZE);
  });
}
