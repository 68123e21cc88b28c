// Pages of an application that uses the browser helper: bare ones on the demo's origin, each with a client in `globalThis.client`.

export const TOKEN_PATH = "/api/cognito-token";
const CHANNEL = `vestibule:${TOKEN_PATH}`;
export const bruno = { email: "bruno@example.com", password: "mangrove" };

const PAGE = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Application</title>';

// tab opens one more page of the application in this browser. Options are those of createClient.
export async function tab(context, demo, options) {
  const page = await context.newPage();
  await load(page, demo, options);
  return page;
}

// load brings a page to the application.
export async function load(page, demo, options) {
  await page.route(`${demo.origin}/application`, (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await page.goto(`${demo.origin}/application`);
  await page.evaluate(async (given) => {
    globalThis.helper = await import("/static/client.js");
    globalThis.client = globalThis.helper.createClient(given);
  }, options);
}

// questions collects the queries of all requests for a token that this browser sends from now on.
export function questions(context) {
  const queries = [];
  context.on("request", (request) => {
    const url = new URL(request.url());
    if (url.pathname === TOKEN_PATH) queries.push(url.search);
  });
  return queries;
}

// answerTokens puts an answer in the server's place, until it is called with nothing.
export async function answerTokens(context, answer) {
  await context.unroute(`**${TOKEN_PATH}*`);
  if (answer) await context.route(`**${TOKEN_PATH}*`, (route) => (typeof answer === "function" ? answer(route) : route.fulfill(answer)));
}

// getToken gives the token, or the name and the details of the error.
export function getToken(page, options) {
  return page.evaluate(
    (given) =>
      globalThis.client.getToken(given).then(
        ({ accessToken }) => accessToken,
        ({ name, reason, retryAfter, message }) => ({ name, ...(reason && { reason }), ...(retryAfter && { retryAfter }), message }),
      ),
    options,
  );
}

// listen has the page note each end of its session in `ends`, with the time.
export function listen(page) {
  return page.evaluate(() => {
    globalThis.ends = [];
    globalThis.forget = globalThis.client.onSessionEnd((reason) => globalThis.ends.push({ reason, at: Date.now() }));
  });
}

// reasons gives the ends noted so far, once there are as many.
export async function reasons(page, count) {
  await page.waitForFunction((least) => globalThis.ends.length >= least, count);
  return page.evaluate(() => globalThis.ends.map(({ reason }) => reason));
}

// say puts messages on the channel on which tabs talk, as any script of the origin could, and resolves when a listening page has them.
export async function say(page, listener, ...messages) {
  await listener.evaluate((name) => {
    const channel = new BroadcastChannel(name);
    globalThis.heard = new Promise((done) => {
      channel.onmessage = ({ data }) => data === "over" && done(channel.close());
    });
  }, CHANNEL);
  await page.evaluate(
    ([name, list]) => {
      const channel = new BroadcastChannel(name);
      for (const message of list) channel.postMessage(message);
      channel.close();
    },
    [CHANNEL, [...messages, "over"]],
  );
  await listener.evaluate(() => globalThis.heard);
}

// waiting resolves when that many tabs wait for the one that asks.
export const waiting = (page, tabs) => locks(page, ({ pending }) => pending.length >= tabs);

// locks resolves when the locks of this browser's pages are as wanted, and fails when they are not within some seconds. It asks by itself:
// playwright's waitForFunction takes a promise for a yes, whatever comes of it.
export async function locks(page, wanted) {
  for (const end = Date.now() + 15_000; ; ) {
    const { held, pending } = await page.evaluate(() => navigator.locks.query());
    if (wanted({ held, pending })) return;
    if (Date.now() > end) throw new Error(`the locks are ${JSON.stringify({ held, pending })}`);
  }
}

// craft makes a JWT that nobody signed.
export function craft(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.x`;
}

// stay has sign-outs of this browser's pages reach nobody, and leave the page where it is: what it does meanwhile can be seen.
export const stay = (context) => context.route("**/api/auth/sign-out*", (route) => route.fulfill({ status: 204 }));

// deaf takes from this browser's pages, from their next load on, the means to hear what the server says of their session: a browser, or a
// proxy, that knows no streams. What a page then notices, it notices by itself.
export function deaf(context) {
  return context.addInitScript(() => {
    delete globalThis.EventSource;
  });
}
