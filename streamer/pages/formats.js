/** Writes a transcript as text, SubRip or WebVTT; the rules are those of `streamer/core/formats.py`. */

import { cues } from "./cues.js";

export const FORMATS = {
  txt: { kind: "text/plain;charset=utf-8", write: (transcript) => transcript.lines.map((line) => `${line}\n`).join("") },
  srt: { kind: "application/x-subrip;charset=utf-8", write: (transcript) => srt(transcript.utterances) },
  vtt: { kind: "text/vtt;charset=utf-8", write: (transcript) => vtt(transcript.utterances) },
};

/** Of utterances, each a list of words. */
export function srt(utterances) {
  return cues(utterances).map(srtCue).join("");
}

export function vtt(utterances) {
  return ["WEBVTT\n", ...cues(utterances).map(vttCue)].join("");
}

/** SubRip knows no escapes, so the one sequence that a reader takes for a time line is spelt apart. */
function srtCue({ start, end, lines }, at) {
  const text = lines.join("\n").replaceAll("-->", "-- >");
  return `${at + 1}\n${time(start, ",")} --> ${time(end, ",")}\n${text}\n\n`;
}

/** W3C WebVTT 4.2.2: & and < start markup, and "-->" may not appear at all. */
function vttCue({ start, end, lines }) {
  const text = lines.join("\n").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `\n${time(start, ".")} --> ${time(end, ".")}\n${text}\n`;
}

function time(milliseconds, point) {
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const thousandths = String(milliseconds % 1000).padStart(3, "0");
  const seconds = milliseconds / 1000;
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}${point}${thousandths}`;
}

/** What a transcript saved at `date` is called. */
export function fileName(format, date) {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return `captions-${local.toISOString().slice(0, 16).replace("T", "-").replace(":", "")}.${format}`;
}
