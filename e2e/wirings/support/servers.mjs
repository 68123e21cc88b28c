// What every way consists of: the provider and the events server (backdrop), Vestibule, the Next.js application.

import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { answers, start, temporary } from "./processes.mjs";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const APP = at("nextapp");

async function told(url, body) {
  const answer = await fetch(url, body === undefined ? {} : { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// startBackdrop: origins are those at which a Vestibule will be; accessLife and grace are Go durations; userName is what tokens call
// the first user, by default a UUID.
export async function startBackdrop({ origins, accessLife = "1h", grace = "0s", userName = "" }) {
  const folder = await temporary();
  const { is: scene, stop } = await start({
    name: "backdrop",
    command: at(".build/backdrop"),
    args: [`-dir=${folder.path}`, `-access-life=${accessLife}`, `-grace=${grace}`, `-user-name=${userName}`, ...origins.map((origin) => `-origin=${origin}`)],
    ready: (said) => said.includes("\n") && JSON.parse(said.split("\n", 1)[0]),
  });
  const provider = new URL(scene.issuer).origin;
  const control = new URL("/eventsdev/", scene.events);
  return {
    ...scene,
    provider,
    stats: async () => (await told(`${provider}/devidp/stats`)).json(),
    // faults has the provider misbehave: {} ends it.
    faults: (faults) => told(`${provider}/devidp/faults`, faults),
    // The events server's certificate is its own: these ask past the browser, over a client that trusts just that one.
    sockets: async () => JSON.parse(await ask(new URL("stats", control), "GET", scene.certificate)),
    drop: () => ask(new URL("drop", control), "POST", scene.certificate),
    stop: async () => {
      await stop();
      await folder.remove();
    },
  };
}

async function ask(url, method, certificate) {
  const { request } = await import("node:https");
  const ca = await readFile(certificate);
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, ca }, (answer) => {
      let body = "";
      answer.on("data", (chunk) => (body += chunk));
      answer.on("end", () => (answer.statusCode < 300 ? resolve(body) : reject(new Error(`${url}: ${answer.statusCode} ${body}`))));
    });
    asked.once("error", reject);
    asked.end();
  });
}

// startVestibule: settings are configuration keys, {"app.url": …}.
export function startVestibule({ port, origin, backdrop, settings = {} }) {
  const keys = {
    listen: `127.0.0.1:${port}`,
    admin_listen: "",
    public_url: origin,
    trusted_proxies: "127.0.0.1/32",
    "provider.issuer": backdrop.issuer,
    "provider.client_id": backdrop.clientId,
    "session.keys": randomBytes(32).toString("base64"),
    "brand.name": "Quayside",
    "brand.accent": "#0b6b70",
    "log.level": "warn",
    ...settings,
  };
  return start({
    name: "vestibule",
    command: at(".build/vestibule"),
    args: ["serve", ...Object.entries(keys).map(([key, value]) => `--${key}=${value}`)],
    env: { VESTIBULE_PROVIDER_CLIENT_SECRET: backdrop.clientSecret },
    ready: async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => ({}))).ok,
  });
}

// startNext serves the production build. env is what lib/vestibule.ts goes by; folder is what rewritten gave.
export function startNext({ port, backdrop, env, folder = APP }) {
  return start({
    name: "next start",
    command: process.execPath,
    args: [`${APP}/node_modules/next/dist/bin/next`, "start", "--hostname", "127.0.0.1", "--port", String(port)],
    cwd: folder,
    env: { NEXT_TELEMETRY_DISABLED: "1", NODE_ENV: "production", EVENTS_ENDPOINT: backdrop.events, ...env },
    ready: answers(`http://127.0.0.1:${port}/icon.svg`),
  });
}

// rewritten gives a folder, until its remove(), with the application and its build, whose rewrites lead to a Vestibule. `next build`
// compiles their destination in, and the tests know theirs only when they run; a team sets VESTIBULE_URL for the build instead.
export async function rewritten(url) {
  const text = await readFile(`${APP}/.next/routes-manifest.json`, "utf8");
  const changed = text.replaceAll(/("destination":\s*")http:\/\/127\.0\.0\.1:\d+/g, `$1${url}`);
  if (!changed.includes(`${url}/api/auth/`)) throw new Error("the build has no rewrite to Vestibule");
  const folder = await temporary();
  await mirror(APP, folder.path, ".next");
  await mkdir(`${folder.path}/.next`);
  await mirror(`${APP}/.next`, `${folder.path}/.next`, "routes-manifest.json");
  await writeFile(`${folder.path}/.next/routes-manifest.json`, changed);
  return folder;
}

// mirror links to all that is in a folder but one thing.
async function mirror(from, to, without) {
  for (const name of await readdir(from)) if (name !== without) await symlink(`${from}/${name}`, `${to}/${name}`);
}
