/** Microphone, language and task: what can be chosen, and what was chosen the last time. */

import { listMicrophones } from "./microphone.js";
import { recall, remember } from "./settings.js";

export class Choices {
  #elements;

  /** `elements`: {microphone, language, task}, each a select in a label. */
  constructor(elements) {
    this.#elements = elements;
    for (const [name, select] of Object.entries(elements)) {
      select.addEventListener("change", () => remember(name, select.value));
    }
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.showMicrophones());
  }

  get microphone() {
    return this.#elements.microphone.value;
  }

  /** The wishes of a stream. */
  get wishes() {
    return { language: this.#elements.language.value, task: this.#elements.task.value };
  }

  /** While a stream runs, nothing of it can be changed. */
  lock(locked) {
    for (const select of Object.values(this.#elements)) select.disabled = locked;
  }

  /** Offer what the server can do: `{languages: {code: name}, tasks}`. */
  showCapabilities({ languages, tasks }) {
    const { language, task } = this.#elements;
    const named = Object.entries(languages).map(([code, name]) => [code, name[0].toUpperCase() + name.slice(1)]);
    named.sort(([, one], [, other]) => one.localeCompare(other));
    fill(language, [["", "Detect"], ...named], recall("language"));
    language.closest("label").hidden = named.length < 2;
    fill(task, [...task.options].map(({ value, text }) => [value, text]).filter(([value]) => tasks.includes(value)), recall("task"));
    task.closest("label").hidden = task.options.length < 2;
  }

  async showMicrophones() {
    const { microphone } = this.#elements;
    const devices = (await listMicrophones()).filter(({ deviceId }) => deviceId !== "default");
    const named = devices.map(({ deviceId, label }, at) => [deviceId, label || `Microphone ${at + 1}`]);
    fill(microphone, [["", "Default"], ...named], microphone.value || recall("microphone"));
  }
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
}
