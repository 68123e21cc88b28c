// What the demo's page shows of a token: a few of its characters, its claims, and the time that it has left.

import { clock } from "./demo-log.js";

const SHOWN_CLAIMS = ["sub", "username", "client_id", "token_use", "scope", "iat", "exp"];

// createTokenPanel gives { show(token, expiresAt), clear() } for the parts of a page. expiresAt is in Unix seconds, by this browser's clock.
export function createTokenPanel(part) {
  let deadline = 0; // when the token expires, in ms
  let life = 1; // the token's whole life, in ms

  function countDown() {
    const left = Math.max(0, deadline - Date.now());
    const ring = part("ring");
    part("expires-in").textContent = left > 0 ? `${Math.ceil(left / 1000)} s` : "expired";
    ring.setAttribute("stroke-dashoffset", String(100 - Math.min(100, (left / life) * 100)));
    ring.classList.toggle("empty", left === 0);
  }

  function show(token, expiresAt) {
    const claims = decode(token);
    deadline = expiresAt * 1000;
    if (claims.exp > claims.iat) life = (claims.exp - claims.iat) * 1000;
    part("live").hidden = false;
    part("token").textContent = `${token.slice(0, 10)}${tail(token)}`;
    part("length").textContent = `${token.length} characters`;
    part("claims").replaceChildren(...SHOWN_CLAIMS.filter((name) => name in claims).flatMap((name) => fact(name, claims[name])));
    countDown();
  }

  function clear() {
    deadline = 0;
    part("live").hidden = true;
    part("token").textContent = "";
    part("claims").replaceChildren();
  }

  setInterval(() => {
    if (deadline !== 0) countDown();
  }, 500);
  return { show, clear };
}

// tail is enough of a token to tell it from another, and of no use to anybody.
export function tail(token) {
  return `…${token.slice(-8)}`;
}

function fact(name, value) {
  const term = document.createElement("dt");
  const description = document.createElement("dd");
  term.textContent = name;
  description.textContent = name === "exp" || name === "iat" ? clock(new Date(value * 1000)) : String(value);
  return [term, description];
}

// decode reads a JWT's claims. It verifies nothing: that is for whoever receives the token.
function decode(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {}; // an opaque token has no claims to show
  }
}
