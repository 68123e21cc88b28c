// An application that notes what reaches it: every request as it came, and sockets that say back what they hear.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Quayside</title><h1>Listening</h1>';
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, section 1.3

// startListener resolves to { heard, stop }. answer(target) gives what it answers: { status, headers }, these in turn a name and a value.
// heard has for every request { method, target, body, headers }: headers as pairs, names in small letters, in the order in which they came.
export async function startListener({ port, answer = () => ({}) }) {
  const heard = [];
  const server = createServer(async (incoming, outgoing) => {
    const note = noted(incoming);
    for await (const part of incoming) note.body += part;
    heard.push(note);
    const { status = 200, headers = [] } = answer(note.target);
    outgoing.writeHead(status, ["Content-Type", "text/html", ...headers]).end(status === 304 ? undefined : PAGE);
  });
  const sockets = new Set();
  server.on("upgrade", (incoming, socket) => {
    heard.push(noted(incoming));
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    answerTo(incoming, socket);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    heard,
    async stop() {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

function noted({ method, url, rawHeaders }) {
  const headers = [];
  for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i].toLowerCase(), rawHeaders[i + 1]]);
  return { method, target: url, headers, body: "" };
}

// answerTo shakes hands and sends every short text back. What it hears comes in one frame, which is all that these tests send.
function answerTo(incoming, socket) {
  const accept = createHash("sha1").update(incoming.headers["sec-websocket-key"] + GUID).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let length; pending.length >= 6 && pending.length >= 6 + (length = pending[1] & 0x7f); pending = pending.subarray(6 + length)) {
      const mask = pending.subarray(2, 6);
      const said = pending.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]);
      socket.write(Buffer.concat([Buffer.from([pending[0], length]), said]));
      if ((pending[0] & 0x0f) === 8) socket.end(); // close, which is answered with the same
    }
  });
}
