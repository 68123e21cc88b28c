// The certified oidc-provider as a second OpenID provider, for tests: written by other people than ours, strict where ours is
// lenient, and without any grace for a refresh token that comes back.
//
// It is configured by one JSON object in OIDC_PROVIDER_CONFIG (the keys are at `settings` below), listens on loopback, prints one JSON
// line {"issuer","port"} when it is ready, and ends when its standard input is closed, so that it never outlives its test. GET /e2e/counts
// tells what was asked of it. Anybody may sign in under any name: not for production, nor for any address but loopback.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";

console.info = console.error; // the provider's notices; standard output is for the one line

const { default: Provider } = await import("oidc-provider");

const settings = {
  port: 0, // 0 takes a free one
  clientId: "e2e",
  clientSecret: "e2e-secret",
  clientAuth: "client_secret_basic",
  redirectUris: [],
  postLogoutRedirectUris: [],
  backchannelLogoutUri: "", // where logout tokens are sent; "" sends none
  accessTokenSeconds: 300,
  idTokenSeconds: 300,
  refreshTokenSeconds: 86_400,
  resource: "", // access tokens are JWTs for this audience; "" makes them opaque
  machineClients: [], // {clientId, clientSecret, clientAuth}: services that use the client_credentials grant
  machineScopes: [], // what they may ask for
  ...JSON.parse(process.env.OIDC_PROVIDER_CONFIG ?? "{}"),
};

const counts = {
  granted: {}, // grant type → token answers
  refused: [], // {grant, error, detail}, the newest last
  grantsRevoked: 0, // by revocation, by logout and by a token or code that came back
  revocations: 0,
  logouts: 0,
};
const REFUSALS_KEPT = 200;

const server = createServer();
server.listen(settings.port, "127.0.0.1", () => {
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  const answer = makeProvider(issuer).callback();
  server.on("request", (req, res) => (req.url === "/e2e/counts" ? tellCounts(res) : answer(req, res)));
  process.stdout.write(`${JSON.stringify({ issuer, port })}\n`);
});
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
process.stdin.on("end", () => process.exit(0)).resume();

function makeProvider(issuer) {
  const provider = new Provider(issuer, configuration());
  provider.on("grant.success", (ctx) => {
    const grant = ctx.oidc.params.grant_type;
    counts.granted[grant] = (counts.granted[grant] ?? 0) + 1;
  });
  provider.on("grant.error", (ctx, error) => {
    counts.refused.push({ grant: ctx.oidc?.params?.grant_type ?? "", error: error.error, detail: error.error_detail ?? "" });
    counts.refused.splice(0, counts.refused.length - REFUSALS_KEPT);
  });
  provider.on("grant.revoked", () => (counts.grantsRevoked += 1));
  provider.on("end_session.success", () => (counts.logouts += 1));
  provider.on("server_error", (_ctx, error) => console.error(error));
  provider.on("backchannel.error", (_ctx, error) => console.error(error));
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === "revocation" && ctx.status === 200) counts.revocations += 1;
  });
  return provider;
}

function configuration() {
  return {
    clients: [client(), ...settings.machineClients.map(machineClient)],
    scopes: ["openid", "offline_access", ...settings.machineScopes],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
    conformIdTokenClaims: false, // e-mail and name stand in the ID token, where Cognito puts them too
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
    pkce: { required: () => true },
    // Without these two a refresh token would need offline_access, and would stay the same for most of its life.
    issueRefreshToken: (_ctx, asking) => asking.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: settings.accessTokenSeconds,
      ClientCredentials: settings.accessTokenSeconds,
      IdToken: settings.idTokenSeconds,
      RefreshToken: settings.refreshTokenSeconds,
      Session: settings.refreshTokenSeconds,
      Grant: settings.refreshTokenSeconds,
      Interaction: 600,
    },
    cookies: { keys: [randomBytes(32).toString("base64url")] },
    jwks: { keys: [signingKey()] },
    features: {
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      clientCredentials: { enabled: settings.machineClients.length > 0 },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: settings.backchannelLogoutUri !== "" },
      resourceIndicators: resourceIndicators(),
    },
    // The provider's own fetch refuses loopback, which is where logout tokens are to go.
    fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
  };
}

function client() {
  const registered = {
    client_id: settings.clientId,
    client_secret: settings.clientSecret,
    token_endpoint_auth_method: settings.clientAuth,
    redirect_uris: settings.redirectUris,
    post_logout_redirect_uris: settings.postLogoutRedirectUris,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  };
  if (settings.backchannelLogoutUri !== "") {
    registered.backchannel_logout_uri = settings.backchannelLogoutUri;
    registered.backchannel_logout_session_required = true;
  }
  return registered;
}

function machineClient({ clientId, clientSecret, clientAuth }) {
  return {
    client_id: clientId,
    client_secret: clientSecret,
    token_endpoint_auth_method: clientAuth,
    redirect_uris: [],
    grant_types: ["client_credentials"],
    response_types: [],
    scope: settings.machineScopes.join(" "),
  };
}

function resourceIndicators() {
  if (settings.resource === "") return { enabled: false };
  return {
    enabled: true,
    defaultResource: () => settings.resource,
    useGrantedResource: () => true,
    getResourceServerInfo: () => ({
      audience: settings.resource,
      scope: ["openid email profile", ...settings.machineScopes].join(" "),
      accessTokenFormat: "jwt",
      accessTokenTTL: settings.accessTokenSeconds,
    }),
  };
}

function claimsOf(id) {
  const name = id.split("@")[0];
  return {
    sub: id,
    email: id.includes("@") ? id : `${id}@example.com`,
    email_verified: true,
    name: name.charAt(0).toUpperCase() + name.slice(1),
    preferred_username: name,
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomBytes(8).toString("hex"), use: "sig", alg: "RS256" };
}

function tellCounts(res) {
  res.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  res.end(JSON.stringify(counts));
}
