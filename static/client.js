// The browser's side of Vestibule: a token for those who need one, one request for all tabs, and word of a session's end.
//
//   getTokens → held and good? → else one tab asks (Web Locks) → the others hear its answer (BroadcastChannel)
//   the server says that the session ended → one tab listens (EventSource) → asks whether that is so → the others hear of it
//
// Tokens stay in memory: nothing here writes to a storage, an address or a log, and no error's text holds a token. Nothing is touched at
// import, so that a server may render modules that import this one. What each function promises is in client.d.ts.

const MARGIN = 60; // s before its end at which a token is replaced; half of its life where that is less
const PAUSE = 5; // s after a refusal in which nothing is asked: all subscriptions of a signed-out page cost one request
const FAREWELL = 20; // s after a sign-out in which nothing is asked: until it has reached the server, the session stands
const PATIENCE = 10_000; // ms to wait for the tab that asks: it may hang
const ANSWER_LIMIT = 20_000; // ms for one answer: the server gives up on its own within 15 s
const HEARING = 500; // ms that word of an answer may take to a tab that got the lock which was let go after it
const HAIL = 30; // ms that other tabs have to offer the token which they hold
const DEAF = 60_000; // ms between two attempts to hear the server, where it refuses the stream; up to twice that, so that not all come at once
const LONGEST_LIFE = 86_400; // s that a token is believed to live: whoever says more may be wrong, and browsers' timers end at 24 days
const NOTHING = "no usable answer"; // of an error that may be this tab's alone: it was stopped, or leaves, or its network is down
const TOKEN_LIMIT = 20_000; // characters

export class VestibuleError extends Error {}

export class SignedOutError extends VestibuleError {
  name = "SignedOutError";
  constructor(reason) {
    super(`not signed in: ${reason}`);
    this.reason = reason;
  }
}

export class ForbiddenError extends VestibuleError {
  name = "ForbiddenError";
}

export class UnavailableError extends VestibuleError {
  name = "UnavailableError";
  constructor(message, retryAfter) {
    super(message);
    this.retryAfter = retryAfter >= 1 ? retryAfter : PAUSE;
  }
}

