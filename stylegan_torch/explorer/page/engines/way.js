/** A closed way through pictures in W and in noise, as the library's films/trajectories.py goes it. */

const EASINGS = {
  linear: (t) => t,
  sine: (t) => (1 - Math.cos(Math.PI * t)) / 2,
  cubic: (t) => t ** 2 * (3 - 2 * t),
  quintic: (t) => t ** 3 * (10 + t * (6 * t - 15)),
};

export const EASED = Object.keys(EASINGS);

export class Way {
  #latents;
  #starts;
  #easing;
  #slopes;

  /** Take the latents of key frames, when it is at each, in turns from 0, and how it goes on from each. */
  constructor(latents, starts, easing) {
    this.#latents = latents;
    this.#starts = [...starts, 1];
    this.#easing = EASINGS[easing];
    this.#slopes = slopesOf(latents.map(({ ws }) => ws));
  }

  /** Return the latents after a share of the way. */
  at(turn) {
    const count = this.#latents.length;
    const t = turn - Math.floor(turn);
    const leg = Math.max(0, this.#starts.findLastIndex((start, i) => i < count && start <= t));
    const next = (leg + 1) % count;
    const share = this.#easing((t - this.#starts[leg]) / (this.#starts[leg + 1] - this.#starts[leg]));
    const [from, to] = [this.#latents[leg], this.#latents[next]];
    const [cube, square] = [share ** 3, share ** 2];
    const [m, n] = [this.#slopes[leg], this.#slopes[next]];
    const ws = from.ws.map((p, i) => (2 * cube - 3 * square + 1) * p + (3 * square - 2 * cube) * to.ws[i] + (cube - 2 * square + share) * m[i] + (cube - square) * n[i]);
    const own = this.#latents.every((each) => each.own);
    return { ...from, ws, noise: own ? from.noise.map((map, i) => slerp(map, to.noise[i], share)) : from.noise };
  }
}

/** Return the slopes of the periodic cubic spline through points: m[i-1] + 4·m[i] + m[i+1] = 3·(p[i+1] - p[i-1]). */
function slopesOf(points) {
  const count = points.length;
  const all = [...Array(count).keys()];
  // The matrix is circulant, and so is its inverse, whose first row the Fourier transform gives.
  const inverse = all.map((j) => all.reduce((sum, f) => sum + Math.cos(2 * Math.PI * f * j / count) / (4 + 2 * Math.cos(2 * Math.PI * f / count)), 0) / count);
  const right = all.map((i) => Float64Array.from(points[i], (_, k) => 3 * (points[(i + 1) % count][k] - points[(i + count - 1) % count][k])));
  return all.map((i) => {
    const slope = new Float64Array(points[i].length);
    for (const j of all) {
      const weight = inverse[(i - j + count) % count];
      right[j].forEach((value, k) => (slope[k] += weight * value));
    }
    return slope;
  });
}

const length = (x) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

/** Go from a to b along the great circle, their lengths linearly. */
function slerp(a, b, t) {
  const [long, longer] = [length(a), length(b)];
  if (a === b || !long || !longer) return a.map((value, i) => value + t * (b[i] - value));
  const u = Float64Array.from(a, (value) => value / long);
  const cosine = u.reduce((sum, value, i) => sum + value * b[i] / longer, 0);
  const across = u.map((value, i) => b[i] / longer - cosine * value);
  const sine = length(across);
  if (sine < 1e-12) return a.map((value, i) => value + t * (b[i] - value));
  const angle = t * Math.atan2(sine, cosine);
  const [along, beside, size] = [Math.cos(angle), Math.sin(angle) / sine, long + t * (longer - long)];
  return Float32Array.from(u, (value, i) => size * (along * value + beside * across[i]));
}
