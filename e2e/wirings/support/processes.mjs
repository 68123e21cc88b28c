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

// freePorts gives n ports on which nobody listens. All are held until the last is found, so that they differ.
export async function freePorts(n) {
  const held = await Promise.all(
    Array.from({ length: n }, () => new Promise((resolve, reject) => {
      const server = createServer();
      server.once("error", reject).listen(0, "127.0.0.1", () => resolve(server));
    })),
  );
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

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
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  let over;
  ended.then((how) => (over = String(how)));
  const stop = async () => {
    process.off("exit", killed);
    child.kill("SIGTERM");
    const patience = setTimeout(killed, STOP_LIMIT);
    await ended;
    clearTimeout(patience);
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
