/** How wide a text is in columns of a terminal; the rules are those of `rich.cells`, which the server counts with. */

/** Marks, signs that are not seen, the later parts of a Korean syllable, and skin tones, but for some that are seen. */
const NOTHING =
  /(?![\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])[\p{Cc}\p{M}\p{Cf}\p{Zl}\p{Zp}\u1160-\u11ff\u3164\ud7b0-\ud7ff\uffa0\u{1f3fb}-\u{1f3ff}]/u;
/** Two of them are a flag, each a half. */
const LETTER = /[\u{1f1e6}-\u{1f1ff}]/u;
/** Beside emoji: East Asian characters, and symbols of such texts. */
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u303e\u3041-\u3247\u3250-\ua4c6\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18df2}\u{1aff0}-\u{1b2fb}\u{1d300}-\u{1d376}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]/u;
const EMOJI = /\p{Emoji}/u;
/** It joins the character behind it to the one before. */
const JOINER = "\u200d";
/** It makes an emoji of the character before it. */
const AS_EMOJI = "\ufe0f";

export function columns(text) {
  let total = 0;
  let narrow = "";
  let joined = false;
  for (const character of text) {
    if (joined) {
      joined = false;
      continue;
    }
    joined = character === JOINER;
    const width = widthOf(character);
    total += width;
    if (character === AS_EMOJI) {
      total += EMOJI.test(narrow) ? 1 : 0;
      narrow = "";
    } else if (width > 0) {
      narrow = width === 1 && !LETTER.test(character) ? character : "";
    }
  }
  return total;
}

function widthOf(character) {
  if (NOTHING.test(character)) return 0;
  return WIDE.test(character) && !LETTER.test(character) ? 2 : 1;
}
