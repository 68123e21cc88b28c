// What has to work in every way, by what a person sees.

import assert from "node:assert/strict";
import { look } from "../../browser/support/looks.mjs";
import { fillIn } from "../../browser/support/steps.mjs";

export const PICTURES = ["light-desktop", "dark-phone"];
export const alice = { email: "alice@example.com", password: "wonderland" };

// arrive goes to a page of the application through the sign-in page and the provider's form.
export async function arrive(page, way, path = "/dashboard", person = alice) {
  await page.goto(way.origin + path);
  await page.waitForURL(/\/login\?/);
  await throughProvider(page, way, path, person);
}

// enter goes to the sign-in page by itself, where the application sends nobody there.
export async function enter(page, way, path, person = alice) {
  await page.goto(`${way.origin}/login?returnTo=${path}`);
  await throughProvider(page, way, path, person);
}

async function throughProvider(page, way, path, person) {
  await page.getByRole("link", { name: "Sign in", exact: false }).first().click();
  await fillIn(page, person);
  await page.waitForURL(way.origin + path);
}

// connected waits until Amplify says that it is.
export const connected = (page) => page.getByTestId("state").and(page.getByText("Connected", { exact: true })).waitFor();

export async function say(page, text, by = "WebSocket") {
  await page.getByLabel("Message").fill(text);
  await page.getByLabel("Sent by").selectOption(by);
  await page.getByRole("button", { name: "Send" }).click();
}

export const heard = (page, text) => page.getByTestId("messages").getByText(text).waitFor();

// arrivals reads an answer as it comes and gives the moment, in ms, at which each of the texts was there.
function arrivals(page, path, texts) {
  return page.evaluate(async ([url, wanted]) => {
    const reader = (await fetch(url)).body.pipeThrough(new TextDecoderStream()).getReader();
    const moments = wanted.map(() => 0);
    for (let said = "", part; !(part = await reader.read()).done; ) {
      said += part.value;
      wanted.forEach((text, i) => (moments[i] ||= said.includes(text) ? Math.round(performance.now()) : 0));
    }
    return moments;
  }, [path, texts]);
}

export const whoami = (page) => page.evaluate(async () => (await fetch("/api/whoami")).json());

export const SHORT_LIFE = 20; // s, of tokens where a test waits for a refresh: due when half is left

