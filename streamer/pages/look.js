/** Text size, colours and full screen: how the page looks from the last row. */

import { recall, remember } from "./settings.js";

const STEP = 1.15;
const SIZES = [0.5, 3];
const SCHEMES = { auto: "dark", dark: "light", light: "auto" };
const NAMES = { auto: "Colours: as the system", dark: "Colours: dark", light: "Colours: light" };
/** The pointer rests so long before everything but the text goes away, in full screen. */
const REST_MS = 3_000;

/** `resized` is called when the text has another size. */
export function wireLook({ smaller, larger, scheme, full }, resized) {
  const root = document.documentElement;
  let size = Number(recall("size", "1")) || 1;
  let colours = recall("scheme", "auto");

  const resize = (factor) => {
    size = Math.min(Math.max(size * factor, SIZES[0]), SIZES[1]);
    root.style.setProperty("--zoom", size.toFixed(3));
    remember("size", String(size));
    resized();
  };
  const paint = (next) => {
    colours = next in SCHEMES ? next : "auto";
    root.style.colorScheme = colours === "auto" ? "" : colours;
    scheme.setAttribute("aria-label", NAMES[colours]);
    scheme.title = NAMES[colours];
    remember("scheme", colours);
  };

  resize(1);
  paint(colours);
  smaller.addEventListener("click", () => resize(1 / STEP));
  larger.addEventListener("click", () => resize(STEP));
  scheme.addEventListener("click", () => paint(SCHEMES[colours]));
  full.hidden = !document.fullscreenEnabled;
  full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()));
  rest(root);
}

/** Mark the page as resting while nobody moves a pointer or presses a key. */
function rest(root) {
  let timer;
  const wake = () => {
    root.classList.remove("resting");
    clearTimeout(timer);
    timer = setTimeout(() => root.classList.add("resting"), REST_MS);
  };
  for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"]) document.addEventListener(kind, wake);
  wake();
}
