/** A microphone: asked for, captured at 16 kHz, closed without losing its last frame. */

import { ANSWER_MS } from "./question.js";

const RATE = 16_000;
/** What the audio thread has for an answer, and a context to wake; then it goes on without. */
const PATIENCE_MS = 1_000;

const WORDS = {
  NotAllowedError: "The microphone is not allowed. Allow it for this page in the browser's settings, then start again.",
  NotFoundError: "No microphone was found. Plug one in, then start again.",
  NotReadableError: "The microphone cannot be opened: another program may be using it.",
  AbortError: "The microphone cannot be opened: another program may be using it.",
  SecurityError: "The browser does not let this page use a microphone.",
};

/** Why there is no microphone, in words for the person at it. */
export class MicrophoneError extends Error {}

export function hasMicrophones() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);
}

/** The microphones that can be chosen from. Until one was allowed, browsers tell neither names nor ids. */
export async function listMicrophones() {
  if (!hasMicrophones()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId);
}

export class Microphone {
  #stream;
  #context = null;
  #node = null;
  #flushed;
  #closed = false;

  /**
   * Open one; `take` gets frames of 16-bit samples, `lost` is called if the device goes away by itself.
   * Throws MicrophoneError.
   */
  static async open(deviceId, take, lost) {
    if (!hasMicrophones()) throw new MicrophoneError(insecure());
    const microphone = new Microphone(await ask(deviceId));
    try {
      await microphone.#capture(take);
    } catch (error) {
      await microphone.close();
      if (error instanceof MicrophoneError) throw error;
      throw new MicrophoneError(`The microphone cannot be used: ${error.message}`);
    }
    for (const track of microphone.#stream.getAudioTracks()) {
      track.addEventListener("ended", () => microphone.#closed || lost());
    }
    return microphone;
  }

  constructor(stream) {
    this.#stream = stream;
  }

  get deviceId() {
    return this.#stream.getAudioTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** Wake a context that the browser has put to sleep. */
  async resume() {
    if (this.#context?.state === "suspended" || this.#context?.state === "interrupted") await this.#context.resume();
  }

  /** Deliver what is captured, then let the device go. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#node) {
      this.#node.port.postMessage(null);
      // The audio thread of a context that sleeps does not answer.
      await patiently(this.#flushed);
    }
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context?.close();
  }

  async #capture(take) {
    const source = this.#source();
    const loading = this.#context.audioWorklet.addModule(new URL("capture.js", import.meta.url).href);
    await Promise.race([loading, silence()]).catch((cause) => {
      const words = "A part of this page could not be had: does the server answer? Start again later.";
      throw new MicrophoneError(words, { cause });
    });
    this.#node = new AudioWorkletNode(this.#context, "capture");
    this.#flushed = new Promise((done) => {
      this.#node.port.onmessage = ({ data }) => (data === null ? done() : take(data));
    });
    // It says nothing, but what leads nowhere is not run by every browser.
    source.connect(this.#node).connect(this.#context.destination);
    await patiently(this.#context.resume());
  }

  /** A context at the rate that is sent; or at the device's, where a browser (Firefox) cannot connect the two. */
  #source() {
    try {
      this.#context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
      return this.#context.createMediaStreamSource(this.#stream);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      this.#context?.close();
      this.#context = new AudioContext({ latencyHint: "interactive" });
      return this.#context.createMediaStreamSource(this.#stream);
    }
  }
}

function patiently(promise) {
  return Promise.race([promise, new Promise((done) => setTimeout(done, PATIENCE_MS))]);
}

/** Fails when a server that takes a question has said nothing for too long. */
function silence() {
  return new Promise((_, fail) => setTimeout(() => fail(new Error("no answer in time")), ANSWER_MS));
}

/** Ask for the device, and for any if that one is gone. The recogniser knows noise; what removes it removes speech too. */
async function ask(deviceId) {
  const sound = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
  const audio = deviceId ? { ...sound, deviceId: { exact: deviceId } } : sound;
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    if (error.name === "OverconstrainedError" && deviceId) return ask("");
    throw new MicrophoneError(WORDS[error.name] ?? `The microphone cannot be opened: ${error.message}`);
  }
}

function insecure() {
  if (window.isSecureContext) return "This browser cannot capture a microphone.";
  return "Browsers give the microphone only to secure pages: open this one over https, or on the same computer as http://localhost.";
}
