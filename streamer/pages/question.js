/** Asks over HTTP what a WebSocket that is refused does not say: why. */

import { httpAddress } from "./address.js";

/** A server that takes a question and does not answer it is as good as none. */
export const ANSWER_MS = 10_000;

/** The status that the server answers with; 0: nobody answers. */
export async function statusOf(path, token, method = "GET") {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), ANSWER_MS);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    return (await fetch(httpAddress(path), { method, headers, cache: "no-store", signal: ending.signal })).status;
  } catch {
    return 0;
  } finally {
    clearTimeout(timer);
  }
}
