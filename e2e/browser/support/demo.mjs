// The demo as a person starts it: the built binary, on a free port of this machine.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const BINARY = fileURLToPath(new URL("../../.build/vestibule", import.meta.url));
const START_LIMIT = 30_000; // ms

export const alice = { email: "alice@example.com", password: "wonderland" };
export const bruno = { email: "bruno@example.com", password: "mangrove" };

// startDemo resolves to { origin, provider, events, stats, faults, dropSockets, stop } once the demo has printed where it is.
// The flags are the demo's own.
export async function startDemo(...flags) {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is not built: start the tests with "npm test" or "make browser-test"`);
  const child = spawn(BINARY, ["demo", "--listen=localhost:0", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed); // nothing outlives the tests
  const said = await greeting(child);
  const origin = /Open\s+(\S+)/.exec(said)[1];
  const issuer = /Provider\s+(\S+)/.exec(said)[1];
  const endpoint = /Events\s+(\S+)/.exec(said)[1];
  for (const word of [alice.email, alice.password]) {
    if (!said.includes(word)) throw new Error(`the demo does not say ${word}`);
  }
  const provider = new URL(issuer).origin;
  const events = new URL(endpoint).origin;
  return {
    origin,
    provider,
    events,
    stats: async () => (await fetch(`${provider}/devidp/stats`)).json(),
    // dropSockets cuts every socket of the event server, as a network would.
    dropSockets: async () => {
      const answer = await fetch(`${events}/eventsdev/drop`, { method: "POST" });
      if (!answer.ok) throw new Error(`drop: ${answer.status} ${await answer.text()}`);
    },
    // faults has the provider misbehave: {} ends it.
    faults: async (faults) => {
      const answer = await fetch(`${provider}/devidp/faults`, { method: "POST", body: JSON.stringify(faults) });
      if (!answer.ok) throw new Error(`faults: ${answer.status} ${await answer.text()}`);
    },
    stop: () => stop(child, killed),
  };
}

function greeting(child) {
  return new Promise((resolve, reject) => {
    let out = "";
    let errors = "";
    const timer = setTimeout(() => reject(new Error(`the demo said nothing in ${START_LIMIT} ms: ${out}${errors}`)), START_LIMIT);
    child.stderr.on("data", (chunk) => (errors += chunk));
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (!/Provider\s+\S+.*\n/.test(out)) return;
      clearTimeout(timer);
      resolve(out);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the demo ended with ${code}: ${errors}`));
    });
  });
}

// stop ends the demo as Ctrl-C does, and fails if that is not a clean end.
function stop(child, killed) {
  return new Promise((resolve, reject) => {
    child.once("exit", (code, signal) => {
      process.off("exit", killed);
      if (code === 0) resolve();
      else reject(new Error(`the demo ended with ${code ?? signal}, want 0`));
    });
    child.kill("SIGINT");
  });
}
