/** The engine that draws in the browser, without a server: see server.js for what an engine is. All work is a worker's. */
import { compact } from '../state.js';
import { Problem } from './problem.js';

/** Return the engine of a network whose `network.json` is at an address. */
export async function openOnnx(address) {
  const answer = await fetch(address).catch(({ message }) => ({ status: message }));
  if (!answer.ok) throw new Problem({ line: `network.json does not come: ${answer.status}` });
  const about = await answer.json().catch(() => null);
  if (!about?.facts) throw new Problem({ line: 'network.json is damaged, or another file' });
  return new OnnxEngine(about, new URL('.', address));
}

class OnnxEngine extends EventTarget {
  can = Object.freeze({ bring: true, play: true });
  #about;
  #worker = new Worker(new URL('onnx_worker.js', import.meta.url), { type: 'module' });
  #number = 0;
  #wishes = new Map();
  #asked = new Map();
  #last = null;

  constructor(about, base) {
    super();
    this.#about = about;
    this.again = `on a command line, nearly all values to within ${about.off} of 255`;
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    this.#worker.onerror = (event) => this.#tell('problem', { field: null, line: event.message || 'This browser runs no module workers' });
    this.#worker.postMessage({ open: base.href, about });
  }

  async about(network = null) {
    const { facts } = this.#about;
    if (network !== null && network !== facts.network) throw new Problem({ field: 'Network', line: `Network: '${network}' is not ${facts.network}` });
    return facts;
  }

  draw(state) {
    this.#wish({ state }, { draw: compact(state) });
  }

  play(film, at) {
    const keys = film.keys.map(({ state, seconds }) => ({ state: compact(state), seconds }));
    this.#wish({ film, at }, { play: { ...film, keys }, at });
  }

  #wish(wish, said) {
    this.#wishes.set(++this.#number, (this.#last = wish));
    this.#worker.postMessage({ ...said, id: this.#number });
  }

  thumbnails(group, wanted) {
    this.#worker.postMessage({ group, thumbnails: wanted.map(({ key, state }) => ({ key, state: compact(state) })) });
  }

  picture = (state) => this.#ask('picture', { state: compact(state) });

  latents = (state) => this.#ask('latents', { state: compact(state) });

  bring = (file) => this.#ask('bring', { file });

  #ask(ask, given) {
    const id = ++this.#number;
    this.#worker.postMessage({ ask, id, ...given });
    return new Promise((found, failed) => this.#asked.set(id, { found, failed }));
  }

  #hear({ kind, id, ...said }) {
    const wish = this.#wishes.get(id);
    if (wish) this.#forget(id);
    if (kind === 'frame') this.#tell('frame', { ...wish, ...said });
    else if (kind === 'error' && wish === this.#last) this.#tell('problem', said);
    else if (kind === 'failed') this.#tell('problem', { field: null, ...said });
    else if (kind === 'thumbnail' || kind === 'loading' || kind === 'opened') this.#tell(kind, said);
    else if (kind === 'answer') {
      const { found, failed } = this.#asked.get(id);
      this.#asked.delete(id);
      if (said.problem) failed(new Problem(said.problem));
      else found(said.found);
    }
  }

  /** Forget the wishes before one that was answered: they are overtaken. */
  #forget(answered) {
    for (const id of this.#wishes.keys()) if (id < answered) this.#wishes.delete(id);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
