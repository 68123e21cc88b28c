// The same with Caddy: its two files of docs/reverse-proxy, each for one visit.

import assert from "node:assert/strict";
import { alice, arrive, connected, freshBeforePages, heard, say, SHORT_LIFE, whoami } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

for (const [name, told] of [["caddy by path", false], ["caddy forward_auth", true]]) {
  const person = suite(name, { accessLife: `${SHORT_LIFE}s` });

  person("sign in, be known to the server, chat, sign out", async ({ page, context, way, expectRefusals }) => {
    expectRefusals("_rsc=");
    await arrive(page, way, "/chat");
    await connected(page);
    await say(page, "Gangway down");
    await heard(page, "Gangway down");
    const { user, bearer } = await whoami(page);
    assert.deepEqual([user.email, bearer], [alice.email, told]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    assert.deepEqual(await context.cookies(way.origin), []);
    await page.goto(`${way.origin}/dashboard?of=1&at=2`);
    await page.waitForURL(/\/login\?returnTo=/);
  });

  person("identity headers from outside change nothing", async ({ page, way }) => {
    const forged = { "X-Auth-Request-User": "mallory", "X-Auth-Request-Groups": "admins", "X-Auth-Request-Other": "mallory", Authorization: "Bearer eyJmb3JnZWQ" };
    const gate = await fetch(`${way.origin}/dashboard`, { headers: forged, redirect: "manual" });
    assert.ok([302, 307, 401].includes(gate.status), `dashboard answers ${gate.status}`);
    await arrive(page, way);
    const seen = await page.evaluate(async (headers) => (await fetch("/api/whoami", { headers })).json(), forged);
    assert.equal(seen.user.email, alice.email);
    if (told) assert.ok(!JSON.stringify(seen.identity).includes("mallory"), JSON.stringify(seen.identity));
  });

  if (told) freshBeforePages(person);
}
