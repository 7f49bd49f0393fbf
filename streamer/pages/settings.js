/** Choices that are kept for the next visit. Nothing that was said, and no token. */

const PREFIX = "streamer.";

export function recall(name, fallback = "") {
  try {
    return localStorage.getItem(PREFIX + name) ?? fallback;
  } catch {
    return fallback; // storage is switched off: choices last as long as the page
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // As above.
  }
}
