/** Random numbers as numpy and PyTorch draw them, so that a seed is the same picture everywhere. */

const SIZE = 624;
const OTHER = 397;

/** The Mersenne twister MT19937 (Matsumoto and Nishimura 1998), seeded with one number. */
class Twister {
  #state = new Uint32Array(SIZE);
  #at = SIZE;

  constructor(seed) {
    this.#state[0] = seed;
    for (let i = 1; i < SIZE; i += 1) {
      const before = this.#state[i - 1];
      this.#state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
  }

  /** Return a whole number of 32 bits. */
  next() {
    if (this.#at === SIZE) this.#twist();
    let y = this.#state[this.#at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist() {
    const state = this.#state;
    for (let i = 0; i < SIZE; i += 1) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
      state[i] = state[(i + OTHER) % SIZE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }
}

/** `numpy.random.RandomState(seed)`. */
export class RandomState {
  #twister;
  #kept = null;

  constructor(seed) {
    this.#twister = new Twister(seed);
  }

  #double() {
    const high = this.#twister.next() >>> 5;
    return (high * 67108864 + (this.#twister.next() >>> 6)) / 9007199254740992;
  }

  #gauss() {
    if (this.#kept !== null) {
      const kept = this.#kept;
      this.#kept = null;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * this.#double() - 1;
      y = 2 * this.#double() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt(-2 * Math.log(square) / square);
    this.#kept = factor * x;
    return factor * y;
  }

  /** Return what `randn(count)` draws, as float32. */
  randn(count) {
    return Float32Array.from({ length: count }, () => this.#gauss());
  }
}

const BLOCK = 16;
/** So many numbers PyTorch makes at once; of fewer, each by itself. */

/** `torch.Generator().manual_seed(seed)` on the CPU; the last digit may differ, as PyTorch's own do between processors. */
export class TorchGenerator {
  #twister;
  #kept = null;

  constructor(seed) {
    this.#twister = new Twister(seed);
  }

  #double() {
    const high = this.#twister.next() & 0x1fffff;
    return (high * 4294967296 + this.#twister.next()) / 9007199254740992;
  }

  #single() {
    if (this.#kept !== null) {
      const kept = this.#kept;
      this.#kept = null;
      return kept;
    }
    const angle = 2 * Math.PI * this.#double();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#double()));
    this.#kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  #uniform(values) {
    for (let i = 0; i < values.length; i += 1) values[i] = (this.#twister.next() & 0xffffff) / 16777216;
  }

  /** Return what `torch.randn(count)` draws. */
  randn(count) {
    if (count < BLOCK) return Float32Array.from({ length: count }, () => this.#single());
    const values = new Float32Array(count);
    this.#uniform(values);
    for (let start = 0; start + BLOCK <= count; start += BLOCK) normal(values.subarray(start, start + BLOCK));
    if (count % BLOCK) {
      const last = values.subarray(count - BLOCK);
      this.#uniform(last);
      normal(last);
    }
    return values;
  }
}

/** Make uniform numbers normal, the first half with the second (Box and Muller 1958). */
function normal(block) {
  const half = BLOCK / 2;
  for (let i = 0; i < half; i += 1) {
    const radius = Math.sqrt(-2 * Math.log(1 - block[i]));
    const angle = 2 * Math.PI * block[i + half];
    block[i] = radius * Math.cos(angle);
    block[i + half] = radius * Math.sin(angle);
  }
}
