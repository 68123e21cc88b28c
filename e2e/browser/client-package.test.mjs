// The browser helper as a package: its size, its types, and that a server may import it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const FOLDER = fileURLToPath(new URL("../../static/", import.meta.url));
const SIZE_LIMIT = 3000; // bytes
const TSC = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

const CONSUMER = `
import { closeOnSignOut, createClient, fetchWithSession, onSessionEnd, session, signIn, signOut, SignedOutError, tokenProvider, UnavailableError } from "vestibule-client";
import type { Client, ClientOptions, SessionEndReason } from "vestibule-client";

// Amplify's own types, as its core package has them.
type JwtPayload = { [claim: string]: any; sub?: string; exp?: number };
type JWT = { toString(): string; payload: JwtPayload };
type TokenProvider = { getTokens(options?: { forceRefresh?: boolean }): Promise<{ accessToken: JWT; idToken?: JWT } | null> };
const auth: { tokenProvider: TokenProvider } = { tokenProvider: tokenProvider() };

class Channel { close(): void {} subscribe(observer: { next: (data: any) => void }): void {} }
const connect = async (path: string) => new Channel();
const channel: Channel = closeOnSignOut(await connect("default/chat"));
closeOnSignOut((reason) => console.log(reason));
closeOnSignOut(new WebSocket("wss://example.com"));
// @ts-expect-error it cannot be closed
closeOnSignOut({ open: true });
// @ts-expect-error a promise is no socket
closeOnSignOut(connect("default/chat"));

const off: () => void = onSessionEnd((reason: SessionEndReason) => (reason === "other-user" ? location.reload() : undefined));
const options: ClientOptions = { minTtl: 120, apiOrigins: ["https://api.example.com"], csrfHeader: "X-Requested-By", user: "sub" };
const client: Client = createClient(options);
declare const known: { sub: string } | undefined;
createClient({ user: known?.sub });
// @ts-expect-error misspelt
createClient({ tokenpath: "/token" });
const { accessToken, expiresAt }: { accessToken: string; expiresAt: number } = await client.getToken({ minTtl: 600 });
const who: string | undefined = (await session())?.user.sub;
const answer: Response = await fetchWithSession(new Request("/api/things"), { method: "POST" });
signIn({ returnTo: "/", provider: "Google" });
signOut();
try {
  await client.getToken();
} catch (error) {
  if (error instanceof SignedOutError) error.reason satisfies SessionEndReason;
  if (error instanceof UnavailableError) error.retryAfter satisfies number;
}
export { accessToken, answer, auth, channel, expiresAt, off, who };
`;

// installed gives a folder with the package in its node_modules, as npm would put it there.
async function installed(t) {
  const folder = await mkdtemp(join(tmpdir(), "vestibule-client-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  execFileSync("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", "--install-links", FOLDER], { cwd: folder });
  return folder;
}

const bundle = async (contents, folder) => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder }, bundle: true, minify: true, format: "esm", target: "es2022", write: false, legalComments: "none",
  });
  return outputFiles[0].contents;
};

test("the helper is under 3 kB, minified and gzipped", async (t) => {
  const small = await bundle('export * from "./client.js"', FOLDER);
  const size = gzipSync(small, { level: 9 }).length;
  t.diagnostic(`client.js: ${size} bytes of ${SIZE_LIMIT}, from ${small.length} minified`);
  assert.ok(size < SIZE_LIMIT, `${size} bytes, want less than ${SIZE_LIMIT}`);
});

test("the package installs, and a server that imports it touches nothing and can end", async (t) => {
  const folder = await installed(t);
  const script = `
    const traps = ["window", "document", "navigator", "location", "localStorage", "sessionStorage", "indexedDB", "BroadcastChannel", "fetch"];
    for (const name of traps) Object.defineProperty(globalThis, name, { configurable: true, get() { throw new Error(name + " was touched"); } });
    const helper = await import("vestibule-client");
    const client = helper.createClient({ user: "u" });
    client.tokenProvider();
    console.log(Object.keys(helper).sort().join(" "));`;
  const names = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: folder, encoding: "utf8", timeout: 20_000 });
  assert.equal(names.trim(), "ForbiddenError SignedOutError UnavailableError VestibuleError closeOnSignOut createClient fetchWithSession getToken onSessionEnd session signIn signOut tokenProvider");
  const files = execFileSync("ls", ["-A", join(folder, "node_modules/vestibule-client")], { encoding: "utf8" });
  assert.equal(files, "README.md\nclient.d.ts\nclient.js\npackage.json\n");
});

test("on a server, what belongs to browsers does nothing that lasts", async (t) => {
  const folder = await installed(t);
  const script = `
    const { closeOnSignOut, getToken, onSessionEnd, UnavailableError } = await import("vestibule-client");
    onSessionEnd(() => {});
    closeOnSignOut(() => {});
    await getToken().then(() => process.exit(1), (error) => console.log(error instanceof UnavailableError));`;
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: folder, encoding: "utf8", timeout: 20_000 });
  assert.equal(said.trim(), "true");
});

test("an application that uses nothing of it carries nothing of it", async (t) => {
  const folder = await installed(t);
  assert.equal((await bundle('import { signIn } from "vestibule-client"; console.log(1)', folder)).length, "console.log(1);\n".length);
});

test("its types fit Amplify's and refuse misuse", async (t) => {
  const folder = await installed(t);
  await writeFile(join(folder, "consumer.ts"), CONSUMER);
  for (const resolution of [["--module", "nodenext"], ["--module", "esnext", "--moduleResolution", "bundler"]]) {
    try {
      execFileSync(process.execPath, [TSC, "--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--lib", "es2022,dom", ...resolution, "consumer.ts"], { cwd: folder, encoding: "utf8" });
    } catch (error) {
      assert.fail(`${resolution}: ${error.stdout}`);
    }
  }
});

test("what the types declare is what the module has", async () => {
  const [types, helper] = await Promise.all([readFile(join(FOLDER, "client.d.ts"), "utf8"), import(join(FOLDER, "client.js"))]);
  const declared = [...types.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(helper).sort());
  const client = types.slice(types.indexOf("export interface Client {"));
  const methods = [...client.slice(0, client.indexOf("\n}")).matchAll(/^ {2}(\w+)[(<]/gm)].map(([, name]) => name);
  assert.deepEqual(methods.sort(), Object.keys(helper.createClient()).sort());
});
