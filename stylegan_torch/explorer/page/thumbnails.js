/** Small pictures: asked for when they are not there yet, kept for when they are wanted again. */
import { written } from './state.js';

const KEPT = 600;

export class Thumbnails {
  #engine;
  #number = 0;
  #urls = new Map();
  #asked = new Map();
  #shown = new Map();

  constructor(engine) {
    this.#engine = engine;
    engine.addEventListener('thumbnail', ({ detail }) => this.#come(detail));
  }

  /** Show states in images; of a group, the newest list counts: [{image, state}]. */
  show(group, items) {
    for (const { key } of this.#shown.get(group) ?? []) this.#asked.delete(key);
    const shown = items.map(({ image, state }) => ({ image, state, text: written(state) }));
    this.#shown.set(group, shown);
    const missing = shown.filter((each) => !this.#put(each));
    for (const each of missing) this.#asked.set((each.key = String(++this.#number)), each.text);
    this.#engine.thumbnails(group, missing);
  }

  #put({ image, text }) {
    const url = this.#urls.get(text);
    image.classList.toggle('waiting', !url);
    if (url && image.src !== url) image.src = url;
    return Boolean(url);
  }

  #come({ key, blob }) {
    const text = this.#asked.get(key);
    this.#asked.delete(key);
    if (!text || !blob.size || this.#urls.has(text)) return;
    this.#urls.set(text, URL.createObjectURL(blob));
    for (const each of [...this.#shown.values()].flat()) if (each.text === text) this.#put(each);
    if (this.#urls.size > KEPT) {
      const [oldest, url] = this.#urls.entries().next().value;
      this.#urls.delete(oldest);
      URL.revokeObjectURL(url);
    }
  }
}
