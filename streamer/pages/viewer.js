/** The page at `/captions/{session}`: what a session says, for those who read along. */

import { Captions } from "./captions.js";
import { readView, showView } from "./view.js";
import { fragmentToken, isSendable } from "./token.js";
import { WakeLock } from "./wake_lock.js";
import { Watch } from "./watch.js";

const $ = (id) => document.getElementById(id);
const session = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1));

/** Until what was said before has settled, also in what screen readers are told. */
const SETTLED_MS = 500;

function say(state, text = "") {
  document.body.dataset.state = state;
  if ($("status").textContent !== text) $("status").textContent = text;
}

function complain(text) {
  $("status").classList.add("wrong");
  say("refused", text);
}

/** From now on a screen reader says what comes; the whole session so far, which is there to be browsed, it does not. */
function readAloud() {
  setTimeout(() => $("captions").setAttribute("aria-live", "polite"), SETTLED_MS);
}

const WORDS = {
  connecting: () => "",
  live: () => "",
  absent: () => "Waiting for the speaker.",
  lost: () => "The connection is lost; trying again.",
  full: () => "All places are taken; trying again.",
  ended: () => "These captions have ended.",
};

function main() {
  const { view, complaints } = readView(location.search);
  showView(view);
  if (complaints.length > 0) return complain(complaints.join(" "));
  const token = fragmentToken(location.hash);
  if (token && !isSendable(token)) return complain("The token in the address has characters that a token cannot have.");

  const captions = new Captions($("captions"), (following) => ($("latest").hidden = following));
  $("latest").addEventListener("click", () => captions.follow());
  addEventListener("hashchange", () => location.reload());
  new WakeLock().set(true);
  new Watch(session, token, {
    replace: () => captions.clear(),
    take: (message) => captions.take(message),
    missed: () => captions.note("Some words are missing here."),
    interrupted: () => captions.dropPartial(),
    say: (state) => {
      say(state, WORDS[state]());
      if (state === "live") readAloud();
    },
    refuse: complain,
  }).open();
}

main();
