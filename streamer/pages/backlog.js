/**
 * The audio that may have to be sent again: everything that the server has not decided. A connection that is lost then
 * costs no word. Bounded; beyond the bound the oldest audio goes.
 */

const LIMIT_SAMPLES = 60 * 16_000;

export class Backlog {
  #frames = [];
  /** Of the stream: the sample after the last one. */
  end;

  constructor(start = 0) {
    this.end = start;
  }

  /** The sample that a new connection begins with. */
  get start() {
    return this.#frames.length > 0 ? this.#frames[0].start : this.end;
  }

  /** The same when so many more samples have come. */
  startAfter(samples) {
    return Math.max(this.start, this.end + samples - LIMIT_SAMPLES);
  }

  push(samples) {
    this.#frames.push({ start: this.end, samples });
    this.end += samples.length;
    this.forget(this.end - LIMIT_SAMPLES);
  }

  /** What comes before this sample is decided. */
  forget(sample) {
    const kept = this.#frames.findIndex((frame) => frame.start + frame.samples.length > sample);
    this.#frames.splice(0, kept === -1 ? this.#frames.length : kept);
    const first = this.#frames[0];
    if (first && first.start < sample) {
      this.#frames[0] = { start: sample, samples: first.samples.subarray(sample - first.start) };
    }
  }

  /** The frame that begins with this sample or, if that is gone, with the first after it; undefined at the end. */
  from(sample) {
    const frame = this.#frames.find(({ start, samples }) => start + samples.length > sample);
    if (!frame || frame.start >= sample) return frame;
    return { start: sample, samples: frame.samples.subarray(sample - frame.start) };
  }
}
