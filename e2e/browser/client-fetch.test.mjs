// fetchWithSession, and the ways to the sign-in page.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { answerTokens, craft, deaf, getToken, listen, load, questions, reasons, tab, TOKEN_PATH } from "./support/client.mjs";
import { signIn } from "./support/steps.mjs";
import { suite } from "./support/suite.mjs";

const person = suite();
const ELSEWHERE = "https://api.example.com";

// api answers calls of /things, here and elsewhere, and gives what it was sent. CORS is the browser's to judge, so it is granted to all.
async function api(context, answer) {
  const calls = [];
  await context.route(/\/things/, async (route) => {
    const request = route.request();
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, Authorization", "Access-Control-Allow-Methods": "*" };
    if (request.method() === "OPTIONS") return route.fulfill({ status: 204, headers });
    const { authorization } = await request.allHeaders();
    calls.push({ url: request.url(), method: request.method(), body: request.postData(), token: authorization?.replace(/^Bearer /, "") });
    return route.fulfill({ headers, ...answer(calls.at(-1), calls.length) });
  });
  return calls;
}

const call = (page, ...request) =>
  page.evaluate(
    (given) => globalThis.client.fetchWithSession(...given).then(async (answer) => [answer.status, await answer.text()], ({ name, message }) => [name, message]),
    request,
  );

person("a call carries the token, in place of what the caller put there", async ({ page, context, demo }) => {
  const calls = await api(context, () => ({ body: "done" }));
  await signIn(page, demo);
  await load(page, demo);
  assert.deepEqual(await call(page, "/things", { method: "POST", body: "one", headers: { Authorization: "Basic x" } }), [200, "done"]);
  assert.deepEqual(calls, [{ url: `${demo.origin}/things`, method: "POST", body: "one", token: await getToken(page) }]);
});

person("after a 401 it is repeated once, whole, with a new token", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/things");
  await signIn(page, demo);
  await load(page, demo);
  const old = await getToken(page);
  const calls = await api(context, ({ token }) => (token === old ? { status: 401 } : { body: "done" }));
  const asked = questions(context);
  assert.deepEqual(await call(page, "/things", { method: "POST", body: "one" }), [200, "done"]);
  assert.deepEqual(calls.map(({ body, token }) => [body, token === old]), [["one", true], ["one", false]]);
  assert.deepEqual(await Promise.all([call(page, "/things"), call(page, "/things")]), [[200, "done"], [200, "done"]]);
  assert.equal(asked.length, 1);
});

person("the body of a 401 that nobody gets is let go", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/things");
  await signIn(page, demo);
  await load(page, demo);
  const old = await getToken(page);
  await api(context, ({ token }) => (token === old ? { status: 401, body: "no" } : { body: "done" }));
  await page.evaluate(() => {
    globalThis.answers = [];
    const real = fetch;
    globalThis.fetch = async (...request) => {
      const answer = await real(...request);
      if (answer.url.endsWith("/things")) globalThis.answers.push(answer);
      return answer;
    };
  });
  assert.deepEqual(await call(page, "/things"), [200, "done"]);
  assert.deepEqual(await page.evaluate(() => globalThis.answers.map(({ status, bodyUsed }) => [status, bodyUsed])), [[401, true], [200, true]]);
});

person("many calls that meet a 401 at once cost one new token", async ({ page, context, demo, expectRefusals }) => {
  expectRefusals("/things");
  await signIn(page, demo);
  await load(page, demo);
  const old = await getToken(page);
  await api(context, ({ token }) => (token === old ? { status: 401 } : { body: "done" }));
  const asked = questions(context);
  const answers = await Promise.all(Array.from({ length: 6 }, () => call(page, "/things")));
  assert.deepEqual(answers, Array(6).fill([200, "done"]));
  assert.equal(asked.length, 1);
});

person("a 401 that stays is given to the caller as it is", async ({ page, context, demo, expectRefusals }) => {
  await deaf(context); // the stream, too, would meet the 401
  expectRefusals("/things", TOKEN_PATH);
  await signIn(page, demo);
  await load(page, demo);
  const calls = await api(context, () => ({ status: 401, body: "never" }));
  assert.deepEqual(await call(page, "/things"), [401, "never"]);
  assert.equal(calls.length, 2);
  await listen(page);
  await context.clearCookies();
  assert.deepEqual(await call(page, "/things"), [401, "never"], "where there is no new token");
  assert.equal(calls.length, 3);
  assert.deepEqual(await reasons(page, 1), ["expired"]);
  assert.deepEqual(await call(page, "/things"), ["SignedOutError", "not signed in: expired"]);
});

person("a call that is taken back ends at once, though its token is still on the way, and does not begin where it was before", async ({ context, demo }) => {
  const page = await tab(context, demo);
  const asked = questions(context);
  const calls = await api(context, () => ({ body: "done" }));
  const abort = (before) => page.evaluate(async (early) => {
    const controller = new AbortController();
    if (early) controller.abort();
    const answer = globalThis.client.fetchWithSession("/things", { signal: controller.signal }).catch(({ name }) => name);
    controller.abort();
    return answer;
  }, before);
  let release;
  const released = new Promise((done) => (release = done));
  await answerTokens(context, (route) => released.then(() => route.fulfill({ json: { accessToken: craft({ sub: "a" }), expiresIn: 60 } })));
  assert.equal(await abort(true), "AbortError");
  assert.deepEqual(asked, []);
  const arrived = page.waitForRequest(`**${TOKEN_PATH}*`);
  assert.equal(await abort(false), "AbortError");
  await arrived;
  const token = getToken(page);
  release();
  assert.equal(await token, craft({ sub: "a" }), "the question goes on for others");
  assert.deepEqual([asked.length, calls], [1, []]);
});

