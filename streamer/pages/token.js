/**
 * The token of a server that wants one. It is kept for this tab only, and sent as a header or, where a browser can set
 * none, as a WebSocket subprotocol; never in a URL, which servers and proxies write down.
 */

const KEY = "streamer.token";
const SUBPROTOCOL = "streamer.v1";
/** What a subprotocol may consist of: RFC 9110, 5.6.2. */
const SENDABLE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** As it was last entered, for browsers that store nothing: there it is asked for again after a reload. */
let entered = "";

export function readToken() {
  if (entered) return entered;
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function keepToken(token) {
  entered = token;
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // It is kept as long as the page.
  }
}

export function isSendable(token) {
  return SENDABLE.test(token);
}

export function subprotocols(token) {
  return token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
}

const FRAGMENT = "#token=";

/** The token in the part of the address that no server is sent: all that follows `#token=`, whatever signs are in it. */
export function fragmentToken(hash) {
  return hash.startsWith(FRAGMENT) ? hash.slice(FRAGMENT.length) : "";
}
