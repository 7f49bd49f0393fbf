/** Colours as `[red, green, blue, alpha]`, 0 to 255 and 0 to 1, and what can be read on them (WCAG 2.2). */

/** What a person needs to read text of any size. */
const READABLE = 4.6;
const INKS = [
  [255, 255, 255],
  [0, 0, 0],
];
const LEAST_SHARE = 0.6;

/** The channels of a colour that the browser understands. */
export function channels(colour) {
  const probe = document.createElement("span");
  probe.style.color = colour;
  document.body.append(probe);
  const numbers = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return [...numbers, 1].slice(0, 4);
}

/** What to write with on this ground: `{ink, dim}`, the latter as dim as it may be. */
export function inksOn(ground) {
  const ink = INKS.reduce((best, one) => (contrast(one, ground) > contrast(best, ground) ? one : best));
  let share = LEAST_SHARE;
  while (share < 1 && contrast(mix(ink, ground, share), ground) < READABLE) share += 0.02;
  return { ink: css(ink), dim: css(mix(ink, ground, Math.min(share, 1))) };
}

export function isDark(colour) {
  return contrast([255, 255, 255], colour) > contrast([0, 0, 0], colour);
}

function mix(one, other, share) {
  return one.map((part, at) => Math.round(part * share + other[at] * (1 - share)));
}

function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

function contrast(one, other) {
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
