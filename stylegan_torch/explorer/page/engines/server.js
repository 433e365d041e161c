/**
 * The engine that draws on a server. An engine is an EventTarget with
 *   about(network) → what a page must know of a network        draw(state), thumbnails(group, [{key, state}])
 *   picture(state), latents(state) → {name, blob}              bring(file, network) → {latents, name, rows}
 *   project(file, options, show, signal) → {latents, name, rows, line}; show gets {kind: "target" | "progress", line, share, blob}
 * and the events "frame" {state, whole, commands, blob}, "thumbnail" {group, key, blob}, "problem" {field, line},
 * "away" and "back". Of what it is asked to draw, and of a group's thumbnails, the newest counts.
 */
import { compact } from '../state.js';

const AGAIN = [500, 1000, 2000, 4000];
/** Milliseconds until it tries to reach the server again. */

export class Problem extends Error {
  constructor({ field, line }) {
    super(line);
    this.field = field;
  }
}

export class ServerEngine extends EventTarget {
  #socket = null;
  #number = 0;
  #asked = new Map();
  #waiting = null;
  #busy = false;
  #failures = 0;
  #groups = new Map();
  #last = null;

  constructor(base = new URL('.', document.baseURI)) {
    super();
    this.base = base;
    this.#connect();
  }

  async about(network = null) {
    const url = new URL('about', this.base);
    if (network !== null) url.searchParams.set('network', network);
    return (await this.#asking(url)).json();
  }

  draw(state) {
    this.#waiting = this.#last = state;
    this.#next();
  }

  thumbnails(group, wanted) {
    this.#groups.set(group, wanted);
    this.#say({ group, thumbnails: wanted.map(({ key, state }) => ({ key, state: compact(state) })) });
  }

  picture = (state) => this.#file('picture.png', state);

  latents = (state) => this.#file('latents.npz', state);

  async bring(file, network) {
    const url = new URL('latents', this.base);
    url.searchParams.set('name', file.name);
    if (network !== null) url.searchParams.set('network', network);
    return (await this.#asking(url, { method: 'POST', body: file })).json();
  }

  async project(file, options, show, signal) {
    const url = new URL('projection', this.base);
    for (const [name, value] of Object.entries({ name: file.name, ...options })) if (value !== null) url.searchParams.set(name, value);
    const answer = await this.#asking(url, { method: 'POST', body: file, signal });
    for await (const message of messages(answer.body.getReader())) {
      const { header, blob } = opened(message, 'image/jpeg');
      if (header.kind === 'error') throw new Problem(header);
      if (header.kind === 'found') return header;
      show({ ...header, blob });
    }
    throw new Problem({ field: null, line: 'the server ended it' });
  }

  async #file(path, state) {
    const answer = await this.#asking(new URL(path, this.base), { method: 'POST', body: JSON.stringify(compact(state)) });
    const name = /filename="(.+)"/.exec(answer.headers.get('content-disposition'))?.[1] ?? path;
    return { name, blob: await answer.blob() };
  }

  async #asking(url, options = {}) {
    let answer;
    try {
      answer = await fetch(url, options);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem({ field: null, line: 'the server does not answer' });
    }
    if (answer.ok) return answer;
    const said = await answer.text();
    try {
      throw new Problem(JSON.parse(said));
    } catch (error) {
      throw error instanceof Problem ? error : new Problem({ field: null, line: said.trim() });
    }
  }

  #connect() {
    const url = new URL('stream', this.base);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => {
      if (this.#failures) this.#tell('back');
      this.#failures = 0;
      this.#busy = false;
      this.#waiting ??= this.#last;
      this.#next();
      for (const [group, wanted] of this.#groups) this.thumbnails(group, wanted);
    };
    this.#socket.onclose = () => {
      this.#tell('away');
      setTimeout(() => this.#connect(), AGAIN[Math.min(this.#failures++, AGAIN.length - 1)]);
    };
    this.#socket.onmessage = ({ data }) => (typeof data === 'string' ? this.#hearProblem(JSON.parse(data)) : this.#hear(data));
  }

  #say(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Ask for the newest picture, once the one before is on the screen. */
  #next() {
    if (this.#busy || this.#waiting === null || this.#socket.readyState !== WebSocket.OPEN) return;
    const state = this.#waiting;
    this.#waiting = null;
    this.#busy = true;
    this.#asked.set(++this.#number, state);
    this.#asked.delete(this.#number - 50);
    this.#say({ draw: compact(state), id: this.#number });
  }

  #hear(data) {
    const { header, blob } = opened(data, null);
    if (header.kind === 'frame') {
      this.#tell('frame', { ...header, state: this.#asked.get(header.id), blob });
      this.#busy = false;
      this.#next();
    } else this.#tell('thumbnail', { ...header, blob });
  }

  #hearProblem(problem) {
    this.#busy = false;
    this.#tell('problem', problem);
    this.#next();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Take a frame apart: the length of its header, that, and an image. */
function opened(data, type) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { header, blob: new Blob([new Uint8Array(data, 4 + length)], { type: type ?? (header.whole ? 'image/png' : 'image/jpeg') }) };
}

/** The messages of a body, each of which comes after its length in four bytes. */
async function* messages(reader) {
  let rest = new Uint8Array();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const all = new Uint8Array(rest.length + value.length);
    all.set(rest);
    all.set(value, rest.length);
    rest = all;
    while (rest.length >= 4) {
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0);
      if (rest.length < 4 + length) break;
      yield rest.slice(4, 4 + length).buffer;
      rest = rest.slice(4 + length);
    }
  }
}
