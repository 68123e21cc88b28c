/**
 * The browser's side of Vestibule: a token for those who need one, one request for all tabs of a browser, and word of a session's end.
 * Tokens stay in memory. Nothing is touched at import, so modules that are also evaluated on a server may import this one; the functions
 * themselves are for browsers.
 */

/** What a client asks for, and where. Paths include the base path that Vestibule lives under, if it has one. */
export interface ClientOptions {
  /** Where the token answer is, a query of its own included. Default "/api/cognito-token". Clients with different paths know nothing of each other. */
  tokenPath?: string | undefined;
  /** Where sign-out, session and direct sign-in are. Default "/api/auth". */
  authPath?: string | undefined;
  /** The sign-in page. Default "/login". */
  loginPath?: string | undefined;
  /** The header that the server's `token.csrf_header` demands; sent with the value "1". Default: none. */
  csrfHeader?: string | undefined;
  /**
   * The least remaining life of a token, in seconds. Default: 60, or half of a token's life where that is less. Where the server cannot give
   * as much, what it gives is used for half of its life. What is no number above 0 counts as not given. No token is held for more than a day.
   */
  minTtl?: number | undefined;
  /** Origins other than the page's own to which {@link fetchWithSession} may send the token, such as "https://api.example.com". Default: none. */
  apiOrigins?: readonly string[] | undefined;
  /**
   * The user for whom a server rendered this page: the `sub` of their access tokens, which with Cognito is that of the session and of the
   * header X-Auth-Request-User, too. Another user's token is then refused from the start, and a tab that opens takes the token that another
   * tab of this user holds, without a request. Without it, a page's first token always comes from the server or from a tab that asked for
   * it after this page began to load: an older one could be of an earlier session. Default: none; the page belongs to the first user whom a
   * token or {@link Client.session} names. An opaque token names nobody: with such, another user is noticed by session() alone.
   */
  user?: string | undefined;
}

/**
 * Why a session is over. "signed-out": signOut was called, in any tab. "expired": the server knows no session any more, for whatever reason:
 * time, a sign-out without this module or on another device, an operator.
 * "other-user": somebody else is signed in now. This page gives out no token until it is loaded anew, or its own user is back.
 */
export type SessionEndReason = "signed-out" | "expired" | "other-user";

/** What every error of this module is an instance of. No message holds a token. */
export class VestibuleError extends Error {}

/**
 * Nobody is signed in, or not the page's user. For 5 seconds after it, and 20 after a sign-out, which takes its time to reach the server,
 * nothing is asked again, however many callers try.
 */
export class SignedOutError extends VestibuleError {
  readonly reason: SessionEndReason;
}

/**
 * No token can be had at the moment and the one held is used up: the provider, the server or the network fails. The session stays. What the
 * server answers to a question for a token is told to all tabs; a failure that may be one tab's own, such as that its loading was stopped, is not.
 */
export class UnavailableError extends VestibuleError {
  /** Seconds until it is worth trying again. For as long, but at most 5, no token is asked for again. */
  readonly retryAfter: number;
}

/** The request may not be made: from another site, without the demanded header, or to an origin that is not among `apiOrigins`. */
export class ForbiddenError extends VestibuleError {}

/** A decoded token. The signature was not checked: that is for whoever receives the token. An opaque token has no claims. */
export interface Jwt {
  payload: { [claim: string]: any };
  toString(): string;
}

/** What Amplify v6 takes as `libraryOptions.Auth.tokenProvider`. */
export interface TokenProvider {
  /** Rejects as {@link getToken} does, and never gives null: Amplify would connect without a token. `idToken` is there if the server tells it. */
  getTokens(options?: { forceRefresh?: boolean | undefined }): Promise<{ accessToken: Jwt; idToken?: Jwt }>;
}

export interface TokenOptions {
  /** The least remaining life, in seconds, above 0; see {@link ClientOptions.minTtl}. While the provider is down, a token with less is given. */
  minTtl?: number | undefined;
  /** Asks the server for a new token. It makes at most one in 10 seconds for a session. */
  forceRefresh?: boolean | undefined;
}

export interface AccessToken {
  accessToken: string;
  /** When it ends, in Unix seconds by this browser's clock, right or wrong. */
  expiresAt: number;
}

export interface SessionInfo {
  /** The claims of the user that the server tells; `sub` is always there. */
  user: { sub: string; [claim: string]: unknown };
  /** When the session ends, in Unix seconds by the server's clock. */
  expiresAt: number;
}

