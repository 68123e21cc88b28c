// The four ways to join an application with Vestibule, each as a set of processes.
//
//   a  browser → Next ─ rewrites ─→ Vestibule
//   b  browser → proxy ─ by path ─→ Vestibule, Next
//   c  browser → proxy ─ asks Vestibule about every request ─→ Next
//   d  browser → Vestibule ─→ Next

import { freePorts } from "./processes.mjs";
import { startCaddy, startNginx } from "./proxies.mjs";
import { rewritten, startBackdrop, startNext, startVestibule } from "./servers.mjs";

const asks = (port) => ({ VESTIBULE_URL: `http://127.0.0.1:${port}`, VESTIBULE_IDENTITY: "" });
const reads = { VESTIBULE_URL: "", VESTIBULE_IDENTITY: "headers" };

// each way: which port browsers see, what Vestibule is told, what the application is told, and the proxy, if there is one.
const WAYS = {
  rewrites: { front: "app", env: (ports) => asks(ports.vestibule), folder: (ports) => rewritten(`http://127.0.0.1:${ports.vestibule}`) },
  "nginx by path": { front: "proxy", env: (ports) => asks(ports.vestibule), proxy: (ports) => startNginx("nginx-paths.conf", ports) },
  "caddy by path": { front: "proxy", env: (ports) => asks(ports.vestibule), proxy: (ports) => startCaddy("paths.Caddyfile", ports) },
  "nginx auth_request": { front: "proxy", env: () => reads, proxy: (ports) => startNginx("nginx-auth-request.conf", ports) },
  "caddy forward_auth": { front: "proxy", env: () => reads, proxy: (ports) => startCaddy("forward-auth.Caddyfile", ports) },
  "vestibule in front": { front: "vestibule", env: () => reads, settings: (ports) => ({ "app.url": `http://127.0.0.1:${ports.app}` }) },
};

// startWay resolves to { origin, app, vestibule (origins behind it), application (what its start gave), stop } and all that the backdrop
// offers. The option application starts what stands where the application does, by default the production build of nextapp.
export async function startWay(name, { accessLife, grace, settings = {}, application: startApplication = startNext } = {}) {
  const way = WAYS[name];
  const [app, vestibule, proxy] = await freePorts(3);
  const ports = { app, vestibule, port: proxy };
  const origin = `http://localhost:${way.front === "proxy" ? proxy : ports[way.front]}`;
  const backdrop = await startBackdrop({ origins: [origin], accessLife, grace });
  const running = [backdrop];
  let application;
  const stop = async () => {
    for (const process of running.reverse()) await process.stop();
  };
  try {
    const folder = await way.folder?.(ports);
    if (folder) running.push({ stop: folder.remove });
    const all = { ...way.settings?.(ports), ...settings };
    running.push(...(await Promise.all([
      startVestibule({ port: vestibule, origin, backdrop, settings: all }),
      startApplication({ port: app, backdrop, env: way.env(ports), folder: folder?.path }).then((started) => (application = started)),
    ])));
    if (way.proxy) running.push(await way.proxy(ports));
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...backdrop, application, origin, app: `http://127.0.0.1:${app}`, vestibule: `http://127.0.0.1:${vestibule}`, stop };
}
