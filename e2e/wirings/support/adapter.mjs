// An application as it was before Vestibule: the auth routes of Amplify's own Next.js adapter, at the origin where Vestibule will be.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { freePorts } from "./processes.mjs";
import { startBackdrop, startVestibule } from "./servers.mjs";

// What the application would import: Next's modules are CommonJS outside its own build.
const app = createRequire(new URL("../../nextapp/package.json", import.meta.url));
const { createServerRunner } = app("@aws-amplify/adapter-nextjs");
const { NextRequest } = app("next/server");

const AUTH = "/api/auth/";
const PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Quayside</title><h1>Signed in by the adapter</h1>';

// startBefore resolves to all that the backdrop offers and
//   origin               where people are, before and after
//   cookie(word)         the name that the adapter gives the cookie of the pool's client
//   moveIn(settings)     ends the application and starts Vestibule in its place, again and again if need be
//   stop()
export async function startBefore({ accessLife, userName } = {}) {
  const [port] = await freePorts(1);
  const origin = `http://localhost:${port}`;
  const backdrop = await startBackdrop({ origins: [origin], accessLife, userName });
  let there = await startAdapter({ port, origin, backdrop }).catch(async (error) => {
    await backdrop.stop();
    throw error;
  });
  return {
    ...backdrop,
    origin,
    cookie: (word) => `CognitoIdentityServiceProvider.${backdrop.publicClientId}.${word}`,
    async moveIn(settings) {
      await there?.stop();
      there = undefined;
      // The adapter's client has no secret, and sessions belong to their client.
      const client = { ...backdrop, clientId: backdrop.publicClientId, clientSecret: "" };
      there = await startVestibule({ port, origin, backdrop: client, settings: { "provider.client_auth": "none", ...settings } });
    },
    async stop() {
      await there?.stop();
      await backdrop.stop();
    },
  };
}

// routesOf is the application's app/api/auth/[slug]/route.ts, with what it imports.
function routesOf(origin, { issuer, provider, publicClientId }) {
  process.env.AMPLIFY_APP_ORIGIN = origin; // read by createServerRunner
  const { createAuthRouteHandlers } = createServerRunner({
    config: {
      Auth: {
        Cognito: {
          userPoolId: new URL(issuer).pathname.slice(1),
          userPoolClientId: publicClientId,
          loginWith: {
            oauth: {
              domain: new URL(provider).host,
              scopes: ["openid", "email", "profile"],
              redirectSignIn: [`${origin}${AUTH}sign-in-callback`],
              redirectSignOut: [`${origin}${AUTH}sign-out-callback`],
              responseType: "code",
            },
          },
        },
      },
    },
  });
  return createAuthRouteHandlers({ redirectOnSignInComplete: "/" });
}

// The adapter dials https whatever the domain, and the provider here speaks http. Only the transport is changed, for its own requests
// and for those that it sends the browser on: what is asked, what is answered, and each cookie is between the two of them.
async function startAdapter({ port, origin, backdrop }) {
  const route = routesOf(origin, backdrop);
  const dialled = backdrop.provider.replace("http:", "https:");
  const spoken = (url) => String(url).replace(dialled, backdrop.provider);
  const dial = globalThis.fetch;
  globalThis.fetch = (url, init) => dial(spoken(url), init);
  const server = createServer(async (incoming, outgoing) => {
    const answer = await answerOf(route, new NextRequest(origin + incoming.url, { headers: incoming.headers }));
    outgoing.statusCode = answer.status;
    for (const [name, value] of answer.headers) {
      if (name !== "set-cookie") outgoing.setHeader(name, name === "location" ? spoken(value) : value);
    }
    outgoing.setHeader("Set-Cookie", answer.headers.getSetCookie());
    outgoing.end(Buffer.from(await answer.arrayBuffer())); // as Next does: with a string, node would write the headers as UTF-8, too
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    async stop() {
      globalThis.fetch = dial;
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function answerOf(route, request) {
  const { pathname } = request.nextUrl;
  if (!pathname.startsWith(AUTH)) return new Response(PAGE, { headers: { "Content-Type": "text/html" } });
  try {
    return await route(request, { params: Promise.resolve({ slug: pathname.slice(AUTH.length) }) });
  } catch (error) {
    return new Response(`the adapter: ${error.stack}`, { status: 500 });
  }
}
