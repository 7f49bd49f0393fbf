/** The page at `/`: a microphone becomes captions, and captions become files. */

import { httpAddress } from "./address.js";
import { Captions } from "./captions.js";
import { Choices } from "./choices.js";
import { FORMATS, fileName } from "./formats.js";
import { wireLook } from "./look.js";
import { Microphone, MicrophoneError } from "./microphone.js";
import { copyText, wireShare } from "./share.js";
import { Stream } from "./stream.js";
import { isSendable, keepToken, readToken } from "./token.js";
import { Transcript } from "./transcript.js";
import { WakeLock } from "./wake_lock.js";

const $ = (id) => document.getElementById(id);
const NAMES = { opening: "Opening", connecting: "Connecting", live: "Live", finishing: "Finishing", waiting: "Waiting" };
/** A microphone that gives nothing but zeros for so many frames, of 50 ms, is muted or not the one that is meant. */
const SILENT_FRAMES = 100;

class Speaker {
  #captions = new Captions($("captions"), (following) => ($("latest").hidden = following));
  #transcript = new Transcript();
  #wakeLock = new WakeLock();
  #choices = new Choices({ microphone: $("microphone"), language: $("language"), task: $("task") });
  #share = wireShare({
    button: $("share"),
    dialog: $("share-dialog"),
    address: $("share-address"),
    open: $("share-open"),
    copy: $("share-copy"),
    local: $("share-local"),
    token: $("share-token"),
  });
  #state = "idle";
  #microphone = null;
  #stream = null;
  #place = { sample: 0, sessions: 0 };
  #zeros = 0;
  #viewersNeedToken = false;
  #saved = true;

  constructor() {
    $("start").addEventListener("click", () => (this.#isRunning ? this.#stop() : this.#start()));
    $("latest").addEventListener("click", () => this.#captions.follow());
    $("copy").addEventListener("click", () => this.#copy());
    $("clear").addEventListener("click", () => this.#clear());
    $("access").addEventListener("submit", (event) => this.#takeToken(event));
    for (const button of document.querySelectorAll("[data-format]")) {
      button.addEventListener("click", () => this.#download(button.dataset.format));
    }
    const look = { smaller: $("smaller"), larger: $("larger"), scheme: $("scheme"), full: $("full") };
    wireLook(look, () => this.#captions.keepPlace());
    addEventListener("online", () => this.#stream?.networkChanged(true));
    addEventListener("offline", () => this.#stream?.networkChanged(false));
    addEventListener("beforeunload", (event) => (this.#isRunning || !this.#saved) && event.preventDefault());
    document.addEventListener("visibilitychange", () => this.#microphone?.resume());
  }

  /** Ask the server what it can do, and for a token if it wants one. */
  async greet() {
    this.#choices.showMicrophones();
    const token = readToken();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(httpAddress("v1/capabilities"), { headers, cache: "no-store" });
    } catch {
      this.#complain("The server does not answer.");
      return false;
    }
    if (response.status === 401) return this.#askToken(token ? "The server does not know this token." : "");
    if (!response.ok) return this.#complain(`The server refuses this page: ${await response.text()}`);
    const capabilities = await response.json();
    $("model").textContent = capabilities.model;
    this.#choices.showCapabilities(capabilities);
    this.#viewersNeedToken = capabilities.viewers_need_token;
    this.#complain("");
    $("access").hidden = true;
    return true;
  }

  get #isRunning() {
    return this.#state !== "idle";
  }

  async #start() {
    this.#show("opening");
    this.#complain("");
    this.#zeros = 0;
    // The device first: browsers want its permission to follow the click at once.
    try {
      this.#microphone = await Microphone.open(
        this.#choices.microphone,
        (samples) => this.#hear(samples),
        () => this.#stop("The microphone is gone: it was unplugged or taken away."),
      );
    } catch (error) {
      this.#show("idle");
      if (!(error instanceof MicrophoneError)) throw error;
      this.#complain(error.message);
      return;
    }
    this.#choices.showMicrophones();
    this.#stream = new Stream(this.#choices.wishes, readToken(), this.#place, (news) => this.#hearNews(news));
    this.#stream.open();
  }

  async #stop(why = "") {
    if (this.#state === "finishing" || !this.#stream) return;
    const microphone = this.#microphone;
    this.#show("finishing");
    await microphone?.close();
    this.#stream?.stop();
    if (why) this.#complain(why);
  }

  /** Take a frame from the microphone. */
  #hear(samples) {
    this.#stream?.push(samples);
    const loud = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) / 32768;
    $("level").style.setProperty("--loud", Math.sqrt(loud).toFixed(2));
    this.#zeros = loud === 0 ? this.#zeros + 1 : 0;
    if (this.#zeros === SILENT_FRAMES) this.#complain("The microphone is silent. Is it muted, or is another one meant?");
    if (this.#zeros === 0 && $("notice").textContent.startsWith("The microphone is silent")) this.#complain("");
  }

  #hearNews(news) {
    if (news.message) return this.#take(news.message);
    switch (news.state) {
      case "live":
        this.#share(news.session, this.#viewersNeedToken);
        this.#complain("");
        $("model").textContent = news.model;
        return this.#show("live");
      case "waiting":
        this.#captions.dropPartial();
        this.#complain(`${news.why}; trying again in ${Math.ceil(news.seconds)} s. What is said meanwhile is kept for a minute.`);
        return this.#show("waiting");
      case "ended":
        return this.#finish(news.why);
      case "refused":
        this.#finish(news.why);
        return news.kind === "token" ? this.#askToken(news.why) : undefined;
      default:
        return this.#show(news.state);
    }
  }

  #take(message) {
    this.#captions.take(message);
    this.#transcript.take(message);
    if ("lag" in message) this.#showLag(message.lag + (this.#stream?.unsent ?? 0));
    if (message.type === "commit") {
      this.#saved = false;
      this.#showTools();
    }
  }

  async #finish(why) {
    this.#place = this.#stream.place;
    this.#stream = null;
    this.#captions.dropPartial();
    await this.#microphone?.close();
    this.#microphone = null;
    this.#show("idle");
    if (why) this.#complain(why);
  }

  #show(state) {
    this.#state = state;
    document.body.dataset.state = state;
    $("status").textContent = NAMES[state] ?? "";
    $("start-label").textContent = this.#isRunning ? "Stop" : "Start";
    $("start").setAttribute("aria-pressed", String(this.#isRunning));
    // A button that is disabled loses the keyboard's focus; this one only does nothing meanwhile.
    $("start").setAttribute("aria-disabled", String(state === "finishing" || state === "opening"));
    $("hint").hidden = this.#isRunning || !this.#transcript.isEmpty;
    if (state !== "live") this.#showLag(null);
    if (!this.#isRunning) $("level").style.setProperty("--loud", "0");
    this.#choices.lock(this.#isRunning);
    this.#wakeLock.set(this.#isRunning);
  }

  #showLag(seconds) {
    $("lag").textContent = seconds === null ? "" : `${seconds.toFixed(1)} s behind`;
  }

  #showTools() {
    const empty = this.#transcript.isEmpty;
    for (const button of [$("copy"), $("clear"), ...document.querySelectorAll("[data-format]")]) button.disabled = empty;
  }

  #complain(why) {
    if ($("notice").textContent !== why) $("notice").textContent = why;
    $("notice").hidden = why === "";
    return false;
  }

  #askToken(why) {
    keepToken("");
    this.#complain(why);
    $("access").hidden = false;
    $("token").focus();
    return false;
  }

  async #takeToken(event) {
    event.preventDefault();
    const token = $("token").value.trim();
    if (!isSendable(token)) {
      this.#complain("A browser can send tokens of letters, digits and !#$%&'*+-.^_`|~ only; this one has another character.");
      return;
    }
    keepToken(token);
    $("token").value = "";
    if (await this.greet()) $("start").focus();
  }

  async #copy() {
    const copied = await copyText(this.#transcript.lines.join("\n"));
    if (copied) this.#saved = true;
    $("copy").textContent = copied ? "Copied" : "Not allowed";
    setTimeout(() => ($("copy").textContent = "Copy"), 2_000);
  }

  #download(format) {
    const { kind, write } = FORMATS[format];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([write(this.#transcript)], { type: kind }));
    link.download = fileName(format, new Date());
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.#saved = true;
  }

  #clear() {
    if (!this.#saved && !confirm("Clear these captions? They were neither copied nor downloaded.")) return;
    this.#captions.clear();
    this.#transcript.clear();
    this.#saved = true;
    if (!this.#isRunning) this.#place = { ...this.#place, sample: 0 };
    this.#showTools();
    this.#show(this.#state);
  }
}

new Speaker().greet();