// everyWay tests what every way must do. picture names the screenshot; pages: whether to look at all pages, which are the same in each;
// told: the application learns from the request itself who is signed in, and its tokens have a SHORT_LIFE.
export function everyWay(person, picture, { pages = false, told = false } = {}) {
  person("who is not signed in is sent to the sign-in page and comes back to where they wanted to go", async ({ page, way }) => {
    await page.goto(way.origin);
    await page.getByRole("heading", { level: 1 }).waitFor();
    if (pages) await look(page, "nextapp-home", PICTURES);
    await page.getByRole("link", { name: "Sign in" }).first().click();
    await page.waitForURL(`${way.origin}/login?returnTo=/dashboard`);
    await page.getByRole("link", { name: "Sign in", exact: false }).first().click();
    await fillIn(page, alice);
    await page.waitForURL(`${way.origin}/dashboard`);
    assert.equal(await page.getByTestId("email").textContent(), alice.email);
    if (pages) await look(page, "nextapp-dashboard", PICTURES);
  });

  person("a server action knows who acts", async ({ page, way }) => {
    await arrive(page, way);
    const note = `Fender ${Math.random().toString(36).slice(2)}`;
    await page.getByRole("textbox", { name: "Note" }).fill(note);
    await page.getByRole("button", { name: "Pin it" }).click();
    await page.getByTestId("notes").getByText(note).waitFor();
    await page.reload();
    await page.getByTestId("notes").getByText(note).waitFor();
  });

  person("a page streams, and so do server-sent events", async ({ page, way }) => {
    await arrive(page, way);
    const [waiting, table] = await arrivals(page, "/stream", ["Asking the gauge", "05:12"]);
    assert.ok(waiting > 0 && table - waiting > 500, `the slow part came ${table - waiting} ms after the first, want about 1500`);
    const [early, late] = await arrivals(page, "/api/ticks", ["2.1 m", "3.0 m"]);
    assert.ok(early > 0 && late - early > 500, `the last event came ${late - early} ms after the first, want about 1200`);
    await page.goto(`${way.origin}/stream`);
    await page.getByTestId("table").waitFor();
    await page.getByTestId("ticks").getByText("3.0 m").waitFor();
    if (pages) await look(page, "nextapp-stream", PICTURES);
  });

  person("two windows chat with Amplify, by WebSocket and by HTTP", async ({ page, context, way }) => {
    await arrive(page, way, "/chat");
    const other = await context.newPage();
    await other.goto(`${way.origin}/chat`);
    await Promise.all([connected(page), connected(other)]);
    await say(page, "Pilot aboard");
    await Promise.all([page, other].map((window) => heard(window, "Pilot aboard")));
    await say(other, "Lines ashore", "HTTP");
    await Promise.all([page, other].map((window) => heard(window, "Lines ashore")));
    assert.equal(await page.getByTestId("trouble").count(), 0);
    await look(page, picture, pages ? PICTURES : PICTURES.slice(0, 1));
  });

  person("signing out is signing out everywhere", async ({ page, context, way, expectRefusals }) => {
    expectRefusals("_rsc="); // where a proxy asks first, Next hears 401 and then goes to the page itself
    await arrive(page, way);
    const kept = await context.cookies(way.origin);
    const other = await context.newPage();
    await other.goto(`${way.origin}/dashboard`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    assert.deepEqual(await context.cookies(way.origin), []);
    await other.getByRole("link", { name: "Channel" }).click();
    await other.waitForURL(/\/login\?returnTo=/);
    for (const cookies of [[], kept]) {
      await context.addCookies(cookies);
      await page.goto(`${way.origin}/dashboard`);
      await page.waitForURL(/\/login\?returnTo=/);
    }
  });

  person("identity headers from outside change nothing", async ({ page, way }) => {
    const forged = {
      "X-Auth-Request-User": "mallory", "X-Auth-Request-Email": "mallory@example.com", "X-Auth-Request-Groups": "admins",
      "X-Auth-Request-Preferred-Username": "mallory", Authorization: "Bearer eyJmb3JnZWQ.e30.x",
    };
    const anonymous = await fetch(`${way.origin}/`, { headers: forged, redirect: "manual" });
    assert.ok(!(await anonymous.text()).includes("mallory"));
    const gate = await fetch(`${way.origin}/dashboard`, { headers: forged, redirect: "manual" });
    assert.ok([302, 303, 307, 401].includes(gate.status), `dashboard answers ${gate.status}`);
    await arrive(page, way);
    const seen = await page.evaluate(async (headers) => (await fetch("/api/whoami", { headers })).text(), forged);
    const { user, identity } = JSON.parse(seen);
    assert.equal(user.email, alice.email);
    if (told) assert.ok(!JSON.stringify(identity).includes("mallory"), seen);
  });

  if (told) freshBeforePages(person);
}

// freshBeforePages: the server component sees a token that has been refreshed when it was due, and the browser gets the new session.
export function freshBeforePages(person) {
  person("a token that is due is refreshed before the page is made", async ({ page, context, way }) => {
    await arrive(page, way);
    const [first, cookie, { refresh }] = [await shown(page), await session(context, way), await way.stats()];
    let now = first;
    const limit = Date.now() + 2 * SHORT_LIFE * 1000;
    while (now.issued === first.issued) {
      assert.ok(now.left >= SHORT_LIFE / 2 - 1, `the page was made with a token of ${now.left} s`);
      assert.ok(Date.now() < limit, "the token was never refreshed");
      await page.waitForTimeout(500);
      await page.reload();
      now = await shown(page);
    }
    assert.equal((await way.stats()).refresh.ok - refresh.ok, 1);
    assert.notEqual(await session(context, way), cookie, "the browser has no new session");
  });
}

// shown reads what the dashboard says of the token that came with the request.
async function shown(page) {
  const [, issued, left] = /issued (\d+), (-?\d+) s left/.exec(await page.getByTestId("token").textContent());
  return { issued: Number(issued), left: Number(left) };
}

const session = async (context, way) => JSON.stringify((await context.cookies(way.origin)).map(({ value }) => value));
