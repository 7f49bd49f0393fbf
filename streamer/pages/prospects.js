/** After which ends of a connection another one may go better, and what the speaker is told of them. */

import { statusOf } from "./question.js";

/** What the person at the page cannot mend by waiting. */
const FATAL = new Set(["bad_message", "bad_value", "bad_samples", "incomplete_sample", "unexpected_message", "message_too_big"]);
const RESTARTING = 1012;
const TAKEN_OVER = 4409;

export class Prospects {
  #asking = false;
  #abandoned = 0;

  /** A session was asked for again: `start` is sent. */
  ask() {
    this.#asking = true;
  }

  /** The server answered, whatever it said. */
  answer() {
    this.#asking = false;
  }

  /**
   * The connection is gone. A `start` that nobody answered may reach the server late, and is then the newer connection:
   * the server ends the one that is (`docs/protocol.md`, Resuming).
   */
  lose() {
    if (this.#asking) this.#abandoned += 1;
    this.#asking = false;
  }

  /** Why there is no sense in another attempt; empty if there may be. */
  refusal(error, code) {
    if (FATAL.has(error?.code)) return `The server objects: ${error.message}.`;
    if (code !== TAKEN_OVER) return "";
    if (this.#abandoned === 0) return "These captions go on from elsewhere: another connection has them.";
    this.#abandoned -= 1; // by an attempt of our own that came late
    return "";
  }
}

/** Why the server lets nobody in, `{kind, why}`. A WebSocket that is refused does not say it; the same host over HTTP does. */
export async function denial(token) {
  const status = await statusOf("v1/capabilities", token);
  if (status === 401) return { kind: "token", why: "The server wants another token." };
  if (status === 403) return { kind: "server", why: "The server does not take streams from a page under this address." };
  return null; // the server is not there, or was not: wait for it
}

/** Why the connection ended, in words that may be followed by "; trying again". */
export function reason(error, code) {
  if (error === "busy" || error === "overloaded") return "The server is full";
  if (error === "not_ready") return "The server is not ready";
  if (error === "shutting_down" || code === RESTARTING) return "The server restarts";
  if (code === TAKEN_OVER) return "The connection is lost";
  if (error) return "The server had a failure";
  return "The connection is lost";
}
