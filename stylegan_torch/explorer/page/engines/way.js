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
  #still;
  /** The first that has the stored noise, which then stays. */

  /** Take the latents of key frames, when it is at each, in turns from 0, and how it goes on from each. */
  constructor(latents, starts, easing) {
    this.#latents = latents;
    this.#starts = [...starts, 1];
    this.#easing = EASINGS[easing];
    this.#still = latents.find(({ own }) => !own);
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
    return { ...from, ws, noise: this.#still ? this.#still.noise : from.noise.map((map, i) => slerp(map, to.noise[i], share)) };
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

const TINY = 2 ** -1022;
/** The smallest normal float64. */
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const without = (v, u, along = dot(v, u)) => v.map((value, i) => value - along * u[i]);

/** Return the direction of x, and its length. */
function polar(x) {
  const far = Math.sqrt(dot(x, x));
  return [Float64Array.from(x, (value) => value / Math.max(far, TINY)), far];
}

/** Return the axis along which u is the smallest. */
function axisOf(u) {
  const least = u.reduce((best, value, i) => (Math.abs(value) < Math.abs(u[best]) ? i : best), 0);
  return u.map((_, i) => Number(i === least));
}

/** Go from a to b along the great circle, their lengths linearly. */
function slerp(a, b, t) {
  if (a === b) return a;
  const [[u, long], [v, longer]] = [polar(a), polar(b)];
  const [rest, sine] = polar(without(v, u));
  const angle = t * Math.atan2(sine, dot(u, v));
  // With parallel ones any direction across will do. Where little is left of v, rounding leaves some of u in it.
  const [across] = polar(without(sine > 1e-12 ? rest : axisOf(u), u));
  const size = long + t * (longer - long);
  const [along, beside] = [size * Math.cos(angle), size * Math.sin(angle)];
  return Float32Array.from(u, (value, i) => along * value + beside * across[i]);
}
