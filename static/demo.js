// The demo page's script: takes tokens from the token endpoint as an application's browser code would, opens a live channel with them,
// and shows what happens.
//
// Tokens stay in memory and go nowhere but to the channel's server: the page shows a few of their characters and their claims. Nothing
// here refreshes anything; it asks for a token whenever it needs one, and the server answers with one that is fresh.

import { createClient } from "./client.js";
import { createChat } from "./demo-chat.js";
import { createLog } from "./demo-log.js";
import { createTokenPanel } from "./demo-token.js";

const LOOK_AGAIN = 1_000; // ms between two looks at the token that the browser helper holds
const ASK_AGAIN = 5_000; // ms between two questions to a server that could not answer
const CROWD = 20; // parallel requests that share one refresh

const root = document.querySelector("[data-demo]");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const { tokenUrl, authUrl, accessLife, eventsUrl, realtimeUrl, speaker, user } = root.dataset;

const state = {
  token: "", // the access token on the page
  left: 0, // seconds that it had when it was last looked at
  nextLook: 0, // in ms
  asking: false,
  trouble: "", // the last trouble, and when it was, in ms
  troubleAt: 0,
  leaving: false, // this very tab is signing out
  over: false, // the session has ended; nothing is asked any more
};

const client = createClient({ tokenPath: tokenUrl, authPath: authUrl, user });
const write = createLog(part("log"), part("lines"));
const panel = createTokenPanel(part);
const chat = createChat({ part, write, getToken: () => current({}), eventsURL: eventsUrl, realtimeURL: realtimeUrl, speaker });

part("ask").hidden = false; // without a script there is nothing to press
part("get-token").addEventListener("click", () => userAsks({}, "same token: the page had it in memory, nothing was asked"));
part("refresh-now").addEventListener("click", () =>
  userAsks({ forceRefresh: true }, "asked for a refresh: the server kept its token (at most one refresh in 10 s)"),
);
part("refresh-many").addEventListener("click", refreshFromMany);
part("sign-out").addEventListener("submit", signOut);
client.closeOnSignOut(chat.close);
client.onSessionEnd(endSession);
chat.open();
setInterval(look, LOOK_AGAIN);

// current gives the token that the browser helper holds, and shows it. The helper asks the server where half of its life is spent, and
// hears of tokens that other tabs are given.
async function current(options) {
  const { accessToken, expiresAt } = await client.getToken(options);
  keep(accessToken, expiresAt);
  return accessToken;
}

function keep(token, expiresAt) {
  if (state.over) return;
  const before = state.token;
  state.token = token;
  state.left = Math.max(0, Math.round(expiresAt - Date.now() / 1000));
  if (token !== before) panel.show(token, expiresAt);
  if (before === "") write(`token fetched, ${state.left} s left`);
  else if (before !== token) {
    write(`refreshed on the server: new token, new expiry, ${state.left} s left`, "good");
    chat.refreshed();
  }
}

// look keeps the page's token fresh while nobody touches anything.
async function look() {
  if (state.over || state.asking || state.token === "" || Date.now() < state.nextLook) return;
  state.nextLook = Date.now() + ASK_AGAIN;
  try {
    await current({});
    if (state.left >= Number(accessLife) / 2) state.nextLook = 0;
  } catch (error) {
    trouble(error);
  }
}

// userAsks is a press of a button. kept is what to log where the token stayed the same.
async function userAsks(options, kept) {
  await alone(async () => {
    const before = state.token;
    const token = await current(options);
    if (token === before) write(`${kept}, ${state.left} s left`);
  });
}

// refreshFromMany shows the promise that matters: any number of requests at once cost one refresh. The helper would make one request of
// them, so they go to the endpoint themselves.
async function refreshFromMany() {
  await alone(async () => {
    write(`asking ${CROWD} times at once, each demanding a refresh`);
    const url = new URL(tokenUrl, location.href);
    url.searchParams.set("forceRefresh", "true");
    const ask = async () => {
      const response = await fetch(url, { cache: "no-store" });
      return response.ok ? (await response.json()).accessToken : "";
    };
    const served = (await Promise.all(Array.from({ length: CROWD }, ask))).filter(Boolean);
    const distinct = new Set(served).size;
    if (distinct > 0) write(`${served.length} answers, ${distinct} distinct ${distinct === 1 ? "token" : "tokens"}`, distinct === 1 ? "good" : "trouble");
    await current({ forceRefresh: true });
  });
}

// alone lets one thing at a time ask; the buttons rest meanwhile.
async function alone(work) {
  if (state.asking || state.over) return;
  state.asking = true;
  const buttons = ["get-token", "refresh-now", "refresh-many"].map(part);
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } catch (error) {
    trouble(error);
  } finally {
    state.asking = false;
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

// signOut goes through the helper, which tells the other tabs first; without this script the form does it alone.
function signOut(event) {
  event.preventDefault();
  state.leaving = true;
  client.signOut();
}

// endSession: signed out in some tab, refused by the server, or somebody else signed in. There is nothing more to do here but to say so.
function endSession(reason) {
  if (state.over) return;
  state.over = true;
  state.token = "";
  panel.clear();
  if (state.leaving) return;
  root.classList.add("over");
  root.querySelector(".hero h1").textContent = "This session is over.";
  root.querySelector(".hero p").hidden = true;
  for (const section of root.querySelectorAll('[data-part="signed-in"]')) section.hidden = true;
  const notice = part("signed-out");
  for (const element of notice.querySelectorAll("[data-over]")) element.hidden = element.dataset.over !== reason;
  notice.hidden = false;
  notice.focus();
}

// trouble is said once, however many meet it at the same time.
function trouble(error) {
  if (state.over) return;
  const now = Date.now();
  const repeated = error.message === state.trouble && now - state.troubleAt < 1_000;
  state.nextLook = now + Math.max(ASK_AGAIN, (error.retryAfter ?? 0) * 1_000);
  state.trouble = error.message;
  state.troubleAt = now;
  if (!repeated) write(`nobody can give a token at the moment (${error.message}); the session stays`, "trouble");
}