export function createClient({
  tokenPath = "/api/cognito-token",
  authPath = "/api/auth",
  loginPath = "/login",
  csrfHeader,
  minTtl,
  apiOrigins = [],
  user,
} = {}) {
  const name = `vestibule:${tokenPath}`;
  const listeners = new Map(); // of the session's end, and whether they close something: those hear of a session that was only supposed, too
  let channel; // to the other tabs, where there is one
  let kept; // the token held
  let flight; // the question under way: { want, force, landed }
  let pause; // after a refusal: its error, with the time until which nothing is asked, by performance.now()
  let wake; // called with each message from another tab
  let alarm; // the timer that looks after the session of what is open
  let stop; // ends the stream of the server's word, or the wait for it; undefined while there is neither
  const who = { token: user }; // the user that this page belongs to, as tokens and as sessions name him: some providers do it differently
  let over = user ? false : undefined; // the error that the session ended with; undefined while no session is known, 0 while one is only supposed
  let endedAt = 0; // tokens asked for before are not taken: times of this machine's clock, in ms, which all tabs share
  let seen = 0; // when the newest that is known about the session was asked for

  // --- What is held

  // left is in seconds. Each clock covers for the other: one may be set back, one may stand still while the machine sleeps.
  const left = (token) => token.life - Math.max(Date.now() - token.wall, performance.now() - token.steady) / 1000;

  // A token that gave less than was asked for would be asked for anew each time: it is good for half of what it gave.
  const usable = (want) => kept && left(kept) > (kept.want < want ? want : Math.min(want ?? MARGIN, kept.life / 2));

  const paused = () => performance.now() < pause?.until && pause;

  const rest = (error) => {
    const seconds = error.reason === "signed-out" ? FAREWELL : Math.min(error.retryAfter ?? PAUSE, PAUSE);
    pause = error;
    pause.until = performance.now() + seconds * 1000;
  };

  // verdict gives the token that serves, throws what stands against asking, and gives nothing where it is time to ask.
  const verdict = (want, force) => {
    const error = paused();
    if (error ? !error.reason && usable(0) : !force && usable(want)) return kept;
    if (error) throw error;
  };

  // moment is later than all that is known, even when the clock was set back.
  const moment = () => Math.max(Date.now(), seen + 1);

  // keep takes a token in, asked for here or heard of, unless something newer is known. Where the session has named the user, no token has,
  // and this one names somebody else, it may be the same user by another name: the session is asked for anew, and ends if it is another's.
  const keep = async (token) => {
    if (strange("token", token.sub) && (await session()) && token.born > endedAt) who.token = token.sub;
    if (kept?.born > token.born || !recognise("token", token.sub, token.born)) return;
    kept = token;
    pause = undefined;
    watch();
  };

  // strange is the first name of its kind that is not the one known of the other kind.
  const strange = (kind, sub) => sub && !who[kind] && sub !== (who.token ?? who.session ?? sub);

  // recognise compares a user with the page's own. What was asked for before the page was loaded may be of an earlier session: it is
  // believed only where it names the user that the page knows.
  const recognise = (kind, sub, born) => {
    const known = who[kind] && sub;
    const other = known && sub !== who[kind];
    if (other && born >= seen) end("other-user", born);
    if (other || born <= endedAt || (born < seen && !known)) return;
    seen = Math.max(seen, born);
    who[kind] ??= sub;
    over = false;
    return true;
  };

  // --- The session's end

  const end = (reason, at) => {
    const before = over;
    endedAt = seen = Math.max(seen, at);
    kept = undefined;
    rest((over = new SignedOutError(reason)));
    watch();
    if (before) return; // told already
    for (const [listener, closes] of [...listeners]) if (closes || before === false || reason !== "expired") run(listener, reason);
  };

  // refused takes in that a question met a refusal. A 401 to an older question says nothing about a session begun since. An outage is told
  // to the other tabs only where the server has answered, or let the time for it pass.
  const refused = (error, born) => {
    if (!error.reason) {
      if (!paused()?.reason) rest(error);
      if (error.message !== NOTHING) channel?.postMessage({ after: error.retryAfter });
    } else if (born >= seen) {
      end("expired", born);
      channel?.postMessage({ is: "expired", born });
    }
  };

  const onSessionEnd = (listener, closes) => {
    open();
    if (seen) listeners.set(listener, closes); // a server has no session to lose
    watch();
    return () => watch(listeners.delete(listener));
  };

  // watch sees to it that the session's end is noticed while something waits for it: an open socket outlives its token. The server says it,
  // and it is asked once in a token's life: not every proxy lets a stream through. The question neither refreshes nor prolongs the session.
  // Where something is open whose session nobody has asked after yet, it is asked until it answers.
  const watch = () => {
    clearTimeout(alarm);
    if ((over ?? true) || !listeners.size) return leave();
    if (over === 0) alarm = setTimeout(look, PAUSE * 1000);
    else {
      if (kept) alarm = setTimeout(look, Math.max(kept.life, MARGIN) * 1000);
      if (!stop) follow();
    }
  };

  const look = () => session().catch(() => {});

  // follow listens to the server in one tab for all: over HTTP/1.1, a browser has six connections to a host, and a stream holds one. What it
  // says is a reason to look, no more: it may be about an earlier session than the one that the browser has now. Where the server refuses
  // the stream, the session may be over, or something between does not know streams.
  const follow = () => {
    const { signal } = (stop = new AbortController());
    const listen = (release) => {
      const source = new EventSource(address(`${authPath}/events`));
      signal.onabort = () => release(source.close());
      source.addEventListener("session.ended", look);
      source.onerror = () => {
        if (source.readyState < 2) return; // it connects anew by itself
        look();
        setTimeout(() => signal.aborted || look(leave()), DEAF * (1 + Math.random()));
      };
    };
    navigator.locks?.request(`${name}/events`, { signal }, () => new Promise(listen)).catch(() => {});
  };

  const leave = () => (stop = stop?.abort());

  // --- The other tabs

  const open = () => {
    if (seen || !globalThis.location) return;
    seen = performance.timeOrigin; // when this page began to load
    try {
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => {
        hear(Object(data));
        wake?.();
      };
    } catch {
      // an old browser, or a frame without rights: this tab asks for itself
    }
    addEventListener("pagehide", leave); // who holds a stream or a lock is not kept for the back button
    // A page in the back-forward cache has missed what was said meanwhile.
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted) look((kept = undefined));
    });
  };

  const hear = (message) => {
    const { is, born, after } = message;
    // The last is this page's clock as if nobody had set it since: what other tabs know may be from before it was set back.
    if (born > Math.max(moment(), performance.timeOrigin + performance.now()) + 1000) return;
    if (is === "who" && usable()) tell(kept);
    if (after > 0 && !paused()) rest(new UnavailableError(NOTHING, after));
    if (is === "signed-out") end(is, moment());
    if (is === "expired" && born >= seen) end(is, born);
    const token = read({ ...message, steady: performance.now() });
    if (token) keep(token).catch(() => {});
  };

  // wall is for a message that lay about while its reader was frozen.
  const tell = (token, force) => channel?.postMessage({ ...token, force, life: left(token), wall: Date.now() });

  // --- Asking

  const token = async (least, force) => {
    open();
    const want = [least, minTtl].find((seconds) => seconds > 0);
    const before = kept;
    const held = verdict(want, force);
    if (held) return held;
    flight ??= { want: want ?? 0, force, landed: renew(want, force).finally(() => (flight = undefined)) };
    const fits = (flight.force || !force) && !(flight.want < want);
    await flight.landed;
    const brought = fits && (verdict(0) ?? (kept !== before && kept)); // as it is, even if its life was over before it arrived
    return brought || token(least, force);
  };

  // renew asks, or waits for the tab that does. Where that takes too long, or cannot be done, it asks without regard to the others.
  const renew = async (want, force) => {
    const before = kept;
    const done = () => paused() || (force ? kept !== before && kept?.force : usable(want));
    const waiting = new AbortController();
    let asked;
    const due = () => !asked && !done();
    const lead = async (limit) => {
      if (limit && due()) {
        await new Promise((resolve) => {
          setTimeout(resolve, limit);
          wake = () => done() && resolve();
          if (who.token) channel.postMessage({ is: "who" });
        });
      }
      if (due()) await (asked = ask(want, force));
    };
    wake = () => done() && waiting.abort();
    try {
      if (channel) {
        await navigator.locks.request(name, { ifAvailable: true }, (lock) => lock && lead(who.token && !kept && HAIL));
        setTimeout(() => waiting.abort(), PATIENCE); // without effect once the lock is there
        if (due()) await navigator.locks.request(name, { signal: waiting.signal }, () => lead(HEARING));
      }
    } catch {
      // no such API, no right to it, or no more waiting
    }
    await lead();
  };

  const ask = async (want, force) => {
    const born = moment();
    const steady = performance.now();
    try {
      const least = want ?? (kept && Math.min(MARGIN, kept.life / 2));
      const { accessToken, idToken, expiresIn: life } = await call(tokenPath, { min_ttl: Math.ceil(least), forceRefresh: force });
      const fresh = read({ accessToken, idToken, life, born, want: want ?? MARGIN, force, wall: born, steady });
      if (!fresh) throw new UnavailableError(NOTHING);
      await keep(fresh);
      if (born >= endedAt) tell(fresh, force); // another user's, too: the other tabs want to know
    } catch (error) {
      refused(error, born);
    }
  };

  const call = async (path, parameters) => {
    let response;
    try {
      response = await fetch(address(path, parameters), {
        cache: "no-store",
        headers: csrfHeader && { [csrfHeader]: "1" },
        signal: AbortSignal.timeout?.(ANSWER_LIMIT),
      });
      if (response.ok) return Object(await response.json());
    } catch ({ name }) {
      throw new UnavailableError(name === "TimeoutError" ? name : NOTHING);
    }
    const { status } = response;
    if (status === 401) throw new SignedOutError("expired");
    throw new (status === 403 ? ForbiddenError : UnavailableError)(`status ${status}`, +response.headers.get("Retry-After"));
  };

  // --- What applications call

  const session = async () => {
    open();
    if (paused()?.reason === "signed-out") return null; // the sign-out is on its way
    const born = moment();
    try {
      const answer = await call(`${authPath}/session`);
      const sub = answer.user?.sub;
      if (!sub) throw new UnavailableError(NOTHING);
      recognise("session", sub, strange("session", sub) ? (await ask(), kept?.born >= born && seen) : born); // another user's token ends the session that this page knew of
      return answer;
    } catch (error) {
      if (!error.reason) throw error;
      refused(error, born);
      return null;
    } finally {
      watch();
    }
  };

  return {
    session,
    onSessionEnd,

    closeOnSignOut(thing) {
      const close = (reason) => {
        if (!thing.close) return thing(reason);
        return listeners.delete(close) && thing.close();
      };
      over ??= 0; // what is open lives on a session
      onSessionEnd(close, true);
      if (over) run(close, over.reason); // it was opened while the session ended
      return thing;
    },

    async getToken(options) {
      const held = await token(options?.minTtl, options?.forceRefresh);
      return { accessToken: held.accessToken, expiresAt: Math.floor(Date.now() / 1000 + left(held)) };
    },

    signIn({ returnTo = location.href.slice(location.origin.length), provider, loginHint, prompt, lang } = {}) {
      const path = provider || loginHint || prompt ? `${authPath}/sign-in` : loginPath;
      location = address(path, { provider, login_hint: loginHint, prompt, lang, returnTo });
    },

    signOut({ returnTo } = {}) {
      open();
      channel?.postMessage({ is: "signed-out" });
      end("signed-out", moment());
      location = address(`${authPath}/sign-out`, { returnTo }); // a navigation, which the provider's logout page can answer; a fetch could not
    },

    async fetchWithSession(input, init) {
      const request = new Request(input, init);
      const { signal, url } = request;
      const { origin } = new URL(url);
      if (![location.origin, ...apiOrigins].includes(origin)) throw new ForbiddenError(`not in apiOrigins: ${origin}`);
      signal.throwIfAborted();
      const aborted = new Promise((_, reject) => (signal.onabort = () => reject(signal.reason))); // a token may take its time
      const first = await Promise.race([token(), aborted]);
      const answer = await send(request.clone(), first);
      if (answer.status !== 401) return answer;
      const next = await Promise.race([token(0, kept?.accessToken === first.accessToken).catch(() => first), aborted]);
      if (next.accessToken === first.accessToken) return answer;
      answer.body?.cancel().catch(() => {}); // nobody reads it, and it would hold its connection
      return send(request, next);
    },

    tokenProvider: () => ({
      async getTokens(options) {
        const { accessToken, idToken } = await token(0, options?.forceRefresh);
        return { accessToken: jwt(accessToken), idToken: idToken && jwt(idToken) };
      },
    }),
  };
}

