/**
 * The speaker's side of `/v1/stream`: sends frames, hands on what comes back, and connects again when the connection is
 * lost. The session then goes on, with the audio that the server asks for; a server that does not know it (any more)
 * gets a new one, from the last committed word on. Times it tells are seconds of the whole stream, over all of them.
 *
 * `tell` hears: {state: "connecting" | "live" | "waiting" | "finishing" | "ended" | "refused", …} and {message: …}.
 */

import { socketAddress } from "./address.js";
import { Backlog } from "./backlog.js";
import { Backoff } from "./backoff.js";
import { Prospects, denial, reason } from "./prospects.js";
import { Session, lost } from "./session.js";
import { subprotocols } from "./token.js";

const RATE = 16_000;
const BYTES_PER_SECOND = 2 * RATE;
/** Audio on its way into the network; more waits here. */
const FULL_BYTES = 4 * BYTES_PER_SECOND;
/** Until it is looked at again, if nothing comes meanwhile. */
const PUMP_MS = 100;
/** A network that takes nothing for so long is gone, though nobody says so. */
const STALLED_MS = 10_000;
/** From an attempt to connect to the server's answer to `start`. */
const OPEN_MS = 10_000;
/** Of a stream that was stopped the server says something in this time, until the rest is said. */
const FINISH_MS = 30_000;
/** What leaves a full backlog between asking for a session and sending what it lacks. */
const ON_THE_WAY_SAMPLES = 5 * RATE;
/** A connection that lived so long was a good one: the next attempt is made soon. */
const GOOD_MS = 10_000;
/** The close code after the `done` that answers `stop`. */
const NORMAL = 1000;
const UNKNOWN_SESSION = 4404;

export class Stream {
  #wishes;
  #token;
  #start;
  #tell;
  #backlog;
  #backoff = new Backoff();
  #prospects = new Prospects();
  #socket = null;
  #session = null;
  #sessions;
  #sent = 0;
  #ready = false;
  #stopping = false;
  #over = false;
  #error = null;
  #done = false;
  #openedAt = 0;
  #movedAt = 0;
  #timer = null;
  #opening = null;
  #pumping = null;
  #deadline = null;

  /**
   * `wishes`: {language, task}; `place`: where the page's stream before this one ended, of which this one is told apart by
   * its times and by the numbers of its sessions.
   */
  constructor(wishes, token, place, tell) {
    this.#wishes = wishes;
    this.#token = token;
    this.#backlog = new Backlog(place.sample);
    this.#start = this.#sent = place.sample;
    this.#sessions = place.sessions;
    this.#tell = tell;
  }

