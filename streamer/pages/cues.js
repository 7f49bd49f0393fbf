/**
 * Cuts words with times into subtitle cues, by the rules of `streamer/core/cues.py`: at most two lines of 42 columns, in order,
 * never overlapping, broken at the end of a clause where one is near enough. Times in milliseconds.
 */

import { columns } from "./columns.js";

const RATE = 16_000;
const LINE_COLUMNS = 42;
const SHORTEST_MS = 833;
const LONGEST_MS = 7_000;
/** A silence this long starts a new cue, and this long ends a clause. */
const PAUSE_MS = 1_000;
const BREATH_MS = 250;
const SENTENCE_END = /[.?!…。？！؟।]$/u;
const CLAUSE_END = /[.?!…。？！؟।,;:—–，、；：،؛]$/u;
/** How much less equal two lines may be for the first one to end with a clause. */
const CLAUSE_COLUMNS = 14;

/** The cues, `{start, end, lines}`, of utterances: lists of words that are `{text, start, end}`, in seconds. */
export function cues(utterances) {
  const builder = new CueBuilder();
  return utterances.flatMap((words) => [...builder.add(words), ...builder.finish()]);
}

class CueBuilder {
  #group = [];
  #end = 0;

  /** Take the next words; return the cues that are complete now. */
  add(words) {
    const made = [];
    for (const piece of pieces(words)) {
      for (let size = sizeOf(this.#group, piece); size > 0; size = sizeOf(this.#group, piece)) {
        made.push(this.#cut(size, (this.#group[size] ?? piece).start));
      }
      this.#group.push(piece);
    }
    return made;
  }

  /** Return what is left, if anything is: nothing that belongs to it will follow. */
  finish() {
    return this.#group.length > 0 ? [this.#cut(this.#group.length, Infinity)] : [];
  }

  /** The first pieces as a cue that ends, if that can be, at `limit`: where the next one starts. */
  #cut(size, limit) {
    const group = this.#group.splice(0, size);
    const start = Math.max(group[0].start, this.#end);
    this.#end = Math.max(group.at(-1).end, Math.min(start + SHORTEST_MS, limit), start + 1);
    if (this.#end > limit && limit > start) this.#end = limit;
    return { start, end: this.#end, lines: linesOf(group) };
  }
}

/**
 * White space and control characters collapsed: a line break inside a cue would end it. Format characters stay: Persian
 * words and emoji are held together and apart by such as U+200C and U+200D.
 */
function clean(text) {
  const printable = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/gu, " ");
  return (printable.startsWith(" ") ? " " : "") + printable.split(/\p{Zs}+/u).filter(Boolean).join(" ");
}

/** Of text that is clean; `trim` would take U+FEFF too. */
function trimmed(text) {
  return text.replace(/^ +| +$/g, "");
}

function pieces(words) {
  return words.flatMap((word) => {
    const text = clean(word.text);
    if (!trimmed(text)) return [];
    const parts = partsOf(text);
    const start = milliseconds(word.start);
    const step = (Math.max(milliseconds(word.end), start) - start) / parts.length;
    return parts.map((part, at) => ({
      text: part,
      start: rounded(start + step * at),
      end: rounded(start + step * (at + 1)),
    }));
  });
}

/** What is wider than a line, as text written without spaces may be, in parts. */
function partsOf(text) {
  const parts = [""];
  for (const character of text) {
    if (columns(trimmed(parts.at(-1) + character)) > LINE_COLUMNS) parts.push("");
    parts[parts.length - 1] += character;
  }
  return parts;
}

/** How many of the group's pieces are a cue of their own now that `piece` follows; 0: they wait for more. */
function sizeOf(group, piece) {
  if (group.length === 0) return 0;
  const [first, last] = [group[0], group.at(-1)];
  if (piece.start - last.end >= PAUSE_MS) return group.length;
  if (SENTENCE_END.test(last.text) && last.end - first.start >= SHORTEST_MS) return group.length;
  if (piece.end - first.start > LONGEST_MS || linesOf([...group, piece]).length === 0) return clausesOf(group, piece);
  return 0;
}

/** How many pieces to show of a group that is full: up to its last clause's end, if that is worth a cue. */
function clausesOf(group, piece) {
  for (let size = group.length; size > 0; size -= 1) {
    const last = group[size - 1];
    const worth = last.end - group[0].start >= SHORTEST_MS && columns(join(group.slice(0, size))) >= LINE_COLUMNS / 2;
    if (!worth) break;
    if (endsClause(last, group[size] ?? piece)) return size;
  }
  return group.length;
}

function endsClause(piece, following) {
  return CLAUSE_END.test(piece.text) || following.start - piece.end >= BREATH_MS;
}

/** On one line, else on two of about one length, the first a whole clause if that can be; nothing if they do not fit. */
function linesOf(group) {
  const whole = join(group);
  if (columns(whole) <= LINE_COLUMNS) return [whole];
  let best = [];
  let least = Infinity;
  for (let at = 1; at < group.length; at += 1) {
    const layout = [join(group.slice(0, at)), join(group.slice(at))];
    const [above, below] = layout.map(columns);
    if (Math.max(above, below) > LINE_COLUMNS) continue;
    const cost = Math.abs(above - below) - (endsClause(group[at - 1], group[at]) ? CLAUSE_COLUMNS : 0);
    if (cost < least) [least, best] = [cost, layout];
  }
  return best;
}

function join(group) {
  return trimmed(group.map(({ text }) => text).join(""));
}

/** Of the sample at that time; halves go to the even number, as in Python, so that both write the same files. */
function milliseconds(seconds) {
  return Math.max(rounded(Math.round(seconds * RATE) / (RATE / 1000)), 0);
}

function rounded(number) {
  const near = Math.round(number);
  return near - number === 0.5 && near % 2 !== 0 ? near - 1 : near;
}
