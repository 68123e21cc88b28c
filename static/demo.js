// The demo page's script: asks the token endpoint as an application's browser code would, and shows what happens.
//
// The whole token stays in this variable and goes nowhere: the page shows a few of its characters and its claims. The script never
// refreshes anything itself; it asks again, and the server answers with a token that is fresh.

const SHOWN_CLAIMS = ["sub", "username", "client_id", "token_use", "scope", "iat", "exp"];
const ASK_AGAIN = 5_000; // ms between questions while a refresh is due
const LOG_LINES = 100;
const CROWD = 20; // parallel requests that share one refresh

const root = document.querySelector("[data-demo]");
const part = (name) => root.querySelector(`[data-part="${name}"]`);

const state = {
  token: "", // the access token held at the moment
  deadline: 0, // when it expires, by this browser's clock, in ms
  life: Number(root.dataset.accessLife) * 1000, // its whole life, in ms
  nextAsk: Infinity, // when to ask again, in ms
  asking: false,
  trouble: "", // the last trouble, and when it was, in ms
  troubleAt: 0,
  over: false, // the session has ended; nothing is asked any more
};

part("get-token").addEventListener("click", () => userAsks({}));
part("refresh-now").addEventListener("click", () => userAsks({ forceRefresh: "true" }));
part("refresh-many").addEventListener("click", refreshFromMany);
setInterval(tick, 500);

// ask calls the token endpoint once. It resolves to the answer's body, or to null when there is no token; the reason is in the log then.
async function ask(params) {
  const url = new URL(root.dataset.tokenUrl, location.href);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  let response;
  try {
    response = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (response.ok) return await response.json();
  } catch {
    trouble("no answer: is the server running?", ASK_AGAIN);
    return null;
  }
  refused(response);
  return null;
}

function refused(response) {
  if (response.status === 401) {
    endSession();
    return;
  }
  const seconds = Number(response.headers.get("Retry-After")) || ASK_AGAIN / 1000;
  if (response.status === 503) trouble(`503, nobody can refresh at the moment; the session stays, next try in ${seconds} s`, seconds * 1000);
  else trouble(`${response.status}, the token was refused`, seconds * 1000);
}

// userAsks is a press of a button: one question at a time, the buttons rest meanwhile.
async function userAsks(params) {
  await alone(async () => {
    const answer = await ask(params);
    if (answer) keep(answer, params.forceRefresh ? "asked for a refresh: the server kept its token (at most one refresh in 10 s)" : "");
  });
}

// refreshFromMany shows the promise that matters: any number of requests at once cost one refresh.
async function refreshFromMany() {
  await alone(async () => {
    write(`asking ${CROWD} times at once, each demanding a refresh`);
    const answers = await Promise.all(Array.from({ length: CROWD }, () => ask({ forceRefresh: "true" })));
    const served = answers.filter(Boolean);
    if (served.length === 0) return;
    const distinct = new Set(served.map((answer) => answer.accessToken)).size;
    write(`${served.length} answers, ${distinct} distinct ${distinct === 1 ? "token" : "tokens"}`, distinct === 1 ? "good" : "trouble");
    keep(served.at(-1), "");
  });
}

async function alone(work) {
  if (state.asking || state.over) return;
  state.asking = true;
  const buttons = root.querySelectorAll("button[data-part]");
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } finally {
    state.asking = false;
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

// keep takes an answer in, says what it means and shows it. sameToken is what to log where the server served the token that we hold.
function keep({ accessToken, expiresIn }, sameToken) {
  const claims = decode(accessToken);
  const known = state.token !== "";
  const renewed = known && accessToken !== state.token;
  state.token = accessToken;
  state.deadline = Date.now() + expiresIn * 1000;
  if (claims.exp > claims.iat) state.life = (claims.exp - claims.iat) * 1000;
  state.nextAsk = Math.max(state.deadline - state.life / 2 + 1000, Date.now() + ASK_AGAIN);
  if (renewed) write(`refreshed on the server: new token, new expiry, ${expiresIn} s left`, "good");
  else write(known && sameToken ? sameToken : `${known ? "same token" : "token fetched"}, ${expiresIn} s left`);
  show(accessToken, claims);
}

function show(token, claims) {
  part("live").hidden = false;
  part("token").textContent = `${token.slice(0, 10)}…${token.slice(-8)}`;
  part("length").textContent = `${token.length} characters`;
  const rows = SHOWN_CLAIMS.filter((name) => name in claims).flatMap((name) => {
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = name === "exp" || name === "iat" ? clock(new Date(claims[name] * 1000)) : String(claims[name]);
    return [term, value];
  });
  part("claims").replaceChildren(...rows);
  countDown();
}

// decode reads a JWT's claims. It verifies nothing: that is for whoever receives the token.
function decode(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {}; // an opaque token has no claims to show
  }
}

// tick moves the countdown, and asks again once half of the token's life is spent.
function tick() {
  if (state.over || state.token === "") return;
  countDown();
  if (Date.now() < state.nextAsk || state.asking) return;
  state.nextAsk = Date.now() + ASK_AGAIN;
  alone(async () => {
    const answer = await ask({});
    if (answer) keep(answer, "");
  });
}

function countDown() {
  const left = Math.max(0, state.deadline - Date.now());
  const ring = part("ring");
  part("expires-in").textContent = left > 0 ? `${Math.ceil(left / 1000)} s` : "expired";
  ring.setAttribute("stroke-dashoffset", String(100 - Math.min(100, (left / state.life) * 100)));
  ring.classList.toggle("empty", left === 0);
}

function endSession() {
  if (state.over) return;
  state.over = true;
  state.token = "";
  write("401, the session is over", "trouble");
  for (const section of root.querySelectorAll('[data-part="signed-in"]')) section.hidden = true;
  const notice = part("signed-out");
  notice.hidden = false;
  notice.focus();
}

// trouble is said once, however many parallel requests meet it.
function trouble(text, wait) {
  const now = Date.now();
  const repeated = text === state.trouble && now - state.troubleAt < 1000;
  state.nextAsk = now + wait;
  state.trouble = text;
  state.troubleAt = now;
  if (!repeated) write(text, "trouble");
}

// write adds a line to the log, which is a live region: it must stay rare enough to be listened to.
function write(text, kind) {
  const now = new Date();
  const line = document.createElement("li");
  const time = document.createElement("time");
  const message = document.createElement("span");
  time.dateTime = now.toISOString();
  time.textContent = clock(now);
  message.textContent = text;
  if (kind) message.className = kind;
  line.append(time, message);
  const lines = part("lines");
  lines.append(line);
  while (lines.children.length > LOG_LINES) lines.firstElementChild.remove();
  const box = part("log");
  box.scrollTop = box.scrollHeight;
}

function clock(date) {
  return date.toLocaleTimeString("en-GB");
}
