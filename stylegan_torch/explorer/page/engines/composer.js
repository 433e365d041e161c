/** From pictures, as fields.js reads them, to ws and noise, in the same steps and the same float32 as the library's composer. */
import { Problem } from './problem.js';
import { RandomState, TorchGenerator } from './random.js';

const KEPT = 100;
/** So many w of seeds. */
const NO_AVERAGE = 'this network has no average w, so it can\'t be truncated: truncation must be 1';
const { fround } = Math;

/** Between two numbers, as `torch.lerp`. */
function lerp(from, to, share) {
  const way = fround(to - from);
  return share < 0.5 ? fround(from + fround(share * way)) : fround(to - fround(way * fround(1 - share)));
}

export class Composer {
  #about;
  #tables;
  #map;
  #stored;
  #kept = new Map();
  #noise = { key: null, maps: null };

  /** Take what network.json says, the tables, a function (z, label) → w, and the stored noise maps, or null. */
  constructor(about, tables, map, stored) {
    this.#about = about;
    this.#tables = tables;
    this.#map = map;
    this.#stored = stored;
  }

  /** Return {ws, noise, own}: noise maps in layer order; own: whether these are not the stored ones; z, if it still tells. */
  async compose(picture) {
    const { num_ws: rows, w_dim: size } = this.#about;
    const start = picture.base ? ofBase(picture.base, picture.row ?? 0) : { ws: await this.#wsOf(picture.seed, picture), noise: null };
    const ws = start.ws.slice();
    for (const { seed, rows: chosen } of picture.mixes) {
      const other = await this.#wsOf(seed, picture);
      for (const row of chosen) ws.set(other.subarray(row * size, (row + 1) * size), row * size);
    }
    for (const move of picture.moves) this.#move(ws, move);
    const own = await this.#noiseOf(picture, start.noise);
    const changed = picture.mixes.length > 0 || picture.moves.length > 0;
    const z = picture.base || changed ? null : this.z(picture.seed);
    return { ws, shape: [1, rows, size], z, noise: own ?? this.#stored, own: own !== null };
  }

  z(seed) {
    return new RandomState(seed).randn(this.#about.z_dim);
  }

  async #w(seed, label) {
    const key = `${seed} ${label}`;
    const w = this.#kept.get(key) ?? await this.#map(this.z(seed), label);
    this.#kept.delete(key);
    this.#kept.set(key, w);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value);
    return w;
  }

  /** Return the ws of a seed, truncated. */
  async #wsOf(seed, { psi, psis, label }) {
    const { num_ws: rows, w_dim: size, cutoff } = this.#about;
    const shares = Array.from({ length: rows }, (_, row) => (cutoff === null || row < cutoff ? psi : 1));
    for (const each of psis) for (const row of each.rows) shares[row] = each.psi;
    const average = this.#tables.w_avg?.values;
    if (!average && shares.some((each) => each !== 1)) throw new Problem({ field: 'Truncation', line: NO_AVERAGE });
    const w = await this.#w(seed, label);
    const ws = new Float32Array(rows * size);
    shares.forEach((share, row) => {
      const part = ws.subarray(row * size, (row + 1) * size);
      if (share === 1) part.set(w);
      else w.forEach((value, i) => (part[i] = lerp(average[i], value, fround(share))));
    });
    return ws;
  }

  #move(ws, { kind, index, strength, rows }) {
    const size = this.#about.w_dim;
    const vector = this.#tables[`directions${kind}.vectors`].values.subarray(index * size, (index + 1) * size);
    const far = fround(fround(strength) * this.#tables[`directions${kind}.scales`].values[index]);
    for (const row of rows) for (let i = 0; i < size; i += 1) ws[row * size + i] += fround(far * vector[i]);
  }

  /** Return the noise of a picture, null for the stored maps; that of latents is what they have. */
  #noiseOf({ seed, base, noise, noiseSeed }, brought) {
    const { noise: sizes, seeded_noise: seeded, z_dim: before } = this.#about;
    if (!sizes.length || noise === 'const') return null;
    if (base && noise === 'official') return brought;
    if (noise === 'official' && !seeded) return null;
    const key = noise === 'official' ? `${seed}` : `${noise} ${noiseSeed}`;
    if (this.#noise.key !== key) {
      const generator = noise === 'official' ? new RandomState(seed) : new TorchGenerator(noiseSeed);
      if (noise === 'official') generator.randn(before); // z is drawn first
      const draw = (count) => (noise === 'none' ? new Float32Array(count) : generator.randn(count));
      this.#noise = { key, maps: sizes.map(([height, width]) => draw(height * width)) };
    }
    return this.#noise.maps;
  }
}

/** Return a row of latents that were brought. */
function ofBase({ ws, size, noise }, row) {
  return {
    ws: ws.subarray(row * size, (row + 1) * size),
    noise: noise.length ? noise.map(({ values, count }) => (values.length > count ? values.subarray(row * count, (row + 1) * count) : values)) : null,
  };
}
