/**
 * Runs on the browser's audio thread: the microphone's samples become 16-bit frames at the rate that is sent.
 * A message to its port ends it; what is left follows, and then `null`.
 */

import { Resampler } from "./resampler.js";

const RATE = 16_000;
/** 50 ms: small enough for the lag, large enough for the network. */
const FRAME_SAMPLES = 800;

class Capture extends AudioWorkletProcessor {
  #resampler = sampleRate === RATE ? null : new Resampler(Math.round(sampleRate), RATE);
  #frame = new Int16Array(FRAME_SAMPLES);
  #filled = 0;
  #ended = false;
  #take = (sample) => this.#put(sample);

  constructor() {
    super();
    this.port.onmessage = () => this.#finish();
  }

  process([channels]) {
    if (channels.length > 0 && !this.#ended) {
      const mixed = mix(channels);
      if (this.#resampler) this.#resampler.push(mixed, this.#take);
      else mixed.forEach(this.#take);
    }
    return !this.#ended;
  }

  #put(sample) {
    const level = Number.isFinite(sample) ? Math.max(-1, Math.min(1, sample)) : 0;
    this.#frame[this.#filled] = Math.round(level * 32767);
    this.#filled += 1;
    if (this.#filled === FRAME_SAMPLES) this.#send();
  }

  #send() {
    const samples = this.#frame.slice(0, this.#filled);
    this.#filled = 0;
    this.port.postMessage(samples, [samples.buffer]);
  }

  #finish() {
    this.#ended = true;
    this.#resampler?.finish(this.#take);
    if (this.#filled > 0) this.#send();
    this.port.postMessage(null);
  }
}

/** The mean of the channels. */
function mix(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}

registerProcessor("capture", Capture);
