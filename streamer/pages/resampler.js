/**
 * Changes the sample rate of a stream: a windowed sinc, one set of weights for each position of an output sample between
 * two input samples (Smith, "Digital Audio Resampling"). What the output cannot hold is filtered out before it folds
 * back. Kaiser's window with beta 8: 80 dB.
 */

const ZERO_CROSSINGS = 48;
const BETA = 8;
/** Middle of the filter's slope, as a share of the output's Nyquist frequency. */
const CUTOFF = 0.95;
const CHUNK = 4096;

export class Resampler {
  #up;
  #down;
  #reach;
  #weights;
  #buffer;
  #filled;
  #phase = 0;
  #taken = 0;
  #given = 0;

  /** Rates in hertz, whole numbers. */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    const scale = Math.min(1, to / from) * CUTOFF;
    this.#reach = Math.ceil(ZERO_CROSSINGS / scale);
    this.#weights = weights(this.#up, this.#reach, scale);
    this.#buffer = new Float32Array(2 * this.#reach + CHUNK);
    this.#filled = this.#reach - 1; // silence before the first sample, which the first output is centred on
  }

  /** Take samples; call `emit` with each that comes out. */
  push(samples, emit) {
    for (let at = 0; at < samples.length; at += CHUNK) {
      const part = samples.subarray(at, at + CHUNK);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      this.#taken += part.length;
      this.#drain(emit);
    }
  }

  /** The stream has ended: call `emit` with the rest of it. */
  finish(emit) {
    let missing = Math.round((this.#taken * this.#up) / this.#down) - this.#given;
    this.push(new Float32Array(2 * this.#reach), (sample) => {
      if (missing > 0) emit(sample);
      missing -= 1;
    });
  }

  #drain(emit) {
    const taps = 2 * this.#reach;
    let first = 0;
    while (first + taps <= this.#filled) {
      const base = this.#phase * taps;
      let sum = 0;
      for (let tap = 0; tap < taps; tap += 1) sum += this.#buffer[first + tap] * this.#weights[base + tap];
      emit(sum);
      this.#given += 1;
      this.#phase += this.#down;
      first += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    this.#buffer.copyWithin(0, first, this.#filled);
    this.#filled -= first;
  }
}

/** One row a phase; each sums to 1, so that no level changes. */
function weights(phases, reach, scale) {
  const taps = 2 * reach;
  const rows = new Float32Array(phases * taps);
  for (let phase = 0; phase < phases; phase += 1) {
    const row = rows.subarray(phase * taps, (phase + 1) * taps);
    for (let tap = 0; tap < taps; tap += 1) {
      const distance = tap - (reach - 1) - phase / phases;
      row[tap] = sinc(scale * distance) * kaiser(distance / reach);
    }
    const total = row.reduce((sum, weight) => sum + weight, 0);
    row.forEach((weight, tap) => (row[tap] = weight / total));
  }
  return rows;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Kaiser's window, but for a factor. */
function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x));
}

/** Modified Bessel function of the first kind, order 0. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