  /** The sample after the last one that was taken, and how many sessions the page has had by then. */
  get place() {
    return { sample: this.#backlog.end, sessions: this.#sessions };
  }

  open() {
    this.#tell({ state: "connecting" });
    this.#connect();
  }

  push(samples) {
    if (this.#over || this.#stopping) return;
    this.#backlog.push(samples);
    this.#pump();
  }

  /** Seconds of audio that wait to be sent. */
  get unsent() {
    return Math.max(0, this.#backlog.end - this.#sent) / RATE + (this.#socket?.bufferedAmount ?? 0) / BYTES_PER_SECOND;
  }

  /** No more audio comes: have the rest decided. */
  stop() {
    if (this.#over || this.#stopping) return;
    this.#stopping = true;
    this.#tell({ state: "finishing" });
    this.#expect();
    if (this.#ready) this.#pump();
    else if (this.#timer !== null) this.#connect(); // the last chance, now
  }

  /** Wait for what the server says next of the rest. */
  #expect() {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end("The last words may be missing: the server did not answer."), FINISH_MS);
  }

  /** The network says that it is gone, or back. */
  networkChanged(online) {
    if (this.#over) return;
    if (!online && this.#socket) this.#lose("The network is gone");
    if (online && this.#timer !== null) this.#connect();
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ready = this.#done = false;
    this.#error = null;
    let socket;
    try {
      socket = new WebSocket(socketAddress("v1/stream"), subprotocols(this.#token));
    } catch (error) {
      this.#refuse("token", `The token cannot be sent: ${error.message}`);
      return;
    }
    this.#socket = socket;
    this.#opening = setTimeout(() => this.#lose("The server does not answer"), OPEN_MS);
    socket.onopen = () => socket === this.#socket && this.#greet();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
  }

  #greet() {
    this.#openedAt = this.#movedAt = performance.now();
    const { language, task } = this.#wishes;
    const sound = { sample_rate: RATE, encoding: "pcm_s16le" };
    const start = { type: "start", ...sound, language: language || null, task, resumable: true };
    if (this.#session?.resumable) start.resume = this.#session.claim(this.#backlog.startAfter(ON_THE_WAY_SAMPLES));
    this.#socket.send(JSON.stringify(start));
    if (start.resume) this.#prospects.ask();
  }

  #take(message) {
    clearTimeout(this.#opening);
    this.#prospects.answer();
    // A server that greets or refuses, time and again, is not one that is behind.
    if (this.#stopping && this.#ready && message.type !== "error") this.#expect();
    if (message.type === "ready") return this.#begin(message);
    if (message.type === "error") this.#error = message;
    if (message.type === "done") this.#done = true;
    const told = this.#session?.take(message) ?? [];
    if (this.#session) this.#backlog.forget(this.#session.covered);
    for (const news of told) this.#tell({ message: news });
  }

  #begin(ready) {
    const goesOn = this.#session?.resumable;
    const from = this.#session?.accounted(this.#sent) ?? this.#start;
    if (!goesOn) this.#session = new Session(++this.#sessions, this.#backlog.start);
    this.#sent = Math.min(this.#session.welcome(ready), this.#backlog.end);
    this.#ready = true;
    this.#tell({ state: this.#stopping ? "finishing" : "live", session: ready.session, model: ready.model });
    if (!goesOn && this.#backlog.start > from) this.#tell({ message: lost(from, this.#backlog.start) });
    this.#pump();
  }

  /** Send what the network takes; nothing more once the server has closed: the browser says so a little later. */
  #pump() {
    clearTimeout(this.#pumping);
    if (!this.#ready || this.#socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (this.#socket.bufferedAmount < FULL_BYTES) this.#movedAt = now;
    else if (now - this.#movedAt > STALLED_MS) return this.#lose("The network is too slow");
    if (this.#backlog.start > this.#sent) return this.#lose("The network is too slow");
    while (this.#socket.bufferedAmount < FULL_BYTES) {
      const frame = this.#backlog.from(this.#sent);
      if (!frame) break;
      this.#socket.send(frame.samples);
      this.#sent = frame.start + frame.samples.length;
    }
    if (this.#sent < this.#backlog.end) this.#pumping = setTimeout(() => this.#pump(), PUMP_MS);
    else if (this.#stopping) this.#socket.send(JSON.stringify({ type: "stop" }));
  }

  async #closed(code) {
    this.#dropSocket();
    // A server that ends says `done` too, for what it has by then.
    const complete = code === NORMAL || this.#session?.covered >= this.#backlog.end;
    if (this.#done && this.#stopping && complete) return this.#end();
    if (code === UNKNOWN_SESSION && this.#session?.resumable) {
      this.#session.giveUp();
      return this.#connect();
    }
    const refusal = this.#prospects.refusal(this.#error, code);
    if (refusal) return this.#refuse("server", refusal);
    const denied = this.#openedAt > 0 ? null : await denial(this.#token);
    if (denied) return this.#refuse(denied.kind, denied.why);
    this.#retry(reason(this.#error?.code, code));
  }

  #lose(why) {
    this.#dropSocket();
    this.#retry(why);
  }

  #dropSocket() {
    clearTimeout(this.#opening);
    this.#prospects.lose();
    const socket = this.#socket;
    this.#socket = null;
    this.#ready = false;
    socket?.close(); // nothing, if it is closed
  }

  #retry(why) {
    if (this.#over || this.#socket || this.#timer !== null) return;
    const good = this.#openedAt > 0 && performance.now() - this.#openedAt > GOOD_MS;
    if (good) this.#backoff.reset();
    this.#openedAt = 0;
    const seconds = this.#backoff.next();
    this.#tell({ state: "waiting", why, seconds });
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
  }

  #refuse(kind, why) {
    if (this.#over) return;
    this.#close();
    this.#tell({ state: "refused", kind, why });
  }

  #end(why = "") {
    if (this.#over) return;
    this.#close();
    this.#tell({ state: "ended", why });
  }

  #close() {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#dropSocket();
  }
}
