/** What is said to the controls from elsewhere, by their names: psi, psi@0-3, seed, pca:0, mix:0, … as the server's controls.py. */
import { round } from './dom.js';
import { layersText, moved } from './state.js';

const LAST_SEED = 2 ** 32 - 1;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const whole = (value, high = LAST_SEED) => Math.round(clamp(value, 0, high));
const file = (name) => name.split(/[\\/]/).at(-1).replace(/\.(npz|safetensors)$/, '');

const NUMBERS = {
  seed: (state, value) => ({ ...state, seed: whole(value), latents: null, row: 0 }),
  row: (state, value) => ({ ...state, row: whole(value) }),
  psi: (state, value, { ranges }) => ({ ...state, psi: round(clamp(value, ...ranges.psi), 3) }),
  class: (state, value, { classes }) => (classes ? { ...state, class: whole(value, classes - 1) } : state),
  noise_seed: (state, value) => ({ ...state, noise: 'random', noise_seed: whole(value) }),
  blend_at: (state, value, { blends }) => blended(state, { at: nearest(blends?.sides ?? [], value) }),
  blend_soft: (state, value) => blended(state, { soft: value > 0 }),
};
const TEXTS = {
  noise: (state, value, { noises }) => (noises.includes(value) ? { ...state, noise: value } : state),
  blend: (state, value, { blends }) => (blends?.networks.includes(value)
    ? { ...state, blend: { at: blends.sides[Math.floor(blends.sides.length / 2)], soft: false, ...state.blend, network: value } }
    : { ...state, blend: null }),
};
const blended = (state, fields) => (state.blend ? { ...state, blend: { ...state.blend, ...fields } } : state);
const nearest = (sides, value) => sides.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best), sides[0]);

/** Return a state with a control set, as far as the network has it; what is no control of a picture changes nothing. */
export function controlled(state, facts, name, value) {
  if (typeof value === 'string') return TEXTS[name]?.(state, value, facts) ?? state;
  if (name in NUMBERS) return NUMBERS[name](state, value, facts);
  const [, kind, index] = /^(.+)[:@]([\d-]+)$/.exec(name) ?? [];
  if (kind === 'psi') return bent(state, facts, index, value);
  if (kind === 'mix') return mixed(state, facts, Number(index), value);
  const directions = facts.directions.find((each) => each.name === kind || file(each.name) === kind);
  if (!directions || !(Number(index) < directions.count)) return state;
  return moved(state, directions.name, Number(index), round(clamp(value, ...facts.ranges.strength), 3));
}

function bent(state, { ranges, layers }, which, value) {
  if (which.split('-').some((each) => !(Number(each) < layers.length))) return state;
  const psi = round(clamp(value, ...ranges.psi), 3);
  const others = state.psis.filter((each) => each.layers !== which);
  return others.length >= layers.length ? state : { ...state, psis: [...others, { psi, layers: which }] };
}

/** Set the seed of a mix; one more than there are is a new one. */
function mixed(state, { layers }, index, value) {
  const { mixes } = state;
  if (index > mixes.length || index > 15) return state;
  const usual = { layers: layersText([...Array(Math.ceil(layers.length / 2)).keys()]), ...mixes[index] };
  return { ...state, mixes: [...mixes.slice(0, index), { ...usual, seed: whole(value) }, ...mixes.slice(index + 1)] };
}
