/**
 * The engine that draws on a server. An engine is an EventTarget with
 *   about(network) → what a page must know of a network        draw(state), thumbnails(group, [{key, state}])
 *   picture(state), latents(state) → {name, blob}              bring(file, network) → {latents, name, rows}
 *   play(film, at): a moment of a film {keys: [{state, seconds}], easing}, after a share of it
 *   film(film, {format, fps}, show, signal) → {name, commands, blob}; show gets {kind: "progress", line, share, blob}
 *   project(file, options, show, signal) → {latents, name, rows, line}; show gets {kind: "target" | "progress", line, share, blob}
 *   drag({state, points, mask, steps, learning_rate}, show, signal) → {latents, name, rows, points, line}; show gets
 *   {kind: "begun", job} and {kind: "progress", points, line, blob}            endDrag(job) ends it where it is
 *   layers({state, layer, first}) → {layers} of none, else what is in its channels {channels, first, count, columns, spectrum, blob}
 *   can → {ability: true}: what it does beyond drawing: "bring", "project", "film" (on a server), "play" (moments of a film),
 *     "blend", "drag", "place" (StyleGAN3's pictures moved and turned), "layers" (looked into, and bent). A part of the page that
 *     needs one says so in main.js, and is hidden where the engine lacks it; inside a part, ask
 *     `engine.can.…`. A new ability gets one name here, and stands in the engines that have it; that of onnx.js has no server,
 *     so nothing that runs PyTorch
 *   again → what is said of the command line that makes a picture again
 * and the events "frame" {state or film and at, whole, commands, blob}, "thumbnail" {group, key, blob}, "problem" {field, line},
 * "away" {reason}, "back", "controls" {name: value} for what is said to the controls from elsewhere, and, of a network on its
 * way, "loading" {share} and "opened". A frame's blob is what createImageBitmap takes. Of what it is asked to draw, and of a
 * group's thumbnails, the newest counts; a thumbnail that
 * cannot be has an empty blob.
 */
import { compact } from '../state.js';
import { Problem } from './problem.js';

const AGAIN = [500, 1000, 2000, 4000];
/** Milliseconds until it tries to reach the server again. */
const MESSAGE_BYTES = 200_000;
/** What the server takes at once. */
const BATCH = 32;
const BATCH_BYTES = 100_000;
/** Thumbnails that are asked for at once; what is left, when the last of these is there. */

