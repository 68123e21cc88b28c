// (d) Vestibule in front of the application.

import assert from "node:assert/strict";
import { arrive, everyWay, SHORT_LIFE, whoami } from "./support/journey.mjs";
import { suite } from "./support/suite.mjs";

const person = suite("vestibule in front", { accessLife: `${SHORT_LIFE}s` });

everyWay(person, "wiring-d", { told: true });

person("the application gets its own cookies, the bearer token, the public host, and nothing of the session", async ({ page, context, way }) => {
  await context.addCookies([{ name: "theme", value: "dark", url: way.origin }]);
  await arrive(page, way);
  assert.equal((await context.cookies(way.origin)).length, 2);
  const { cookies, bearer, host, forwardedHost, forwardedProto } = await whoami(page);
  const own = new URL(way.origin).host;
  assert.deepEqual({ cookies, bearer, host, forwardedHost, forwardedProto }, { cookies: ["theme"], bearer: true, host: own, forwardedHost: own, forwardedProto: "http" });
});

person("no header that looks like an identity arrives from outside, however it is spelt", async ({ page, way }) => {
  await arrive(page, way);
  const forged = { "X-Auth-Request-Role": "admin", X_Auth_Request_User: "mallory", "x-auth_request-email": "m@example.com", "X-Forwarded-User": "mallory", "X-Forwarded-Groups": "admins" };
  const { identity } = await page.evaluate(async (headers) => (await fetch("/api/whoami", { headers })).json(), forged);
  const names = ["email", "groups", "preferred-username", "user"].map((name) => `x-auth-request-${name}`);
  assert.deepEqual(Object.keys(identity).sort(), names);
  assert.ok(!JSON.stringify(identity).includes("m@example.com") && !JSON.stringify(identity).includes("mallory"));
});
