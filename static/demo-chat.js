// The conversation on the demo's page, and what it shows of the channel below it: its state, and which token did what.

import { Channel } from "./demo-channel.js";
import { clock } from "./demo-log.js";
import { tail } from "./demo-token.js";

const CHANNEL = "default/chat";
const KEPT = 100; // messages on the page
const LONGEST_NAME = 100; // characters
const LONGEST_TEXT = 500;
const ENDS = { "signed-out": "signed out", expired: "401, the session is over", "other-user": "somebody else is signed in now" };

// createChat gives { open(), refreshed(), close(reason) } for the parts of a page. Settings: part, write (of the log), getToken, realtimeURL,
// eventsURL and speaker, the name that messages go out under. The reason is one of the browser helper's.
export function createChat({ part, write, getToken, realtimeURL, eventsURL, speaker }) {
  const unheard = new Set(); // ids of this window's messages that have not come back yet
  let state = "closed";
  let openedWith = "";
  let sentWith = "";
  const host = new URL(eventsURL).host;
  const channel = new Channel({ realtimeURL, host, name: CHANNEL, getToken, onState, onEvent: hear });

  function onState(now, { token, why, wait }) {
    state = now;
    const pill = part("channel-state");
    pill.dataset.state = now;
    pill.textContent = now;
    part("drop").setAttribute("aria-disabled", String(now !== "open"));
    if (now === "open") {
      openedWith = token;
      part("opened-with").textContent = tail(token);
      write(`channel open, with the token ${tail(token)}`, "good");
    }
    if (now === "closed") {
      const next = wait === undefined ? "" : `; next try in ${Math.ceil(wait / 1000)} s, with the token of that moment`;
      write(`channel closed: ${why}${next}`, "trouble");
    }
  }

  async function send(event) {
    event.preventDefault();
    const field = part("say").querySelector("input");
    const text = field.value.trim();
    if (text === "") return;
    if (state !== "open") {
      write("nothing was sent: the channel is not open", "trouble");
      return;
    }
    const id = crypto.randomUUID();
    unheard.add(id);
    field.value = "";
    try {
      // Names are the sender's word here. An application lets a handler of its channel take them from the verified token.
      sent(await channel.publish({ id, name: speaker, text }));
    } catch (error) {
      unheard.delete(id);
      if (field.value === "") field.value = text;
      write(`nothing was sent: ${error.message}`, "trouble");
    }
  }

  function sent(token) {
    if (token !== sentWith && token !== openedWith) write(`sent with the token ${tail(token)}, on the socket that ${tail(openedWith)} opened`, "good");
    sentWith = token;
    part("sent-with").textContent = tail(token);
  }

  // hear shows a message, as text and nothing else. Anybody on the channel can send anything: what is no message is passed over.
  function hear({ id, name, text }) {
    if (typeof id !== "string" || typeof name !== "string" || typeof text !== "string") return;
    const own = unheard.delete(id); // nobody else knew the id before
    const list = part("messages");
    const line = document.createElement("li");
    const head = document.createElement("p");
    const who = document.createElement("bdi");
    const body = document.createElement("p");
    who.textContent = own ? "You" : name.slice(0, LONGEST_NAME);
    head.append(who, " ", clock(new Date()));
    body.dir = "auto";
    body.textContent = text.slice(0, LONGEST_TEXT);
    line.classList.toggle("own", own);
    line.append(head, body);
    list.append(line);
    while (list.children.length > KEPT) list.firstElementChild.remove();
    part("silence").hidden = true;
    list.parentElement.scrollTop = list.parentElement.scrollHeight;
  }

  part("say").addEventListener("submit", send);
  part("drop").addEventListener("click", () => {
    if (state === "open") channel.drop();
  });
  part("say").hidden = false;
  part("drop").hidden = false;

  return {
    open: () => channel.open(),
    close: (reason) => channel.close(ENDS[reason]),
    refreshed: () => {
      if (state === "open") write("the channel stays open; what is sent next carries the new token");
    },
  };
}