const send = (request, { accessToken }) => {
  request.headers.set("Authorization", `Bearer ${accessToken}`);
  return fetch(request);
};

const address = (path, parameters) => {
  const url = new URL(path, location);
  for (const name in parameters) if (parameters[name]) url.searchParams.set(name, parameters[name]);
  return url;
};

const jwt = (text) => ({ payload: decode(text), toString: () => text });

// decode reads a JWT's claims and verifies nothing: that is for whoever receives the token. An opaque token has none.
const decode = (token) => {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return Object(JSON.parse(decodeURIComponent(escape(bytes)))); // escape: the bytes are UTF-8
  } catch {
    return {};
  }
};

// read makes of what the server, or another tab, says what is kept, if it has the shape. wall and steady are the two clocks at the moment
// from which its life counts.
const read = (answer) => {
  const { accessToken, idToken, life, born, wall } = answer;
  const isText = (value) => value?.trim?.() && !value[TOKEN_LIMIT];
  if (isText(accessToken) && isText(idToken ?? accessToken) && Math.min(life, born, wall) > 0) {
    return { ...answer, life: Math.min(life, LONGEST_LIFE), sub: decode(accessToken).sub };
  }
};

// run calls what an application registered: at once, and with its faults kept apart.
const run = (work, reason) => (async () => work(reason))().catch(globalThis.reportError);

export const { tokenProvider, getToken, session, signIn, signOut, onSessionEnd, closeOnSignOut, fetchWithSession } = /* @__PURE__ */ createClient();
