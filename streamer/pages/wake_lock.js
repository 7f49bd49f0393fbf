/** Keeps the screen on while captions are made or read, where the browser can; it lets go when the page is hidden. */

export class WakeLock {
  #wanted = false;
  #lock = null;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#take());
  }

  set(wanted) {
    this.#wanted = wanted;
    if (wanted) this.#take();
    else this.#lock?.release();
  }

  async #take() {
    if (!this.#wanted || document.visibilityState !== "visible" || !navigator.wakeLock) return;
    if (this.#lock && !this.#lock.released) return;
    try {
      this.#lock = await navigator.wakeLock.request("screen");
      if (!this.#wanted) this.#lock.release();
    } catch {
      // A browser that saves its battery refuses; captions go on.
    }
  }
}
