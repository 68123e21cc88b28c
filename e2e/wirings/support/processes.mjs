// Processes of the tests: started on free ports, waited for, and never left behind.

import { spawn } from "node:child_process";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_LIMIT = 30_000; // ms
const STOP_LIMIT = 10_000; // ms, then it is killed
const NOBODY = 65534;

const isRoot = process.getuid() === 0;

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

let lastPort = Math.floor(Math.random() * 9_000);

// freePorts gives n ports on which nobody listens. They are none of those that the system gives to connections (from 32768 on with
// Linux): one of them could be taken before the process that is to listen there has begun.
export async function freePorts(n) {
  const ports = [];
  for (let tries = 0; ports.length < n; tries++) {
    if (tries > 1_000) throw new Error("no port is free");
    const port = 11_000 + (lastPort++ % 9_000); // browsers refuse 10080
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

const isFree = (port) => new Promise((resolve) => {
  const server = createServer();
  server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
});

// temporary gives a folder that exists until its remove() is called.
export async function temporary() {
  const path = await mkdtemp(join(tmpdir(), "vestibule-wiring-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

// start runs a command until stop(). It resolves once ready(what was printed so far) gives something true, which is then `.is`.
// asNobody: without the rights of root, where the tests have them.
export async function start({ name, command, args = [], env = {}, cwd, ready, asNobody = false }) {
  const rights = asNobody && isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"], ...rights });
  child.stdin.on("error", () => {}); // closed by the other side
  let said = "";
  const hear = (chunk) => (said = (said + chunk).slice(-100_000));
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  running.add(child);
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  let over;
  ended.then((how) => (over = String(how)));
  const stop = async () => {
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT);
    await ended;
    clearTimeout(patience);
    running.delete(child);
  };
  const limit = Date.now() + START_LIMIT;
  for (;;) {
    if (over !== undefined) throw new Error(`${name} ended with ${over}: ${said}`);
    const is = await ready(said);
    if (is) return { is, stop, said: () => said };
    if (Date.now() > limit) {
      await stop();
      throw new Error(`${name} is not ready after ${START_LIMIT} ms: ${said}`);
    }
    await new Promise((next) => setTimeout(next, 50));
  }
}

// answers is a ready() that asks over HTTP; any answer will do.
export const answers = (url) => () => fetch(url, { redirect: "manual" }).then(() => true, () => false);

// openTo lets a process without rights write in a folder.
export async function openTo(path) {
  if (!isRoot) return;
  await chmod(path, 0o755);
  await chown(path, NOBODY, NOBODY);
}
