// The providers: ours for development, and the certified oidc-provider, which other people wrote. Each resolves to
// { issuer, tokenUrl, clientId, clientSecret, scope, forbidden, client(way), calls(), stop() }: clientId and clientSecret are what Vestibule
// itself asks with, client(way) gives those of a service that authenticates in that way; scope is what both may have, forbidden what not.

import { fileURLToPath } from "node:url";
import { start } from "../../wirings/support/processes.mjs";
import { startBackdrop } from "../../wirings/support/servers.mjs";

const SERVER = fileURLToPath(new URL("../../oidc-provider/server.mjs", import.meta.url));

export const providers = { devidp: startDevidp, "the certified oidc-provider": startCertified };

// startDevidp: one client, which may authenticate in either way, as at Cognito.
async function startDevidp(origin) {
  const backdrop = await startBackdrop({ origins: [origin] });
  const { issuer, clientId, clientSecret } = backdrop;
  return {
    issuer, clientId, clientSecret,
    tokenUrl: `${backdrop.provider}/oauth2/token`,
    scope: "vestibule/read vestibule/write",
    forbidden: "no/such",
    client: () => ({ clientId, clientSecret }),
    calls: async () => (await backdrop.stats()).clientCredentials.asked,
    stop: backdrop.stop,
  };
}

// startCertified: every client has one way to authenticate. The marks in the secrets are such as some libraries escape and others do not.
async function startCertified() {
  const service = (clientAuth) => ({ clientId: `orders-${clientAuth}`, clientSecret: `a-secret_of.${clientAuth}~`, clientAuth });
  const services = [service("client_secret_basic"), service("client_secret_post")];
  const settings = { machineClients: services, machineScopes: ["orders/read", "orders/write"], resource: "https://orders.example", accessTokenSeconds: 3600 };
  const { is: ready, stop } = await start({
    name: "oidc-provider",
    command: process.execPath,
    args: [SERVER],
    env: { OIDC_PROVIDER_CONFIG: JSON.stringify({ ...settings, redirectUris: ["http://127.0.0.1/unused"] }) },
    ready: (said) => {
      const line = /^\{"issuer".*\}$/m.exec(said);
      return line && JSON.parse(line[0]);
    },
  });
  return {
    issuer: ready.issuer,
    clientId: services[0].clientId,
    clientSecret: services[0].clientSecret,
    tokenUrl: `${ready.issuer}/token`,
    scope: "orders/read orders/write",
    forbidden: "offline_access", // what it has never heard of it leaves out without a word
    client: (way) => services.find(({ clientAuth }) => clientAuth === way),
    calls: async () => {
      const { granted, refused } = await (await fetch(`${ready.issuer}/e2e/counts`)).json();
      return (granted.client_credentials ?? 0) + refused.length;
    },
    stop,
  };
}
