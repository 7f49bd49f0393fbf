/** How a viewer wants the captions to look, read from the address: `?size=&lines=&background=`. */

import { channels, inksOn, isDark } from "./colour.js";

const SIZE = [10, 400];
const LINES = [1, 50];

/** `{view, complaints}`: what can be used, and for what cannot, what is allowed. */
export function readView(search) {
  const query = new URLSearchParams(search);
  const complaints = [];
  const number = (name, [low, high], whole) => {
    if (!query.has(name)) return null;
    const value = Number(query.get(name));
    const good = query.get(name).trim() !== "" && value >= low && value <= high && (!whole || Number.isInteger(value));
    if (good) return value;
    const kind = whole ? "a whole number" : "a number of pixels";
    complaints.push(`${name} must be ${kind} in [${low}, ${high}], got “${query.get(name).slice(0, 40)}”.`);
    return null;
  };
  const view = { size: number("size", SIZE, false), lines: number("lines", LINES, true), background: null };
  if (query.has("background")) {
    const value = query.get("background");
    // A # in an address begins the fragment, so a colour in digits may come without it.
    const colour = [value, `#${value}`].find((one) => one.length <= 40 && CSS.supports("color", one) && !one.includes("("));
    if (colour) view.background = colour;
    else complaints.push(`background must be transparent or a colour such as black or 00ff00, got “${value.slice(0, 40)}”.`);
  }
  return { view, complaints };
}

export function showView({ size, lines, background }) {
  const root = document.documentElement;
  if (size !== null) root.style.setProperty("--size", `${size}px`);
  if (lines !== null) {
    root.classList.add("limited");
    root.style.setProperty("--lines", String(lines));
  }
  if (background === null) return;
  const ground = channels(background);
  root.style.setProperty("--paper", background);
  if (ground[3] < 1) {
    root.classList.add("over");
    root.style.colorScheme = "normal"; // a page of another scheme than its frame's is painted opaque
    return;
  }
  const { ink, dim } = inksOn(ground);
  root.style.setProperty("--ink", ink);
  root.style.setProperty("--dim", dim);
  root.style.colorScheme = isDark(ground) ? "dark" : "light";
}
