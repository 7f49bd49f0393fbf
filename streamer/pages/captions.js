/**
 * Shows captions in an element: committed words stay as they are, what may still change is dim and ends with them.
 *
 * Committed text is only ever added, each commit as an element of its own, so that a screen reader says it once; what may
 * change is hidden from it. All text is set as text. The newest line stays in sight unless the reader has scrolled up.
 */

/** A pause this long, in seconds, starts a new paragraph. */
const PARAGRAPH_S = 2;
/** Letters after which the next utterance starts one, however soon it comes. */
const PARAGRAPH_LETTERS = 600;
/** Paragraphs that are shown; files hold everything. */
const LONGEST = 500;

export class Captions {
  #element;
  #followed;
  #partial = span("partial");
  #paragraph = null;
  #utterance = null;
  #key = null;
  #end = 0;
  #following = true;
  #due = false;
  #seen = 0;

  /** `followed(isFollowing)` is told when the reader leaves the newest line or comes back to it. */
  constructor(element, followed = () => {}) {
    this.#element = element;
    this.#followed = followed;
    this.#partial.setAttribute("aria-hidden", "true");
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.keepPlace()).observe(element);
  }

  /** Take a message of the native protocol. */
  take(message) {
    if (message.type === "partial") this.#setPartial(message);
    if (message.type === "commit") this.#commit(message);
    if (message.type === "final") this.#final(message);
    if (message.type === "gap") this.note(`${Math.max(1, Math.round(message.end - message.start))} s not transcribed`);
    this.#followSoon();
  }

  /** Something else than speech, between paragraphs. */
  note(text) {
    this.dropPartial();
    const paragraph = this.#newParagraph();
    paragraph.className = "note";
    paragraph.textContent = text;
    this.#paragraph = this.#utterance = this.#key = null;
  }

  /** Nothing may change any more: what was not committed goes, and what is empty then. */
  dropPartial() {
    this.#partial.remove();
    this.#partial.textContent = "";
    if (this.#utterance === null || this.#utterance.hasChildNodes()) return;
    this.#utterance.remove();
    if (this.#paragraph.childElementCount === 0) {
      this.#paragraph.remove();
      this.#paragraph = null;
    }
    this.#utterance = this.#key = null;
  }

  clear() {
    this.dropPartial();
    this.#element.replaceChildren();
    this.#paragraph = this.#utterance = this.#key = null;
  }

  /** Show the newest line, and go on doing so. */
  follow() {
    this.#setFollowing(true);
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#seen = this.#element.scrollTop;
  }

  /** Letters or the element have another size: the newest line stays in sight, unless the reader has left it. */
  keepPlace() {
    if (this.#following) this.follow();
  }

  /** Once a frame, for all that was taken before it: to follow lays the page out, which takes long where there is much. */
  #followSoon() {
    if (!this.#following || this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.keepPlace();
    });
  }

  #setPartial(message) {
    if (!message.text) return this.dropPartial();
    this.#open(message);
    this.#partial.textContent = message.text;
    this.#utterance.append(this.#partial);
  }

  #commit(message) {
    this.#open(message);
    // Until the next partial comes, at once, what follows the commit stays in its place.
    const rest = this.#partial.textContent;
    const goesOn = rest.startsWith(message.text) && rest.length > message.text.length;
    const committed = span("commit");
    committed.textContent = message.text;
    this.#partial.remove();
    this.#utterance.append(committed);
    this.#partial.textContent = goesOn ? rest.slice(message.text.length) : "";
    if (goesOn) this.#utterance.append(this.#partial);
    this.#end = message.end;
  }

  #final(message) {
    if (message.utterance !== this.#key) return;
    this.dropPartial();
    if (message.language && this.#utterance) this.#utterance.lang = message.language;
    this.#end = message.end;
  }

  /** Make the utterance's element the last one. */
  #open(message) {
    if (message.utterance === this.#key) return;
    this.dropPartial();
    const goesOn =
      this.#paragraph !== null &&
      message.start - this.#end < PARAGRAPH_S &&
      this.#paragraph.textContent.length < PARAGRAPH_LETTERS;
    if (goesOn) this.#paragraph.append(" ");
    else this.#paragraph = this.#newParagraph();
    this.#key = message.utterance;
    this.#utterance = span("utterance");
    this.#paragraph.append(this.#utterance);
  }

  #newParagraph() {
    const paragraph = document.createElement("p");
    paragraph.dir = "auto";
    this.#element.append(paragraph);
    while (this.#element.childElementCount > LONGEST) this.#element.firstElementChild.remove();
    return paragraph;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element;
    const atEnd = scrollHeight - clientHeight - scrollTop < 8;
    if (atEnd) this.#setFollowing(true);
    else if (scrollTop < this.#seen - 1) this.#setFollowing(false); // only a reader scrolls up
    this.#seen = scrollTop;
  }

  #setFollowing(following) {
    if (following === this.#following) return;
    this.#following = following;
    this.#followed(following);
  }
}

function span(name) {
  const element = document.createElement("span");
  element.className = name;
  return element;
}
