/** The commits that a viewer has been shown, so that none is shown twice when a server tells what there is once more. */

/** As many are remembered, the newest: a page may stand for months, and a server's first message has fewer. */
const REMEMBERED = 10_000;

export class Shown {
  #commits = [];
  #forgotten = 0;

  /** Id of the last one; undefined before the first. */
  get last() {
    return this.#commits.at(-1)?.id;
  }

  /** How many are remembered. */
  get size() {
    return this.#commits.length;
  }

  add({ id, text }) {
    this.#commits.push({ id, text });
    if (this.size > REMEMBERED) this.#forgotten = this.#commits.shift().id;
  }

  clear() {
    this.#commits = [];
    this.#forgotten = 0;
  }

  /** Whether it is these that go on, of what a server tells first; `same`: it is known to be the same talk. */
  goesOn(commits, same) {
    const told = commits.filter(({ id }) => id > this.#forgotten);
    const first = told[0]?.id ?? Infinity;
    const known = this.#commits.filter(({ id }) => id >= first);
    // A server that has lost its journal has nothing of what it said before; of a long talk the rest comes one by one.
    const may = same || this.size === 0 || (known.length > 0 && known.length <= told.length);
    return may && told.every(({ text }, at) => at >= known.length || text === known[at].text);
  }
}
