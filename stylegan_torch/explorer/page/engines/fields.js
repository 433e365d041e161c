/** What the fields of a state hold, checked as the server's fields.py and states.py do, and told by the field's name. */
import { complete } from '../state.js';
import { Problem } from './problem.js';
import { EASED } from './way.js';

const LAST_SEED = 2 ** 32 - 1;
const MOST_MIXES = 16;
const MOST_MOVES = 64;
const MOST_KEYS = 64;
const SECONDS = [0.1, 600];
/** From a key frame to the next. */

const said = (value) => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value) ?? String(value)).slice(0, 40);

export function wrong(field, value, wanted) {
  const empty = value === null || value === undefined || value === '';
  return new Problem({ field, line: empty ? `${field} is empty: it takes ${wanted}` : `${field}: ${said(value)} is not ${wanted}` });
}

function number(field, value, [low, high]) {
  if (typeof value !== 'number' || !(value >= low && value <= high)) throw wrong(field, value, `a number from ${low} to ${high}`);
  return value;
}

function whole(field, value, low, high) {
  if (!Number.isInteger(value) || value < low || value > high) throw wrong(field, value, `a whole number from ${low} to ${high}`);
  return value;
}

function choice(field, value, choices) {
  if (!choices.includes(value)) throw wrong(field, value, `one of ${choices.join(', ')}`);
  return value;
}

function list(field, value, most) {
  if (!Array.isArray(value) || value.length > most) throw wrong(field, value, `a list of at most ${most}`);
  return value;
}

/** Return the numbers of layers in a text such as "0-3,6", "coarse" or "all". */
export function layersOf(about, field, text) {
  const bad = () => wrong(`${field} layers`, text, `a choice of layers 0 to ${about.num_ws - 1}, such as 0-3`);
  if (typeof text !== 'string') throw bad();
  const rows = [...Array(about.num_ws).keys()];
  const chosen = text.replaceAll(' ', '').split(',').flatMap((part) => {
    if (part === 'all') return rows;
    if (Object.hasOwn(about.ranges, part)) return about.ranges[part];
    const found = /^(\d+)(?:-(\d+))?$/.exec(part);
    const [low, high] = found ? [Number(found[1]), Number(found[2] ?? found[1])] : [1, 0];
    if (low > high || high >= about.num_ws) throw bad();
    return rows.slice(low, high + 1);
  });
  return rows.filter((each) => chosen.includes(each));
}

/** Return a picture to draw from a state: its fields, checked, with `rows` beside each text of layers. */
export function readPicture(state, about, brought) {
  const { facts } = about;
  const fields = complete(state);
  if (fields.network !== null) choice('Network', fields.network, [facts.network]);
  if (fields.blend !== null) throw wrong('Blend', fields.blend, 'empty: this page has one network');
  const base = fields.latents === null ? null : brought(fields.latents);
  return {
    seed: base ? null : whole('Seed', fields.seed, 0, LAST_SEED),
    base,
    row: base && base.rows > 1 ? whole('Row', fields.row, 0, base.rows - 1) : null,
    psi: number('Truncation', fields.psi, facts.ranges.psi),
    label: fields.class === null ? null : readClass(fields.class, facts.classes),
    mixes: list('Mixes', fields.mixes, MOST_MIXES).map(({ seed, layers = 'all' }, i) => ({
      seed: whole(`Mix ${i + 1} seed`, seed, 0, LAST_SEED), layers, rows: layersOf(about, `Mix ${i + 1}`, layers),
    })),
    moves: list('Directions', fields.moves, MOST_MOVES).map((move) => readMove(move, about)),
    noise: choice('Noise', fields.noise, facts.noises),
    noiseSeed: fields.noise === 'random' ? whole('Noise seed', fields.noise_seed, 0, LAST_SEED) : 0,
    psis: list('Truncation by layer', fields.psis, about.num_ws).map(({ psi, layers = 'all' }) => ({
      psi: number('Truncation by layer', psi, facts.ranges.psi), layers, rows: layersOf(about, 'Truncation by layer', layers),
    })),
  };
}

/** Return a film to play: its pictures, when it is at each, in turns, and its easing. */
export function readFilm({ keys, easing = EASED[0] }, about, brought) {
  if (!list('Key frames', keys, MOST_KEYS).length) throw wrong('Key frames', '', `a list of 1 to ${MOST_KEYS}`);
  const lengths = keys.map(({ seconds }, i) => number(`Key frame ${i + 1} seconds`, seconds, SECONDS));
  const total = lengths.reduce((sum, each) => sum + each, 0);
  return {
    pictures: keys.map(({ state }) => readPicture(state, about, brought)),
    starts: lengths.map((_, i) => lengths.slice(0, i).reduce((sum, each) => sum + each, 0) / total),
    easing: choice('Easing', easing, EASED),
  };
}

function readClass(value, classes) {
  if (!classes) throw wrong('Class', value, 'empty: the network has none');
  return whole('Class', value, 0, classes - 1);
}

function readMove({ directions, index, strength, layers = '' }, about) {
  const kinds = about.facts.directions;
  const kind = kinds.find(({ name }) => name === choice('Directions', directions, kinds.map((each) => each.name)));
  whole('Direction', index, 0, kind.count - 1);
  const name = `Direction ${directions} ${index}`;
  const usual = kind.layers.length ? kind.layers : [...Array(about.num_ws).keys()];
  return {
    directions, index, layers, kind: kinds.indexOf(kind), strength: number(name, strength, about.facts.ranges.strength),
    rows: layers ? layersOf(about, name, layers) : usual,
  };
}
