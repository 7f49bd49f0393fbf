/** How a viewer wants the captions to look, read from the address: `?size=&lines=&background=`. */

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
  if (background !== null) {
    root.style.setProperty("--paper", background);
    const [red, green, blue, alpha] = channels(background);
    if (alpha < 1) {
      root.classList.add("over");
      root.style.colorScheme = "normal"; // a page of another scheme than its frame's is painted opaque
    } else {
      root.style.colorScheme = luminance(red, green, blue) > 0.18 ? "light" : "dark";
    }
  }
}

/** Red, green, blue in [0, 255] and alpha in [0, 1]. */
function channels(colour) {
  const probe = document.createElement("span");
  probe.style.color = colour;
  document.body.append(probe);
  const numbers = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return [...numbers, 1].slice(0, 4);
}

/** Relative luminance, WCAG 2.2. */
function luminance(...parts) {
  const [red, green, blue] = parts.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
