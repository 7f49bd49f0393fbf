/**
 * The token of a server that wants one. It is kept for this tab only, and sent as a header or, where a browser can set
 * none, as a WebSocket subprotocol; never in a URL, which servers and proxies write down.
 */

const KEY = "streamer.token";
const SUBPROTOCOL = "streamer.v1";
/** What a subprotocol may consist of: RFC 9110, 5.6.2. */
const SENDABLE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function readToken() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage is switched off: the token is asked for again after a reload
  }
}

export function keepToken(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

export function isSendable(token) {
  return SENDABLE.test(token);
}

export function subprotocols(token) {
  return token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
}

/** The token in the part of the address that no server is sent: `#token=…`. */
export function fragmentToken(hash) {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token") ?? "";
}
