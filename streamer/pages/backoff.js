/** How long to wait before the next attempt: growing, and random, so that many clients do not come back at once. */

const FIRST_S = 1;
const LONGEST_S = 30;

export class Backoff {
  #attempts = 0;

  /** Seconds until the next attempt. */
  next() {
    const longest = Math.min(FIRST_S * 2 ** this.#attempts, LONGEST_S);
    this.#attempts += 1;
    return longest * (0.5 + Math.random() / 2);
  }

  reset() {
    this.#attempts = 0;
  }
}
