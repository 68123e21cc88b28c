// A service moves over to Vestibule by changing one URL. Each program runs as it is, first against the provider and then through
// Vestibule, and must not be able to tell the difference; only the provider can.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePorts, temporary } from "../wirings/support/processes.mjs";
import { startVestibule } from "../wirings/support/servers.mjs";
import { programs } from "./support/programs.mjs";
import { providers } from "./support/providers.mjs";

const LIMIT = 60_000; // ms
const CROWD = 100;
const billing = { clientId: "billing", clientSecret: "a-key_of.billing-itself~" };

for (const [kind, startProvider] of Object.entries(providers)) {
  describe(kind, { timeout: 4 * LIMIT }, () => {
    let provider;
    let vestibule;
    let folder;
    let tokenUrl; // Vestibule's

    before(async () => {
      const [port] = await freePorts(1);
      const origin = `http://localhost:${port}`;
      [provider, folder] = await Promise.all([startProvider(origin), temporary()]);
      const file = join(folder.path, "vestibule.json"); // JSON is YAML
      const clients = [{ id: billing.clientId, secret: billing.clientSecret, scopes: provider.scope.split(" ") }];
      await writeFile(file, JSON.stringify({ machine: { enabled: true, token_url: provider.tokenUrl, clients } }));
      vestibule = await startVestibule({ port, origin, backdrop: provider, settings: { config: file } });
      tokenUrl = `${origin}/oauth2/token`;
    });
    after(async () => {
      await vestibule?.stop();
      await provider?.stop();
      await folder?.remove();
    });

    // costs gives what a piece of work brought, and how many requests it cost the provider.
    const costs = async (work) => {
      const before = await provider.calls();
      const got = await work();
      return { got, calls: (await provider.calls()) - before };
    };

    for (const [name, { way, ask }] of Object.entries(programs)) {
      // Another resource for each program: none is served what another one has warmed up.
      const target = (changes) => ({ tokenUrl, ...provider.client(way), scope: provider.scope, resource: `https://orders.example/${encodeURIComponent(name)}`, ...changes });

      test(`${name} gets through Vestibule what it gets from the provider, for one request`, { timeout: LIMIT }, async () => {
        const direct = await ask(target({ tokenUrl: provider.tokenUrl }));
        const { got, calls } = await costs(async () => [await ask(target()), await ask(target()), await ask(target())]);
        assert.equal(calls, 1, "requests to the provider");
        assert.deepEqual(shape(got[0]), shape(direct));
        for (const one of got) {
          assert.equal(one.token, got[0].token);
          assert.ok(one.seconds > 3500 && one.seconds <= 3600, `expires in ${one.seconds} s`);
        }
        const turned = provider.scope.split(" ").reverse().join(" ");
        assert.equal((await ask(target({ scope: turned }))).token, got[0].token, "the scopes in another order");
      });

      test(`${name} is refused in the provider's words`, { timeout: LIMIT }, async () => {
        for (const wrong of [{ clientSecret: "wrong" }, { scope: provider.forbidden }]) {
          const direct = await refusal(ask(target({ ...wrong, tokenUrl: provider.tokenUrl })));
          assert.equal(await refusal(ask(target(wrong))), direct);
        }
      });

      test(`${name} gets a token with a key of its own, and no scope but its own`, { timeout: LIMIT }, async () => {
        // A named client sends no resource: what it may have is configured.
        const { token } = await ask(target({ ...billing, resource: "" }));
        assert.equal(claims(token).client_id, provider.clientId);
        assert.equal(claims(token).scope, provider.scope);
        assert.match(await refusal(ask(target({ ...billing, resource: "", scope: "no/such" }))), /invalid_scope/);
        assert.match(await refusal(ask(target({ ...billing, resource: "", clientSecret: "another-key-of-billing" }))), /invalid_client|OAUTH_WWW_AUTHENTICATE_CHALLENGE/);
      });
    }

    test(`${CROWD} programs that start at once cost one request`, { timeout: LIMIT }, async () => {
      const { way, ask } = programs["openid-client with client_secret_post"];
      const target = { tokenUrl, ...provider.client(way), scope: provider.scope.split(" ")[0], resource: "https://orders.example/crowd" };
      const { got, calls } = await costs(() => Promise.all(Array.from({ length: CROWD }, () => ask(target))));
      assert.equal(calls, 1, "requests to the provider");
      assert.equal(new Set(got.map(({ token }) => token)).size, 1);
    });

    test("what is said on the way tells what the cache did, and nobody else keeps it", { timeout: LIMIT }, async () => {
      const { clientId, clientSecret } = provider.client("client_secret_post");
      const body = new URLSearchParams({ grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope: provider.scope.split(" ")[1] });
      const said = [];
      for (let n = 0; n < 2; n += 1) said.push((await fetch(tokenUrl, { method: "POST", body })).headers);
      assert.match(said[0].get("cache-status"), /^vestibule; fwd=miss; fwd-status=200; stored; ttl=3[56]\d\d$/);
      assert.match(said[1].get("cache-status"), /^vestibule; hit; ttl=3[56]\d\d$/);
      assert.match(said[1].get("age"), /^\d$/);
      assert.equal(said[1].get("cache-control"), "no-store");
      assert.equal(said[1].get("set-cookie"), null);
    });
  });
}

// shape is what two tokens for the same request have in common.
function shape({ token, type, seconds }) {
  const { iss, sub, aud, client_id: client, scope } = claims(token);
  return { iss, sub, aud, client, scope, type: type.toLowerCase(), seconds: Math.ceil(seconds / 100) };
}

function claims(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
}

// refusal gives what a program says when it gets nothing.
async function refusal(asked) {
  const got = await asked.then((token) => token, (error) => error);
  assert.ok(got instanceof Error, `got ${JSON.stringify(got)}, want a refusal`);
  return got.message;
}
