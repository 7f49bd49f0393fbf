// The recording that the clients are fed, and how: as speech.py does for those in Python.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const PIECE_S = 0.02;
const PATIENCE_MS = 20_000; // without news: all is transcribed
const SILENCE_S = 2; // after the recording: clients that wait for the server's turns need it to end the last one

export const [port, path] = process.argv.slice(2);

/** Return a named snippet of docs/clients.md, with the daemon's port. */
export function snippet(name) {
  const document = readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8');
  const [, code] = document.match(new RegExp(`^\`\`\`js ${name}\n(.*?)^\`\`\`$`, 'ms'));
  return code.replace('127.0.0.1:8765', `127.0.0.1:${port}`);
}

/** Return a 16-bit WAV file's samples at a rate, by linear interpolation, with silence after them. */
export function read(rate) {
  const file = readFileSync(path);
  const given = file.readUInt32LE(24);
  const data = file.indexOf('data', 12) + 8;
  const count = Math.floor((file.length - data) / 2);
  const spoken = Math.floor((count * rate) / given);
  const samples = new Int16Array(spoken + SILENCE_S * rate);
  for (let at = 0; at < spoken; at += 1) {
    const place = (at * given) / rate;
    const left = Math.floor(place);
    const [a, b] = [left, Math.min(left + 1, count - 1)].map((index) => file.readInt16LE(data + 2 * index));
    samples[at] = Math.round(a + (b - a) * (place - left));
  }
  return samples;
}

/** Yield pieces of 20 ms as bytes, ten times as fast as they were spoken. */
export async function* pieces(samples, rate) {
  const size = rate * PIECE_S;
  for (let at = 0; at + size <= samples.length; at += size) {
    yield Buffer.from(samples.buffer, 2 * at, 2 * size);
    await sleep((PIECE_S * 1000) / 10);
  }
}

/** Wait until there has been no news for long enough, or whoever started this program has heard enough and says so. */
export class Attention {
  #done;
  #timer;
  #quiet = new Promise((resolve) => { this.#done = resolve; });

  constructor() {
    process.stdin.resume().on('end', this.#done);
    this.news();
  }

  news() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#done, PATIENCE_MS);
  }

  async quiet() {
    await this.#quiet;
    clearTimeout(this.#timer);
    process.stdin.destroy();
  }
}