person("no origin gets the token that was not allowed to, by no spelling", async ({ page, context, demo }) => {
  await signIn(page, demo);
  await load(page, demo, { apiOrigins: [ELSEWHERE] });
  const calls = await api(context, () => ({ body: "done" }));
  assert.deepEqual(await call(page, `${ELSEWHERE}/things`), [200, "done"]);
  assert.equal(calls.at(-1).token, await getToken(page));
  const { host } = new URL(demo.origin);
  for (const url of [
    "https://api.example.com.evil.example/things", "https://api.example.com:8443/things", "http://api.example.com/things", "//evil.example/things",
    "\\\\evil.example/things", `https://${host}/things`, `${demo.origin}@evil.example/things`, "data:text/plain,x", "blob:null/things",
  ]) {
    const [name, message] = await call(page, url);
    assert.ok(["ForbiddenError", "TypeError"].includes(name), `${url}: ${name} ${message}`); // fetch itself refuses credentials in a URL
  }
  assert.equal(calls.length, 1);
});

// Whoever intercepts requests changes how redirects are followed, so all of this is served in earnest.
person("a redirect to another origin leaves the token behind", async ({ page, t }) => {
  const token = craft({ sub: "a" });
  const seen = [];
  const serve = async (answers) => {
    const server = createServer((request, answer) => {
      const [status, headers, body] = answers[request.url] ?? [404, {}, ""];
      if (request.url === "/" && request.method === "GET") seen.push(request.headers.authorization);
      const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "Authorization" };
      answer.writeHead(request.method === "OPTIONS" ? 204 : status, { ...cors, ...headers }).end(body);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    t.after(() => server.close());
    return `http://127.0.0.1:${server.address().port}`;
  };
  const second = await serve({ "/": [200, {}, "here"] });
  const first = await serve({ "/": [307, { Location: `${second}/` }, ""] });
  const application = await serve({
    "/page": [200, { "Content-Type": "text/html" }, '<!doctype html><link rel="icon" href="data:,">'],
    "/client.js": [200, { "Content-Type": "text/javascript" }, await readFile(new URL("../../static/client.js", import.meta.url))],
    "/api/cognito-token": [200, {}, JSON.stringify({ accessToken: token, expiresIn: 60 })],
  });
  await page.goto(`${application}/page`);
  await page.evaluate(async (apiOrigins) => (globalThis.client = (await import("/client.js")).createClient({ apiOrigins })), [first, second]);
  assert.deepEqual(await call(page, `${first}/`), [200, "here"]);
  assert.deepEqual(seen, [`Bearer ${token}`, undefined]);
});

person("nobody signed in: the call is not made", async ({ context, demo, expectRefusals }) => {
  expectRefusals(TOKEN_PATH);
  const calls = await api(context, () => ({ body: "done" }));
  const page = await tab(context, demo);
  assert.deepEqual(await call(page, "/things"), ["SignedOutError", "not signed in: expired"]);
  assert.deepEqual(calls, []);
});

person("sign-in begins at the sign-in page or at the provider, and comes back to where the person was", async ({ page, context, demo }) => {
  await load(page, demo);
  await page.evaluate(() => history.replaceState(null, "", "/application?tab=2&q=a+b#part"));
  await page.evaluate(() => globalThis.client.signIn());
  await page.waitForURL(/\/login/);
  assert.equal(page.url(), `${demo.origin}/login?${new URLSearchParams({ returnTo: "/application?tab=2&q=a+b#part" })}`);
  await load(page, demo, { authPath: "/api/auth" });
  const asked = context.waitForEvent("request", (request) => request.url().includes("/sign-in"));
  await page.evaluate(() => globalThis.client.signIn({ provider: "COGNITO", loginHint: "a@b.c", prompt: "login", lang: "ja", returnTo: "/" }));
  const { searchParams, pathname } = new URL((await asked).url());
  assert.deepEqual([pathname, Object.fromEntries(searchParams)],
    ["/api/auth/sign-in", { provider: "COGNITO", login_hint: "a@b.c", prompt: "login", lang: "ja", returnTo: "/" }]);
  await page.waitForURL(`${demo.provider}/login*`);
});

person("a token that is no JWT serves as well", async ({ page, context, demo }) => {
  await context.route(`**${TOKEN_PATH}`, (route) => route.fulfill({ json: { accessToken: "opaque", expiresIn: 60 } }));
  await load(page, demo);
  const read = await page.evaluate(async () => {
    const { accessToken } = await globalThis.client.tokenProvider().getTokens();
    return [accessToken.toString(), accessToken.payload];
  });
  assert.deepEqual(read, ["opaque", {}]);
});
