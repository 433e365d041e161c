/** Latents that a visitor brings as a file, and those that go with a picture. */
import { Problem } from './problem.js';
import { arraysOf, npzOf } from './npz.js';

const NAMES = ['ws', 'w', 'dlatents'];
const MOST = 1000;
/** Rows of a file. */
const NOISE = /^noise\d+$/;

const wrong = (name, line) => new Problem({ line: `Latents: ${name} ${line}` });
const floats = ({ values }) => Float32Array.from(values, Number);

/** Return the latents of a file for a network: {name, rows, ws, size, noise}, as the library's `latents.load` reads them. */
export async function latentsOf(file, about) {
  let arrays;
  try {
    arrays = await arraysOf(new Uint8Array(await file.arrayBuffer()), (each) => NAMES.includes(each) || NOISE.test(each));
  } catch {
    throw wrong(file.name, 'is damaged, or not a file of latents (.npz)');
  }
  const key = NAMES.find((each) => each in arrays);
  if (!key) throw wrong(file.name, `holds no ws, only ${Object.keys(arrays).join(', ') || 'nothing'}`);
  for (const each of [key, ...Object.keys(arrays).filter((name) => NOISE.test(name))]) if (!arrays[each].values) throw wrong(file.name, `has ${each} of type ${arrays[each].type}`);
  const { num_ws: layers, w_dim: size } = about;
  const { ws, rows } = spread(file.name, arrays[key], key, layers, size);
  if (rows > MOST) throw wrong(file.name, `holds ${rows} latents; ${MOST} are the most that can be taken here`);
  const maps = Object.keys(arrays).filter((each) => NOISE.test(each)).length;
  const noise = Array.from({ length: maps }, (_, i) => {
    const [height, width] = about.noise[i] ?? [];
    const array = arrays[`noise${i}`];
    if (maps !== about.noise.length || array?.shape.slice(1).join() !== [1, height, width].join() || ![1, rows].includes(array.shape[0])) throw wrong(file.name, 'has noise for another network');
    return { values: floats(array), count: height * width };
  });
  if ([ws, ...noise.map(({ values }) => values)].some((values) => !values.every(Number.isFinite))) throw wrong(file.name, 'has numbers that are not finite');
  return { name: file.name, rows, ws, size: layers * size, noise };
}

/** Return ws with a row for each layer, where one stands for all. */
function spread(name, { shape, values }, key, layers, size) {
  const whole = shape.length === 3 && shape[1] === layers;
  const one = (shape.length === 3 && shape[1] === 1) || (shape.length === 2 && !(key !== 'ws' && shape[0] === layers));
  const single = shape.length === 2 && !one;
  if (shape.at(-1) !== size || !(whole || one || single) || !values.length) throw wrong(name, `has ws of ${shape.join('×')}, this network takes N×${layers}×${size}`);
  const all = floats({ values });
  if (!one) return { ws: all, rows: single ? 1 : shape[0] };
  const ws = new Float32Array(shape[0] * layers * size);
  for (let row = 0; row < shape[0] * layers; row += 1) {
    const from = Math.floor(row / layers) * size;
    ws.set(all.subarray(from, from + size), row * size);
  }
  return { ws, rows: shape[0] };
}

/** Return a picture's latents as an .npz file that `stylegan draw --latents` takes. */
export function fileOf(picture, { ws, shape, z, noise, own }, about) {
  const float32 = (values, ...sizes) => ({ type: '<f4', shape: sizes, values });
  const arrays = { ws: float32(ws, ...shape) };
  if (own) noise.forEach((values, i) => (arrays[`noise${i}`] = float32(values, 1, 1, ...about.noise[i])));
  if (z) {
    arrays.z = float32(z, 1, z.length);
    const { classes } = about.facts;
    if (classes) arrays.c = float32(Float32Array.from({ length: classes }, (_, i) => Number(i === picture.label)), 1, classes);
    arrays.seeds = { type: '<i8', shape: [1], values: BigInt64Array.of(BigInt(picture.seed)) };
    if (!picture.psis.length) arrays.truncation_psi = { type: '<f8', shape: [], values: Float64Array.of(picture.psi) };
  }
  arrays.network = { type: `<U${about.facts.key.length}`, shape: [], values: about.facts.key };
  return npzOf(arrays);
}
