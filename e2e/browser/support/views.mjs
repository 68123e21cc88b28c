// Every page that a person can meet, and the way there. Each way begins with a browser that is not signed in.

import { fillIn, logged, say, signIn } from "./steps.mjs";
import { alice } from "./demo.mjs";

const form = (page) => page.getByRole("button", { name: /^(Sign in|Sign up|Create account)$/ }).waitFor();

// begin starts a sign-in and stops at the provider's form; it gives the state of the pending sign-in.
async function begin(page, demo) {
  const asked = page.waitForRequest((request) => request.url().includes("/oauth2/authorize"));
  await page.goto(`${demo.origin}/api/auth/sign-in`);
  await form(page);
  return new URL((await asked).url()).searchParams.get("state");
}

async function signOut(page, demo) {
  await signIn(page, demo);
  await page.getByTestId("sign-out").click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
}

export const views = {
  "demo-signed-out": async (page, demo) => {
    await page.goto(demo.origin);
  },
  "demo-signed-in": async (page, demo) => {
    await signIn(page, demo);
    await logged(page, "channel open");
  },
  "demo-in-use": async (page, demo) => {
    await signIn(page, demo);
    await logged(page, "channel open");
    await page.getByTestId("refresh-now").click();
    await logged(page, "the channel stays open");
    await say(page, "Who is there? <b>Me</b>, and a word that is longer than any line: Donaudampfschifffahrtsgesellschaftskapitänsmütze");
    await logged(page, "sent with the token");
  },
  "demo-channel-closed": async (page, demo) => {
    await signIn(page, demo);
    await logged(page, "channel open");
    await page.routeWebSocket(/realtime/, () => {}); // what connects from now on is never answered
    await page.getByTestId("drop").click();
    await page.locator('[data-state="connecting"]').waitFor();
  },
  "demo-session-over": async (page, demo) => {
    await signIn(page, demo);
    await logged(page, "channel open");
    await page.context().clearCookies();
    await page.getByTestId("refresh-now").click();
    await page.getByTestId("session-over").waitFor();
  },
  login: async (page, demo) => {
    await page.goto(`${demo.origin}/login`);
  },
  "login-signed-in": async (page, demo) => {
    await signIn(page, demo);
    await page.goto(`${demo.origin}/login`);
  },
  "signed-out": signOut,
  "confirm-sign-out": async (page, demo) => {
    await signIn(page, demo);
    await page.goto(`${demo.provider}/error`); // another site
    await page.evaluate((url) => location.assign(url), `${demo.origin}/api/auth/sign-out`);
    await page.getByRole("heading", { name: "Sign out?" }).waitFor();
  },
  "error-not-found": async (page, demo) => {
    await page.goto(`${demo.origin}/no/such/page`);
  },
  "error-unknown-state": async (page, demo) => {
    await page.goto(`${demo.origin}/api/auth/sign-in-callback?code=x&state=unknown`);
  },
  "error-cancelled": async (page, demo) => {
    const state = await begin(page, demo);
    await page.goto(`${demo.origin}/api/auth/sign-in-callback?error=access_denied&state=${state}`);
    await page.getByRole("heading", { name: "You did not sign in" }).waitFor();
  },
  "error-provider-down": async (page, demo) => {
    await begin(page, demo);
    await demo.faults({ token: { status: 503 } });
    await fillIn(page);
    await page.getByRole("heading", { name: "Signing in is not possible right now" }).waitFor();
    await demo.faults({});
  },
  "provider-sign-in": begin,
  "provider-sign-in-refused": async (page, demo) => {
    await begin(page, demo);
    await fillIn(page, { ...alice, password: "looking-glass" });
    await page.getByRole("alert").waitFor();
  },
  "provider-sign-up": async (page, demo) => {
    await page.goto(`${demo.origin}/api/auth/sign-up`);
    await form(page);
  },
  "provider-error": async (page, demo) => {
    await page.goto(`${demo.provider}/error?error=redirect_mismatch`);
  },
};

// refused are the addresses among them that answer 4xx or 5xx on purpose.
export const refused = ["/no/such/page", "/sign-in-callback", "/api/cognito-token", "/login", "/error"];

// languages are those of the sign-in page, with its heading in each.
export const languages = { en: "Welcome", "pt-BR": "Boas-vindas", ja: "ようこそ", id: "Selamat datang", "zh-CN": "欢迎" };