export interface SignInOptions {
  /** Where to go afterwards: a path, or a URL of an origin that the server allows. Default: this page, with query and fragment. */
  returnTo?: string | undefined;
  /** The identity provider to go to directly, past the sign-in page. */
  provider?: string | undefined;
  /** Who wants to sign in, as far as is known. Goes to the provider directly. */
  loginHint?: string | undefined;
  /** OpenID Connect's prompt, "login" for example. Goes to the provider directly. */
  prompt?: string | undefined;
  /** The language of the pages. */
  lang?: string | undefined;
}

export interface SignOutOptions {
  /** Where to go afterwards: a path, or a URL of an origin that the server allows. Default: the signed-out page. */
  returnTo?: string | undefined;
}

/** What {@link closeOnSignOut} closes: anything with a `close` method, or a function. */
export type Closable = { close(): unknown } | ((reason: SessionEndReason) => unknown);

export interface Client {
  /** Gives Amplify its tokens, from where {@link Client.getToken} has them. */
  tokenProvider(): TokenProvider;

  /**
   * Gives a token that lives long enough: the one held in memory, or one that is asked for, by one tab for all. Calls at the same time share
   * one request. While the provider or the network fails, a held token is given until it ends.
   * @throws {SignedOutError} nobody is signed in, or not this page's user
   * @throws {UnavailableError} no token can be had at the moment
   * @throws {ForbiddenError} the server refuses the request itself
   */
  getToken(options?: TokenOptions): Promise<AccessToken>;

  /**
   * Asks the server who is signed in; null means nobody. It does not prolong the session.
   * @throws {UnavailableError} the server does not answer
   * @throws {ForbiddenError} the server refuses the request itself
   */
  session(): Promise<SessionInfo | null>;

  /** Leaves the page for the sign-in page, or for the provider where `provider`, `loginHint` or `prompt` is given. */
  signIn(options?: SignInOptions): void;

  /**
   * Ends the session: tells all tabs, this one included, and leaves the page for the provider's logout.
   */
  signOut(options?: SignOutOptions): void;

  /**
   * Calls the listener each time a session that this page knew of ends. Gives the function that takes it back.
   * The page knows of a session once it held a token, asked {@link Client.session}, or was given `user`. From then on, while there is a
   * listener, the server says when the session ends, wherever that was: one tab of the browser holds a stream from it (`EventSource`, Web
   * Locks), and tells the others. Where there can be no stream, the session is asked after once in a token's life. Any page hears of a
   * {@link Client.signOut} in another tab.
   */
  onSessionEnd(listener: (reason: SessionEndReason) => unknown): () => void;

  /**
   * Closes the thing when the session ends, or at once if it has ended already, and gives it back:
   * `const socket = closeOnSignOut(new WebSocket(url))`. What has a close() is closed once and forgotten. A function stays: it is called at
   * every end, as a page may see several, and is for what is opened anew with each session. With Amplify, once in a module,
   * `closeOnSignOut(() => events.closeAll())`: a channel's own close() waits for a second, and leaves the socket open as long as another
   * channel is. After closeAll() Amplify connects no more by itself until the page is loaded anew. Where the page has not learnt of a
   * session within 5 seconds, it asks whether there is one; if not, what was given here is closed, and no listener of {@link onSessionEnd}
   * is called. What is closed earlier is better left to that, whose answer takes the listener back.
   */
  closeOnSignOut<T extends Closable>(thing: T): T;

  /**
   * `fetch` with `Authorization: Bearer`, to this page's origin or one of `apiOrigins`. After a 401 it asks for a new token and tries once
   * more; the answer is given as it is. Where a redirect leads to another origin, browsers leave the token behind. An abort signal ends the
   * wait for the token, too.
   * @throws {ForbiddenError} the origin is not allowed; nothing was sent
   * @throws as {@link Client.getToken} and as `fetch`
   */
  fetchWithSession(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}

/** Makes a client for paths or needs other than the defaults. Make one and keep it: what it holds in memory is its own. */
export function createClient(options?: ClientOptions): Client;

// The functions of a client with the default options.
export const tokenProvider: Client["tokenProvider"];
export const getToken: Client["getToken"];
export const session: Client["session"];
export const signIn: Client["signIn"];
export const signOut: Client["signOut"];
export const onSessionEnd: Client["onSessionEnd"];
export const closeOnSignOut: Client["closeOnSignOut"];
export const fetchWithSession: Client["fetchWithSession"];
