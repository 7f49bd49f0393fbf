/** What was said, for the files that are made of it: utterances of words with times, in seconds. */

export class Transcript {
  #utterances = new Map();

  /** Take a message of the native protocol; only commits and the language of a final are kept. */
  take(message) {
    if (message.type === "commit") this.#utterance(message.utterance).words.push(...spacedWords(message));
    if (message.type === "final" && this.#utterances.has(message.utterance)) {
      this.#utterance(message.utterance).language = message.language;
    }
  }

  get isEmpty() {
    return this.#utterances.size === 0;
  }

  /** One text for each utterance. */
  get lines() {
    return [...this.#utterances.values()].map(({ words }) => words.map(({ text }) => text).join("").trim());
  }

  /** The words of each utterance; each word begins with a space where one belongs. */
  get utterances() {
    return [...this.#utterances.values()].map(({ words }) => words);
  }

  clear() {
    this.#utterances.clear();
  }

  #utterance(key) {
    if (!this.#utterances.has(key)) this.#utterances.set(key, { words: [], language: "" });
    return this.#utterances.get(key);
  }
}

/** A commit's words with the spaces that its text has between them; a text without words is one word. */
export function spacedWords({ text, start, end, words = [] }) {
  const found = [];
  let from = 0;
  for (const word of words) {
    const at = text.indexOf(word.text, from);
    if (at === -1) return [{ text, start, end }];
    const to = at + word.text.length;
    found.push({ text: text.slice(from, to), start: word.start, end: word.end });
    from = to;
  }
  return found.length > 0 ? found : [{ text, start, end }];
}
