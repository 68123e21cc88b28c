// nginx and Caddy with the very files of docs/reverse-proxy: only addresses are put in.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { answers, openTo, start, temporary } from "./processes.mjs";

const file = (name) => readFile(fileURLToPath(new URL(`../../../docs/reverse-proxy/${name}`, import.meta.url)), "utf8");

// put replaces each of the documentation's addresses, which must be there.
function put(text, addresses) {
  for (const [documented, ours] of Object.entries(addresses)) {
    if (!text.includes(documented)) throw new Error(`${documented} is not in the file`);
    text = text.replaceAll(documented, ours);
  }
  return text;
}

const places = ({ port, vestibule, app }, listen) => ({
  [listen]: listen.replace(/(listen )?\S*80\b/, (_, word = "") => `${word}${word ? "127.0.0.1" : "http://localhost"}:${port}`),
  "127.0.0.1:8080": `127.0.0.1:${vestibule}`,
  "127.0.0.1:3000": `127.0.0.1:${app}`,
});

// startNginx runs it without rights of root and with everything it writes in a temporary folder.
export async function startNginx(name, ports) {
  const folder = await temporary();
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder.path}/${kind};`);
  const site = put(await file(name), places(ports, "listen 80"));
  await writeFile(`${folder.path}/nginx.conf`, `daemon off; worker_processes 1; pid ${folder.path}/pid; error_log stderr warn;
events { worker_connections 512; }
http { access_log off; ${temp.join(" ")}
${site}
}`);
  await openTo(folder.path);
  const process = await start({
    name: "nginx",
    command: "/usr/sbin/nginx",
    args: ["-e", "stderr", "-p", folder.path, "-c", `${folder.path}/nginx.conf`],
    asNobody: true,
    ready: answers(`http://127.0.0.1:${ports.port}/icon.svg`),
  });
  return { ...process, stop: async () => (await process.stop(), await folder.remove()) };
}

export async function startCaddy(name, ports) {
  const folder = await temporary();
  const site = put(await file(name), places(ports, "http://:80"));
  await writeFile(`${folder.path}/Caddyfile`, `{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tlevel WARN\n\t}\n}\n${site}`);
  await openTo(folder.path);
  const process = await start({
    name: "caddy",
    command: "/usr/bin/caddy",
    args: ["run", "--adapter", "caddyfile", "--config", `${folder.path}/Caddyfile`],
    env: { HOME: folder.path, XDG_DATA_HOME: folder.path, XDG_CONFIG_HOME: folder.path },
    asNobody: true,
    ready: answers(`http://127.0.0.1:${ports.port}/icon.svg`),
  });
  return { ...process, stop: async () => (await process.stop(), await folder.remove()) };
}
