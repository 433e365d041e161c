/** What is on the page: one plain object, in the address and in each picture. The same fields as the server's states.py. */

export const DEFAULTS = Object.freeze({
  network: null, seed: 0, latents: null, row: 0, psi: 0.7, psis: [], class: null, mixes: [], moves: [], bends: [], translate: [0, 0], rotate: 0, noise: 'official', noise_seed: 0,
  blend: null,
});

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** A state without what is as in DEFAULTS. */
export function compact(state) {
  return Object.fromEntries(Object.keys(DEFAULTS).filter((name) => !same(state[name], DEFAULTS[name])).map((name) => [name, state[name]]));
}

const kindOf = (value) => (Array.isArray(value) ? 'list' : value === null ? 'nothing' : typeof value);
/** Whether a value is a list like the usual one: of as many numbers, or of objects. */
const fits = (value, usual) => !Array.isArray(usual)
  || (Array.isArray(value) && (usual.length ? value.length === usual.length : true) && value.every((each, i) => kindOf(each) === (usual.length ? kindOf(usual[i]) : 'object')));

/** A state with all fields; what a page does not know, or could not show, is left out. */
export function complete(state) {
  const known = Object.entries(state ?? {}).filter(([name, value]) => name in DEFAULTS && fits(value, DEFAULTS[name]));
  return { ...DEFAULTS, ...Object.fromEntries(known) };
}

export const written = (state) => JSON.stringify(compact(state));

/** Whether this is an object with fields of a state; one without any is that of DEFAULTS. */
export function isState(value) {
  const names = typeof value === 'object' && value && !Array.isArray(value) ? Object.keys(value) : null;
  return names !== null && (!names.length || names.some((name) => name in DEFAULTS));
}

/** Read the state in an address; null if there is another text. */
export function readAddress(hash) {
  try {
    const state = JSON.parse(decodeURIComponent(hash.replace(/^#/, '')));
    return isState(state) ? state : null;
  } catch {
    return null;
  }
}

const isMove = (move, directions, index) => move.directions === directions && move.index === index;

export const strengthOf = (state, directions, index) => state.moves.find((each) => isMove(each, directions, index))?.strength ?? 0;

/** Whether a network has a direction. */
export const hasDirection = (facts, directions, index) => facts.directions.some(({ name, count }) => name === directions && index < count);

/** A state whose move along a direction has a strength; 0 takes it away. */
export function moved(state, directions, index, strength) {
  const old = state.moves.find((each) => isMove(each, directions, index));
  const others = state.moves.filter((each) => each !== old);
  if (!strength) return { ...state, moves: others };
  const move = { directions, index, strength, layers: old?.layers ?? '' };
  return { ...state, moves: old ? state.moves.map((each) => (each === old ? move : each)) : [...others, move] };
}

/** Layers as a text, such as "0-3,6", from a list of numbers in order. */
export function layersText(numbers) {
  const runs = [];
  for (const each of numbers) {
    if (runs.length && runs.at(-1)[1] === each - 1) runs.at(-1)[1] = each;
    else runs.push([each, each]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The numbers of layers in a text of numbers and ranges, or "all". */
export function layersList(text, count) {
  if (text === 'all') return [...Array(count).keys()];
  return String(text).split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    return [...Array(count).keys()].filter((each) => first <= each && each <= last);
  });
}

/** Holds the state; tells who listens of every change, and what was settled for undo. */
export class Store extends EventTarget {
  #settled = [];
  #undone = [];

  constructor(state) {
    super();
    this.state = complete(state);
  }

  /** Change some fields, or all. */
  change(fields) {
    const next = { ...this.state, ...fields };
    if (same(next, this.state)) return;
    this.state = next;
    this.dispatchEvent(new Event('change'));
  }

  /** Note that a state was drawn whole. */
  settle(state) {
    if (same(this.#settled.at(-1), state)) return;
    this.#settled.push(state);
    this.#undone = [];
    if (this.#settled.length > 200) this.#settled.shift();
    this.dispatchEvent(new Event('settled'));
  }

  get canUndo() {
    return this.#settled.length > 1 || (this.#settled.length === 1 && !same(this.#settled[0], this.state));
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  undo() {
    if (!this.canUndo) return;
    if (same(this.#settled.at(-1), this.state)) this.#undone.push(this.#settled.pop());
    this.change(this.#settled.at(-1));
    this.dispatchEvent(new Event('settled'));
  }

  redo() {
    if (!this.canRedo) return;
    this.#settled.push(this.#undone.pop());
    this.change(this.#settled.at(-1));
    this.dispatchEvent(new Event('settled'));
  }
}
