// Who is signed in, for server components, server actions and route handlers. Copy this file: it is all that a server side needs.
//
// VESTIBULE_URL=http://127.0.0.1:8080   Vestibule is asked, with the browser's cookie: Next in front, or a proxy that splits paths.
// VESTIBULE_IDENTITY=headers            the request says so: behind Vestibule (app.url), or behind a proxy that asks {auth}/verify.
//                                       Only where nothing else can reach this server: whoever can, could write these headers.

import "server-only";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";

const BASE_PATH = ""; // that of next.config.ts: Next.js puts it before where it redirects to, and not into a query

export type User = { sub: string; email: string; username: string; groups: string[] };

/** currentUser is null when nobody is signed in. One question per request, however many components ask. */
export const currentUser = cache(async (): Promise<User | null> => {
  const sent = await headers();
  if (process.env.VESTIBULE_IDENTITY === "headers") return fromHeaders(sent);
  if (process.env.VESTIBULE_URL) return fromSession(process.env.VESTIBULE_URL, sent.get("cookie") ?? "");
  throw new Error("set VESTIBULE_URL or VESTIBULE_IDENTITY: this server cannot know who is signed in");
});

/** requireUser sends a visitor who is not signed in to the sign-in page, and back to returnTo afterwards. */
export async function requireUser(returnTo: string): Promise<User> {
  return (await currentUser()) ?? redirect(`/login?returnTo=${encodeURIComponent(BASE_PATH + returnTo)}`);
}

/** bearer is the access token for calls to an API, already refreshed. It is there with VESTIBULE_IDENTITY=headers alone. */
export async function bearer(): Promise<string | null> {
  const authorization = process.env.VESTIBULE_IDENTITY === "headers" ? (await headers()).get("authorization") : null;
  return authorization?.startsWith("Bearer ") ? authorization.slice("Bearer ".length) : null;
}

// The cookie goes on byte for byte: cookies().toString() would encode values anew.
// fromSession tells "not signed in" (401) from "cannot say" (an exception, thus the error page), which must not look alike.
async function fromSession(vestibule: string, cookie: string): Promise<User | null> {
  if (cookie === "") return null;
  const answer = await fetch(`${vestibule}/api/auth/session`, { headers: { cookie }, cache: "no-store", signal: AbortSignal.timeout(5_000) });
  if (answer.status === 401) return null;
  if (!answer.ok) throw new Error(`Vestibule answers ${answer.status}`);
  const { user } = await answer.json();
  const email = String(user.email_verified) === "false" ? "" : (user.email ?? ""); // an address that is not verified is not a person
  return { sub: user.sub, email, username: user["cognito:username"] ?? user.sub, groups: user["cognito:groups"] ?? [] };
}

// Values are percent-encoded where they are not plain ASCII.
function fromHeaders(sent: Headers): User | null {
  const value = (name: string) => decodeURIComponent(sent.get(`x-auth-request-${name}`) ?? "");
  const sub = value("user");
  if (sub === "") return null;
  const groups = (sent.get("x-auth-request-groups") ?? "").split(",").filter(Boolean).map(decodeURIComponent);
  return { sub, email: value("email"), username: value("preferred-username"), groups };
}
