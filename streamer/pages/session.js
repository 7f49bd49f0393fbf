/**
 * One session of the server as the page knows it: what of it is new, and how it is asked for over another connection.
 * Samples are counted over the page's whole stream, which may need several sessions; a session counts its own from 0.
 */

const RATE = 16_000;
const TIMED = ["start", "end"];

export class Session {
  #number;
  #origin;
  #claim = null;
  #acknowledges = false;
  #have = 0;
  #final = 0;
  #gapEnd = 0;
  /** The end of the last commit or gap. */
  #toldEnd;
  /** Whether a gap was shown since the last commit. */
  #explained = false;
  /** The sample up to which the server will not ask again, whatever happens. */
  covered;

  /** `number` among the page's sessions; `origin`: the sample that it begins with. */
  constructor(number, origin) {
    this.#number = number;
    this.#origin = this.#gapEnd = this.#toldEnd = this.covered = origin;
  }

  /** Take `ready`; return the sample to send next. */
  welcome({ session, resume_token: token, epoch, resume_from: from = 0 }) {
    this.#acknowledges = token !== undefined;
    this.#claim = this.#acknowledges ? { session, token, epoch } : null;
    return this.#origin + from;
  }

  /** Whether the server said that it may go on over another connection. */
  get resumable() {
    return this.#claim !== null;
  }

  /** The server does not know it any more. */
  giveUp() {
    this.#claim = null;
  }

  /** What `start` says to have it go on; `first`: the first sample that can be sent. */
  claim(first) {
    const [covered, kept] = [this.covered, first].map((sample) => Math.max(0, sample - this.#origin));
    return { ...this.#claim, have: this.#have, covered, first: kept };
  }

  /** The sample up to which all is told, gaps included; `sent`: the one after the last that was sent. */
  accounted(sent) {
    // A server that acknowledges nothing does not say which silence it has decided: what was sent counts.
    return Math.max(this.covered, this.#gapEnd, this.#acknowledges ? 0 : sent);
  }

  /**
   * What is news of a message, in the stream's own time, its utterance named uniquely. A commit that is not the next one
   * comes after a gap, the server's or ours: there is text that was never told.
   */
  take(message) {
    const { type, id, utterance, end } = message;
    if (type === "ack") this.#cover(message.committed);
    if (type === "ack" || (type === "commit" && id <= this.#have)) return [];
    if (type === "final" && utterance <= this.#final) return [];
    if (type === "gap" && this.#sample(end) <= this.#gapEnd) return [];

    const skips = type === "commit" && id > this.#have + 1;
    const gaps = skips && !this.#explained ? [this.#forgotten(message)] : [];
    if (type === "commit" || type === "gap") this.#explained = type === "gap";
    if (type === "commit") this.#have = id;
    if (type === "final") this.#final = utterance;
    if (type === "gap") this.#gapEnd = this.#sample(end);
    if (type === "commit" || type === "gap") this.#toldEnd = Math.max(this.#toldEnd, this.#sample(end));
    if (type === "commit" || (type === "final" && !this.#acknowledges)) this.#cover(Math.round(end * RATE));
    if (type === "done") this.#cover(Math.round(message.audio * RATE));
    return [...gaps, this.#placed(message)];
  }

  /** The gap before a commit that is not the next one. */
  #forgotten({ start }) {
    const from = this.#toldEnd;
    this.#gapEnd = Math.max(from, this.#sample(start));
    const reason = "the server does not have its text any more";
    return { type: "gap", start: from / RATE, end: this.#gapEnd / RATE, reason };
  }

  #sample(seconds) {
    return this.#origin + Math.round(seconds * RATE);
  }

  #cover(frame) {
    this.covered = Math.max(this.covered, this.#origin + frame);
  }

  #placed(message) {
    const shift = this.#origin / RATE;
    const placed = { ...message };
    for (const name of TIMED) if (name in placed) placed[name] += shift;
    placed.words = placed.words?.map((word) => ({ ...word, start: word.start + shift, end: word.end + shift }));
    if ("utterance" in placed) placed.utterance = `${this.#number}.${placed.utterance}`;
    return placed;
  }
}

/** Samples that a new session cannot be sent any more, as the server would tell it. */
export function lost(from, to) {
  return { type: "gap", start: from / RATE, end: to / RATE, reason: "lost while the connection was down" };
}