export class ServerEngine extends EventTarget {
  can = Object.freeze({ bring: true, project: true, film: true, play: true, blend: true, drag: true, place: true, layers: true });
  again = 'bit for bit, on a command line';
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
    this.base = Object.assign(base, { username: '', password: '' }); // with which nothing can be fetched
    this.#connect();
  }

  async about(network = null) {
    const url = new URL('about', this.base);
    if (network !== null) url.searchParams.set('network', network);
    return (await this.#asking(url)).json();
  }

  draw(state) {
    this.#wish({ state });
  }

  play(film, at) {
    this.#wish({ film, at });
  }

  #wish(wish) {
    this.#waiting = this.#last = wish;
    this.#next();
  }

  thumbnails(group, wanted) {
    this.#groups.set(group, { left: wanted.map(({ key, state }) => ({ key, state: compact(state) })), asked: 0 });
    this.#askSome(group);
  }

  #askSome(group) {
    const wanted = this.#groups.get(group);
    const some = batch(wanted.left);
    wanted.asked = some.length;
    this.#say({ group, thumbnails: some });
  }

  /** Note that a thumbnail was answered, as all that were asked before it. */
  #answered({ group, key }) {
    const wanted = this.#groups.get(group);
    const count = wanted.left.findIndex((each) => each.key === key) + 1;
    wanted.left.splice(0, count);
    wanted.asked -= count;
    if (count && !wanted.asked && wanted.left.length) this.#askSome(group);
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
    const { header } = await this.#told(await this.#asking(url, { method: 'POST', body: file, signal }), 'found', show);
    return header;
  }

  async film(film, { format, fps }, show, signal) {
    const body = JSON.stringify({ film: compactFilm(film), format, fps });
    const answer = await this.#asking(new URL('film', this.base), { method: 'POST', body, signal });
    const { header, blob } = await this.#told(answer, 'film', show);
    return { ...header, blob };
  }

  /** Show what is told of long work, until its end comes, which is of a kind. */
  async #told(answer, end, show) {
    for await (const message of messages(answer.body.getReader())) {
      const { header, blob } = opened(message, 'image/jpeg');
      if (header.kind === 'error') throw new Problem(header);
      if (header.kind === end) return { header, blob };
      show({ ...header, blob });
    }
    throw new Problem({ field: null, line: 'the server ended it' });
  }

  async drag(asked, show, signal) {
    const answer = await this.#asking(new URL('drag', this.base), { method: 'POST', body: JSON.stringify(asked), signal });
    return (await this.#told(answer, 'found', show)).header;
  }

  async layers({ state, layer, first }) {
    const answer = await this.#asking(new URL('layers', this.base), { method: 'POST', body: JSON.stringify({ state: compact(state), layer, first }) });
    const { header, blob } = opened(await answer.arrayBuffer(), 'image/jpeg');
    return { ...header, blob };
  }

  endDrag = (job) => this.#asking(new URL('drag/end', this.base), { method: 'POST', body: JSON.stringify(job) });

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
      throw new Problem({ field: null, line: 'the server does not answer', away: true });
    }
    if (answer.ok) return answer;
    const said = await answer.text();
    try {
      throw new Problem(JSON.parse(said));
    } catch (error) {
      throw error instanceof Problem ? error : new Problem({ field: null, line: said.trim(), away: answer.status > 500 });
    }
  }

  /** Open the stream, by a ticket if there is a password: WebKit says that to no stream. */
  async #connect() {
    const url = new URL('stream', this.base);
    url.search = await fetch(new URL('ticket', this.base)).then((answer) => (answer.ok ? answer.text() : '')).then((word) => word.trim(), () => '');
    url.protocol = url.protocol.replace('http', 'ws');
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () => {
      if (this.#failures) this.#tell('back');
      this.#busy = false;
      this.#waiting ??= this.#last;
      this.#next();
      for (const group of this.#groups.keys()) this.#askSome(group);
    };
    this.#socket.onclose = ({ reason }) => {
      this.#tell('away', { reason });
      setTimeout(() => this.#connect(), AGAIN[Math.min(this.#failures++, AGAIN.length - 1)]);
    };
    this.#socket.onmessage = ({ data }) => (typeof data === 'string' ? this.#hearText(JSON.parse(data)) : this.#hear(data));
  }

  /** Say something, if the server is there; returns whether it is short enough. */
  #say(message) {
    const text = JSON.stringify(message);
    if (bytesOf(text) > MESSAGE_BYTES) return false;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
    return true;
  }

  /** Ask for the newest picture, once the one before is on the screen. */
  #next() {
    if (this.#busy || this.#waiting === null || this.#socket?.readyState !== WebSocket.OPEN) return;
    const wish = this.#waiting;
    this.#waiting = null;
    this.#busy = true;
    this.#asked.set(++this.#number, wish);
    this.#asked.delete(this.#number - 50);
    const said = wish.film ? { play: compactFilm(wish.film), at: wish.at } : { draw: compact(wish.state) };
    if (!this.#say({ ...said, id: this.#number })) this.#hearProblem({ id: this.#number, field: null, line: 'This is more than the server takes' });
  }

  #hear(data) {
    const { header, blob } = opened(data, null);
    this.#failures = 0;
    if (header.kind === 'frame') {
      this.#tell('frame', { ...header, ...this.#asked.get(header.id), blob });
      this.#busy = false;
      this.#next();
    } else {
      this.#tell('thumbnail', { ...header, blob });
      this.#answered(header);
    }
  }

  #hearText(said) {
    if (said.kind === 'controls') this.#tell('controls', said.controls);
    else this.#hearProblem(said);
  }

  /** A problem of a state that is no longer wanted is none. */
  #hearProblem(problem) {
    this.#busy = false;
    if (problem.id === null || this.#asked.get(problem.id) === this.#last) this.#tell('problem', problem);
    this.#next();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const compactFilm = ({ keys, easing }) => ({ keys: keys.map(({ state, seconds }) => ({ state: compact(state), seconds })), easing });

const bytesOf = (text) => new TextEncoder().encode(text).length;

/** The first of what is wanted, as many as can be asked for at once; one at least. */
function batch(wanted) {
  let bytes = 0;
  const some = wanted.slice(0, BATCH);
  const end = some.findIndex((each, i) => (bytes += bytesOf(JSON.stringify(each))) > BATCH_BYTES && i);
  return end < 0 ? some : some.slice(0, end);
}

/** Take a frame apart: the length of its header, that, and an image. */
function opened(data, type) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { header, blob: new Blob([new Uint8Array(data, 4 + length)], { type: type ?? (header.whole ? 'image/png' : 'image/jpeg') }) };
}

/** The messages of a body, each of which comes after its length in four bytes. */
async function* messages(reader) {
  const take = taker(reader);
  for (;;) {
    const length = await take(4);
    const message = length && (await take(new DataView(length).getUint32(0)));
    if (!message) return;
    yield message;
  }
}

/** Return what takes so many bytes of a body, null if it ends before. */
function taker(reader) {
  let there = [];
  let size = 0;
  return async (count) => {
    while (size < count) {
      const { value, done } = await reader.read();
      if (done) return null;
      there.push(value);
      size += value.length;
    }
    const all = new Uint8Array(size); // joined once, however many chunks it came in
    there.reduce((at, chunk) => (all.set(chunk, at), at + chunk.length), 0);
    there = [all.subarray(count)];
    size -= count;
    return all.slice(0, count).buffer;
  };
}
