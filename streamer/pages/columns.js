/** How wide a text is in columns: an East Asian character takes two, a combining mark none (Unicode TR 11). */

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6fc}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NOTHING = /[\p{Mn}\p{Me}\p{Cf}]/u;

export function columns(text) {
  let total = 0;
  for (const character of text) total += NOTHING.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return total;
}
