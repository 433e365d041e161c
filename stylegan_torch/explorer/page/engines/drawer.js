/** The two models in onnxruntime-web: on a graphics card if that draws the same, on the processor otherwise. */
import { RandomState } from './random.js';
import { tablesOf } from './tables.js';

const CARDS = 'ort.webgpu.min.mjs';
const PROCESSOR = 'ort.wasm.min.mjs';
const THREADS = 4;
/** At most, where the host lets there be any (it must send COOP and COEP). */
const FEW = 1e-3;
/** Of the 8-bit values by WebGPU, so many may be further off than the command says, and these by 1. */
const ROUNDED = {
  truncate: (x) => Math.floor(Math.fround(Math.fround(x * 127.5) + 128)),
  unit: (x) => Math.floor(Math.fround(Math.fround(x * 255) + 0.5)),
  nearest: (x) => {
    const value = Math.fround(Math.fround(x * 127.5) + 127.5);
    const low = Math.floor(value);
    return value - low === 0.5 ? low + (low & 1) : Math.round(value); // half to even
  },
};

export class Drawer {
  #ort;
  #models;

  constructor(about, ort, models, where) {
    this.about = about;
    this.#ort = ort;
    this.#models = models;
    this.where = where;
  }

  /** Open the models; `files` are their bytes, `tables` have a picture to compare with, `stored` is the noise. */
  static async open(about, base, files, tables, stored) {
    if (about.runtime.includes(CARDS) && await hasCard()) {
      try {
        const drawer = await Drawer.#with(about, base, files, CARDS, 'webgpu');
        if (await drawer.drawsAlike(tables.check.values, stored).catch(() => false)) return drawer;
        await drawer.#close();
      } catch {
        // Whatever it is that this card cannot do, the processor can.
      }
    }
    return Drawer.#with(about, base, files, PROCESSOR, 'wasm');
  }

  static async #with(about, base, files, name, provider) {
    const ort = await import(new URL(`runtime/${name}`, base));
    ort.env.wasm.wasmPaths = new URL('runtime/', base).href;
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency) : 1;
    ort.env.logLevel = 'error';
    const open = (model) => ort.InferenceSession.create(model, { executionProviders: [provider] });
    const drawer = new Drawer(about, ort, {}, provider);
    try {
      for (const model of ['mapping', 'synthesis']) drawer.#models[model] = await open(files[model]);
      return drawer;
    } catch (error) {
      await drawer.#close();
      throw error;
    }
  }

  async #close() {
    for (const session of Object.values(this.#models)) await session.release();
  }

  async #run(model, inputs) {
    const { Tensor } = this.#ort;
    const given = Object.fromEntries(Object.entries(inputs).map(([name, [values, shape]]) => [name, new Tensor('float32', values, shape)]));
    const session = this.#models[model];
    const made = (await session.run(given))[session.outputNames[0]];
    return { shape: made.dims, values: await made.getData(true) };
  }

  /** Return w of z; label: a class, or null. */
  async map(z, label) {
    const { classes } = this.about.facts;
    const inputs = { z: [z, [1, z.length]] };
    if (classes) inputs.c = [Float32Array.from({ length: classes }, (_, i) => Number(i === label)), [1, classes]];
    return (await this.#run('mapping', inputs)).values;
  }

  /** Return a picture {width, height, channels, values} of 8 bits. */
  async draw({ ws, shape, noise }) {
    const inputs = { ws: [ws, shape] };
    (noise ?? []).forEach((values, i) => (inputs[`noise${i}`] = [values, [1, 1, ...this.about.noise[i]]]));
    const { shape: [, all, height, width], values: image } = await this.#run('synthesis', inputs);
    const channels = all > 4 ? 3 : all;
    const round = ROUNDED[this.about.rounding];
    const values = new Uint8ClampedArray(width * height * channels);
    const plane = width * height;
    for (let c = 0; c < channels; c += 1) for (let i = 0; i < plane; i += 1) values[i * channels + c] = round(image[c * plane + i]);
    return { width, height, channels, values };
  }

  /** Return whether the picture of seed 0, not truncated, is as it was when the page was made. */
  async drawsAlike(check, noise) {
    const { num_ws: rows, w_dim: size, z_dim: length } = this.about;
    const w = await this.map(new RandomState(0).randn(length), null);
    const ws = Float32Array.from({ length: rows * size }, (_, i) => w[i % size]);
    const { values } = await this.draw({ ws, shape: [1, rows, size], noise });
    const step = Math.ceil(values.length / check.length);
    const beyond = Array.from(check, (value, i) => Math.max(0, Math.abs(value - values[i * step]) - this.about.off));
    return beyond.every((by) => by <= 1) && beyond.filter(Boolean).length <= FEW * beyond.length;
  }
}

async function hasCard() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter;
}

/** Return the pixels of a picture, four values each. */
export function pixelsOf({ width, height, channels, values }) {
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  const places = { 1: [0, 0, 0], 2: [0, 0, 0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3] }[channels];
  for (let i = 0; i < width * height; i += 1) places.forEach((c, to) => (pixels[4 * i + to] = values[channels * i + c]));
  return new ImageData(pixels, width, height);
}

/** Loads files beside the page, and tells how much of what is expected is there. */
export class Loader {
  #base;
  #tell;
  #loaded = 0;

  constructor(base, expected, tell) {
    this.#base = base;
    this.expected = expected;
    this.#tell = tell;
  }

  async bytes(path) {
    const answer = await fetch(new URL(path, this.#base));
    if (!answer.ok) throw new Error(`${path} does not come: ${answer.status}`);
    const parts = [];
    const reader = answer.body.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      parts.push(read.value);
      this.#loaded += read.value.length;
      this.#tell(Math.min(1, this.#loaded / this.expected));
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }

  async tables(path) {
    return tablesOf((await this.bytes(path)).buffer);
  }
}
