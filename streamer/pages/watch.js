/**
 * A viewer's side of `/v1/watch/{session}`: everything that was committed first, then what comes; connects again by itself.
 *
 * `page` has: replace(), take(message), missed(), interrupted(), say(state), refuse(why).
 */

import { socketAddress } from "./address.js";
import { Backoff } from "./backoff.js";
import { statusOf } from "./question.js";
import { Shown } from "./shown.js";
import { subprotocols } from "./token.js";

/** Names that daemons give to one stream, or a channel of it, and never again; others may come back, as a microphone does. */
const ONCE = /^[0-9a-f]{16}(-\d+)?$/;
/** Every other code behind `done` means that the session may go on: with the next server, or when its speaker is back. */
const NORMAL = 1000;
const TRY_LATER = 1013;
const BROKEN = 1006;
/** From an attempt to connect to the server's first word. */
const OPEN_MS = 10_000;

export class Watch {
  #session;
  #token;
  #page;
  #backoff = new Backoff();
  #shown = new Shown();
  #started = null;
  #opened = false;
  #ended = false;
  #absent = false;
  #timer = null;
  #opening = null;

  constructor(session, token, page) {
    this.#session = session;
    this.#token = token;
    this.#page = page;
    addEventListener("online", () => this.#timer !== null && this.open());
  }

  open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#opened = false;
    const socket = new WebSocket(socketAddress(`v1/watch/${this.#session}`), subprotocols(this.#token));
    socket.onopen = () => (this.#opened = true);
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(code);
    this.#opening = setTimeout(() => this.#leave(socket), OPEN_MS);
  }

  /** Wait no longer: browsers do for minutes. */
  #leave(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#closed(BROKEN);
  }

  #take(message) {
    clearTimeout(this.#opening);
    if (message.type === "watching") return this.#begin(message);
    if (message.type === "done") this.#ended = true;
    if (message.type === "commit" && !this.#note(message)) return;
    this.#page.take(message);
  }

  /** Whether a commit is to be shown; ids have no gaps, unless nobody has what was said meanwhile. */
  #note(commit) {
    const { last } = this.#shown;
    if (commit.id <= last) return false;
    if (commit.id > last + 1) this.#page.missed();
    this.#shown.add(commit);
    return true;
  }

  /** Add what was missed; if it is not what is shown that goes on, begin anew. */
  #begin(message) {
    this.#ended = false;
    this.#absent = "ended" in message; // and may go on, if it is not closed as one that was stopped
    const same = ONCE.test(this.#session) || message.started === this.#started;
    this.#started = message.started;
    if (!this.#shown.goesOn(message.commits, same)) {
      this.#shown.clear();
      this.#page.replace();
    }
    for (const commit of message.commits) this.#take({ ...commit, type: "commit" });
    if (message.ended) return;
    this.#backoff.reset();
    this.#page.say("live");
  }

  async #closed(code) {
    clearTimeout(this.#opening);
    this.#page.interrupted();
    if (this.#ended && code === NORMAL) {
      this.#page.say("ended");
      if (ONCE.test(this.#session)) return;
    } else if (this.#opened) {
      this.#page.say(code === TRY_LATER ? "full" : this.#absent ? "absent" : "lost");
    } else {
      const status = await statusOf(`v1/sessions/${this.#session}.txt`, this.#token, "HEAD");
      if (status === 401) return this.#page.refuse("The server wants a token: put it behind the address, as #token=TOKEN.");
      if (status === 403) return this.#page.refuse("The server does not show captions under this address.");
      this.#page.say(status === 404 ? "absent" : "lost");
    }
    this.#timer = setTimeout(() => this.open(), this.#backoff.next() * 1000);
  }
}
