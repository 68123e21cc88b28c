// Requests as no client library would write them.

import { connect } from "node:net";

const LIMIT = 20_000; // ms

// raw sends a request byte for byte and resolves to { status, head, body, ms }: what came until the connection ended, and how long
// that took. headers are lines; the body is sent as it is, with no header of its own.
export function raw(origin, { method = "GET", target, headers = [], body = "" }) {
  const { hostname, port, host } = new URL(origin);
  const began = Date.now();
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port, family: 4 });
    let came = "";
    socket.setEncoding("latin1").setTimeout(LIMIT, () => socket.destroy(new Error(`${method} ${target}: no end of the answer in ${LIMIT} ms`)));
    socket.on("data", (chunk) => (came += chunk)).once("error", reject);
    socket.once("close", () => {
      const [head, ...rest] = came.split("\r\n\r\n");
      resolve({ status: Number(head.split(" ")[1]), head, body: rest.join("\r\n\r\n"), ms: Date.now() - began });
    });
    const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, ...headers, "Connection: close"];
    socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  });
}
