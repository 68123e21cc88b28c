// A small client of AWS AppSync Events: one WebSocket, one channel, the frames as they are on the wire.
//
// The token is asked for anew for every connection and every frame that carries one. AppSync looks at it when a socket opens, when it
// subscribes and when it publishes, and never in between: a refresh needs no new socket, and only this side can end one at sign-out.

const PROTOCOL = "aws-appsync-event-ws";
const PATIENCE = 15_000; // ms for the server to answer a frame
const FIRST_WAIT = 1_000; // ms before the second attempt; it doubles
const LONGEST_WAIT = 30_000; // ms
const LONGEST_SILENCE = 600_000; // ms without a frame, whatever the server says it takes

export class Channel {
  #options;
  #socket = null;
  #id = ""; // of the subscription
  #silence = LONGEST_SILENCE; // ms without a frame after which the connection counts as gone
  #attempts = 0;
  #ended = false;
  #timers = { retry: 0, watch: 0 };
  #replies = new Map(); // operation id → what to do with its answer

  // Options: realtimeURL; host, of the HTTP endpoint; name of the channel; getToken, which resolves to an access token; onState(state,
  // { token, why, wait }), with the states connecting, open and closed, and wait in ms where another attempt follows; onEvent(value).
  constructor(options) {
    this.#options = options;
    addEventListener("online", () => this.#retryNow());
  }

  // open connects, and again whenever the connection is lost, until close.
  open() {
    this.#connect();
  }

  // close ends the channel for good. The reason is for the reader of the state.
  close(why) {
    if (this.#ended) return;
    this.#ended = true;
    this.#abandon();
    this.#options.onState("closed", { why });
  }

  // drop loses the connection as a network would: nobody meant it, so it comes back.
  drop() {
    this.#lost("the connection was dropped");
  }

  // publish sends one value and resolves to the token that it carried, once the server has taken it.
  async publish(value) {
    const socket = this.#socket;
    const id = crypto.randomUUID();
    const token = await this.#options.getToken();
    if (socket === null || socket !== this.#socket || socket.readyState !== WebSocket.OPEN) throw new Error("not connected");
    const { name } = this.#options;
    await this.#ask(socket, { id, type: "publish", channel: name, events: [JSON.stringify(value)], authorization: this.#proof(token) });
    return token;
  }

  async #connect() {
    const { onState, getToken, realtimeURL } = this.#options;
    this.#abandon();
    onState("connecting", {});
    const attempt = (this.#id = crypto.randomUUID());
    const outdated = () => this.#ended || attempt !== this.#id;
    try {
      const token = await getToken();
      if (outdated()) return;
      const socket = new WebSocket(realtimeURL, [PROTOCOL, `header-${encode(JSON.stringify(this.#proof(token)))}`]);
      this.#socket = socket;
      this.#watch(PATIENCE);
      socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init" }));
      socket.onmessage = ({ data }) => this.#receive(socket, data, token);
      socket.onclose = ({ code, reason }) => {
        if (socket === this.#socket) this.#lost(reason || `the connection was lost (${code})`);
      };
    } catch (error) {
      if (!outdated()) this.#lost(error.message);
    }
  }

  async #receive(socket, data, token) {
    if (socket !== this.#socket) return;
    const frame = parse(data);
    this.#watch(this.#silence);
    switch (frame.type) {
      case "connection_ack":
        this.#silence = Math.min(Number(frame.connectionTimeoutMs) || LONGEST_SILENCE, LONGEST_SILENCE);
        await this.#subscribe(socket, token);
        break;
      case "data":
        if (frame.id === this.#id) this.#options.onEvent(parse(frame.event));
        break;
      case "connection_error":
        this.#lost(fault(frame));
        break;
      default:
        this.#replies.get(frame.id)?.(frame);
    }
  }

  async #subscribe(socket, opener) {
    const { name, getToken, onState } = this.#options;
    try {
      const token = await getToken();
      if (socket !== this.#socket) return;
      await this.#ask(socket, { id: this.#id, type: "subscribe", channel: name, authorization: this.#proof(token) });
      this.#attempts = 0;
      onState("open", { token: opener });
    } catch (error) {
      if (socket === this.#socket) this.#lost(error.message);
    }
  }

  // ask sends a frame and waits for its answer; anything but success is thrown.
  #ask(socket, frame) {
    return new Promise((resolve, reject) => {
      const settle = (act, value) => {
        clearTimeout(timer);
        this.#replies.delete(frame.id);
        act(value);
      };
      const timer = setTimeout(() => settle(reject, new Error("no answer")), PATIENCE);
      this.#replies.set(frame.id, (answer) => {
        if (answer.type === `${frame.type}_success`) settle(resolve);
        else settle(reject, new Error(fault(answer)));
      });
      socket.send(JSON.stringify(frame));
    });
  }

  #proof(token) {
    return { Authorization: token, host: this.#options.host };
  }

  // watch gives the server so many ms for its next frame.
  #watch(limit) {
    clearTimeout(this.#timers.watch);
    this.#timers.watch = setTimeout(() => this.#lost("the server went silent"), limit);
  }

  #lost(why) {
    if (this.#ended) return;
    this.#abandon();
    const wait = Math.min(FIRST_WAIT * 2 ** this.#attempts++, LONGEST_WAIT) * (0.8 + 0.4 * Math.random());
    this.#timers.retry = setTimeout(() => this.#connect(), wait);
    this.#options.onState("closed", { why, wait });
  }

  #retryNow() {
    if (!this.#ended && this.#socket === null && this.#timers.retry !== 0) this.#connect();
  }

  // abandon lets go of the socket and of everything that waits for it.
  #abandon() {
    clearTimeout(this.#timers.retry);
    clearTimeout(this.#timers.watch);
    this.#timers.retry = 0;
    this.#id = "";
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const reply of [...this.#replies.values()]) reply({ type: "lost", errors: [{ message: "the connection was lost" }] });
  }
}

// parse reads what came from outside; what is not an object becomes an empty one.
function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

// fault is what an error frame says, short enough for a line.
function fault({ errors }) {
  const first = Array.isArray(errors) ? errors[0] : undefined;
  const said = [first?.errorType, first?.message].filter((part) => typeof part === "string").join(": ");
  return (said || "the server refused").slice(0, 200);
}

// encode gives base64url without padding.
function encode(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
