// What anybody can write about who they are, and where they can write it, byte for byte, through the files of docs/reverse-proxy. The
// application takes note of all that reaches it.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { bruno } from "../browser/support/demo.mjs";
import { enter } from "./support/journey.mjs";
import { startListener } from "./support/listener.mjs";
import { raw } from "./support/raw.mjs";
import { suite } from "./support/suite.mjs";

const SOON = 5_000; // ms; a request that waits for a body that never comes takes 15 s

// asks: the proxy asks Vestibule about every request but those for what is open.
const PROXIES = [
  { name: "nginx auth_request", asks: true, open: ["/", "/icon.svg", "/_next/static/chunk.js"] },
  { name: "caddy forward_auth", asks: true, open: ["/icon.svg", "/_next/static/chunk.js"] },
  { name: "nginx by path" },
  { name: "caddy by path" },
];

const TOLD = ["authorization", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username", "x-auth-request-user"];

const FORGED = [
  "X-Auth-Request-User: mallory", "X-Auth-Request-Email: mallory@example.com", "X-Auth-Request-Groups: mallory", "X-Auth-Request-Preferred-Username: mallory",
  "X_Auth_Request_User: mallory", "x-auth_request-email: mallory", "X_AUTH-Request-Groups: mallory", "X.Auth.Request.User: mallory", "X!Auth~Request^User: mallory",
  "Authorization: Bearer mallory", "X-Auth-Request-User: mallory-again",
];

// What comes before and after an open path, so that one side takes the whole for the open path and the other does not.
const BEFORE = [
  "/orders/..%2f", "/orders/..%2F", "/orders/%2e%2e%2f", "/orders/../", "/orders/%2e%2E/", "/orders/.%2e/", "/orders/./../", "/orders/..%5c", "/orders/..\\", "/orders/..;/",
  "/orders%2f../", "//orders/../", "/orders//../", "/orders#/../", "/orders%00/../",
];
const AROUND = [
  "/_next/static/../../orders", "/_next/static/..%2f..%2forders", "/_next/static/%2e%2e/%2e%2e/orders", "/_next/static/..\\..\\orders", "/_next/static/..%5c..%5corders",
  "/_next%2fstatic/orders", "/_next/static%2f..%2f..%2forders", "/_next/static/..;/..;/orders", "/_next/./static/x", "//_next/static/orders", "/_next//static/orders",
  "/icon.svg/..%2forders", "/icon.svg/../orders", "//icon.svg", "/orders/..%2ficon.svg|", "/orders/..%2f", "/orders/..", "/.", "//", "/%5c", "/\\",
];
const HARMLESS = ["/orders/7", "/orders/...", "/orders/..a", "/orders/a..", "/orders/.well-known", "/orders/%20a", "/orders?next=/../%2f//", "/Icon.svg", "/_Next/static/x", "/icon.svg/x"];

const VERIFY = [
  "/api/auth/verify", "/api/auth/verify/", "/api/auth/verify/x", "/api/auth/verify?redirect=true", "/api/auth/%76erify", "/API/auth/Verify", "/api/auth//verify",
  "/api/auth/./verify", "/api/auth/x/..%2fverify",
];
const HANDSHAKE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="];

// heardOf gives what the application noted of one request, which is put to it with a mark of its own.
let marks = 0;
async function heardOf(way, request) {
  const mark = `mark-${++marks}`;
  const answer = await raw(way.origin, { ...request, headers: [...(request.headers ?? []), `X-Mark: ${mark}`] });
  const notes = way.application.heard.filter(({ headers }) => headers.some(([, value]) => value === mark));
  return { answer, notes };
}

const cookieOf = async (context, way) => `Cookie: ${(await context.cookies(way.origin)).map(({ name, value }) => `${name}=${value}`).join("; ")}`;
const identity = ({ headers }) => headers.filter(([name]) => /auth/.test(name));

for (const { name, asks, open } of PROXIES) {
  describe(name, () => {
    const person = suite(name, { application: startListener });
    if (asks) nothingForged(person, open);

    person("nobody but the proxy gets an answer from {auth}/verify", async ({ page, context, way }) => {
      await enter(page, way, "/orders");
      const cookie = await cookieOf(context, way);
      for (const path of VERIFY) {
        for (const method of ["GET", "HEAD", "POST"]) {
          const { answer } = await heardOf(way, { method, target: path, headers: [cookie, ...(method === "POST" ? ["Content-Length: 0"] : [])] });
          assert.ok([400, 404].includes(answer.status), `${method} ${path}: ${answer.head}`);
          assert.ok(!/authorization|bearer|x-auth-request/i.test(answer.head), `${method} ${path}: ${answer.head}`);
        }
      }
      for (const path of ["/api/auth/session", "/login"]) {
        assert.equal((await raw(way.origin, { target: path, headers: [cookie] })).status, 200, path);
      }
    });
  });
}

function nothingForged(person, open) {
  person("what is open to everybody is open, and says nothing of a stranger, whatever they wrote", async ({ way }) => {
    for (const target of open) {
      for (const request of [{ target }, { target: `${target}?x=1` }, { target, method: "POST", headers: ["Content-Length: 3"], body: "abc" }]) {
        const { answer, notes } = await heardOf(way, { ...request, headers: [...FORGED, ...(request.headers ?? [])] });
        assert.equal(answer.status, 200, `${target}: ${answer.head}`);
        assert.equal(notes.length, 1, target);
        assert.deepEqual(identity(notes[0]), [], target);
        assert.ok(!JSON.stringify(notes[0]).includes("mallory"), target);
        assert.equal(notes[0].body, request.body ?? "");
      }
    }
  });

  person("nothing of a stranger arrives where one has to be signed in", async ({ way }) => {
    for (const target of HARMLESS) {
      for (const headers of [[], ["Sec-Fetch-Mode: navigate"], HANDSHAKE]) {
        const { answer, notes } = await heardOf(way, { target, headers: [...FORGED, ...headers] });
        assert.ok([302, 401].includes(answer.status), `${target}: ${answer.head}`);
        assert.deepEqual(notes, [], target);
      }
    }
  });

  person("a path that could be read in two ways is refused, to everybody", async ({ page, context, way }) => {
    await enter(page, way, "/orders");
    const unclear = [...AROUND, ...BEFORE.flatMap((before) => open.map((path) => before + path.slice(1)))];
    for (const cookie of [[], [await cookieOf(context, way)]]) {
      for (const target of unclear) {
        const { answer, notes } = await heardOf(way, { target, headers: [...FORGED, ...cookie] });
        assert.equal(answer.status, 400, `${target}: ${answer.head}`);
        assert.deepEqual(notes, [], target);
      }
    }
  });

  person("who is signed in is introduced by Vestibule alone", async ({ page, context, way }) => {
    await enter(page, way, "/orders", bruno); // who has fewer claims than alice
    const cookie = await cookieOf(context, way);
    const tricks = [
      [],
      ["Connection: close, X-Auth-Request-User, X-Auth-Request-Groups, Authorization"], // to be dropped on the way
      ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"], // a tunnel
    ];
    for (const trick of tricks) {
      for (const target of HARMLESS) {
        const { answer, notes } = await heardOf(way, { target, headers: [...FORGED, cookie, ...trick] });
        assert.equal(answer.status, 200, `${target}: ${answer.head}`);
        const said = identity(notes[0]);
        assert.deepEqual(said.map(([header]) => header).filter((header) => !TOLD.includes(header)), []);
        const known = new Map(said);
        assert.equal(known.size, said.length, "a header came twice");
        assert.equal(known.get("x-auth-request-email"), bruno.email);
        assert.match(known.get("x-auth-request-user"), /^[0-9a-f-]{36}$/);
        assert.match(known.get("authorization"), /^Bearer ey/);
        assert.ok(!/mallory|\{http/.test(JSON.stringify(said)), JSON.stringify(said));
        assert.ok(!notes[0].headers.some(([header]) => header === "upgrade"), "a tunnel was asked for");
      }
    }
  });

  person("a stranger's form is refused at once, however its length is told", async ({ way }) => {
    const bodies = [
      { headers: ["Content-Length: 3"], body: "abc" },
      { headers: ["Transfer-Encoding: chunked"], body: "3\r\nabc\r\n0\r\n\r\n" },
    ];
    for (const { headers, body } of bodies) {
      for (const method of ["POST", "PUT"]) {
        const { answer, notes } = await heardOf(way, { method, target: "/orders", headers, body });
        assert.equal(answer.status, 401, `${method} ${headers}: ${answer.head}`);
        assert.ok(answer.ms < SOON, `${method} ${headers}: after ${answer.ms} ms`);
        assert.deepEqual(notes, []);
      }
    }
  });
}
