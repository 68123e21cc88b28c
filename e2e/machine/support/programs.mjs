// Programs that get a token as services do, each written by other people than us and used as it comes. What each is told is a target:
// { tokenUrl, clientId, clientSecret, scope, resource }. It resolves to { token, type, seconds }, or rejects with what it says itself.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { allowInsecureRequests, ClientSecretBasic, ClientSecretPost, clientCredentialsGrant, Configuration } from "openid-client";

const SERVICE = fileURLToPath(new URL("../../.build/service", import.meta.url));
const PATIENCE = 30_000; // ms

const run = promisify(execFile);

// way is how the program authenticates itself.
export const programs = {
  "Go's clientcredentials": { way: "client_secret_basic", ask: askGo },
  "curl with -u": { way: "client_secret_basic", ask: (target) => askCurl(target, ["-u", `${target.clientId}:${target.clientSecret}`]) },
  "curl with a form": {
    way: "client_secret_post",
    ask: (target) => askCurl(target, ["-d", `client_id=${target.clientId}`, "--data-urlencode", `client_secret=${target.clientSecret}`]),
  },
  "openid-client with client_secret_basic": { way: "client_secret_basic", ask: (target) => askOpenid(target, ClientSecretBasic) },
  "openid-client with client_secret_post": { way: "client_secret_post", ask: (target) => askOpenid(target, ClientSecretPost) },
};

async function askGo({ tokenUrl, clientId, clientSecret, scope, resource }) {
  const env = { TOKEN_URL: tokenUrl, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, SCOPES: scope, RESOURCE: resource };
  const { stdout } = await run(SERVICE, [], { env, timeout: PATIENCE }).catch((error) => Promise.reject(new Error(error.stderr)));
  const said = JSON.parse(stdout);
  return { ...said, seconds: Number(said.seconds) };
}

async function askCurl({ tokenUrl, scope, resource }, credentials) {
  const form = ["-d", "grant_type=client_credentials", "--data-urlencode", `scope=${scope}`, "--data-urlencode", `resource=${resource}`];
  const { stdout } = await run("curl", ["-sS", ...credentials, ...form, tokenUrl], { timeout: PATIENCE });
  const said = JSON.parse(stdout);
  if (said.access_token === undefined) throw new Error(stdout);
  return { token: said.access_token, type: said.token_type, seconds: said.expires_in };
}

async function askOpenid({ tokenUrl, clientId, clientSecret, scope, resource }, authentication) {
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const config = new Configuration(server, clientId, undefined, authentication(clientSecret));
  allowInsecureRequests(config); // http, on loopback
  try {
    const said = await clientCredentialsGrant(config, { scope, resource });
    return { token: said.access_token, type: said.token_type, seconds: said.expires_in };
  } catch (error) {
    const { name, code, status, error: said, error_description: description } = error;
    throw new Error(JSON.stringify({ name, code, status, said, description, challenges: error.cause }));
  }
}
