/**
 * Draws for the engine of onnx.js, one thing after the other: the newest wish first, in a moment of calm it is whole, then
 * small pictures. It hears {draw, id} or {play, at, id}, {thumbnails, group} and {ask, id, …}, and says {kind, …}.
 */
import { crc32, utf8 } from './bytes.js';
import { commandsOf, lineOf } from './command.js';
import { Composer } from './composer.js';
import { Drawer, Loader, pixelsOf } from './drawer.js';
import { readFilm, readPicture } from './fields.js';
import { fileOf, latentsOf } from './latents.js';
import { pngOf } from './png.js';
import { Problem } from './problem.js';
import { Way } from './way.js';

const CALM = 150;
/** So many milliseconds without a wish, and the picture is whole. */
const SLOW = 400;
/** Milliseconds of a picture beyond which small ones wait for calm twice as long, as none can be broken off. */
const THUMBNAIL = 96;
/** Largest side of a thumbnail. */
const MOST_BROUGHT = 50;

const wishes = { newest: null, shown: null, settled: null };
const asked = [];
const groups = new Map();
const brought = new Map();
let opened = null;
let fastest = Infinity;
/** Milliseconds that a picture takes, at best. */
let wake = () => {};
let last = { state: null };
/** What was drawn last, so that the same need not be drawn again. */
let played = { film: null };
/** The film that was played last, and its way. */

onmessage = ({ data }) => {
  if (data.open) opened = open(data.about, data.open).then(work, fail);
  else if (data.draw || data.play) wishes.newest = data;
  else if (data.thumbnails) groups.set(data.group, data.thumbnails);
  else asked.push(data);
  wake(true);
};

function fail(error) {
  console.warn(error);
  postMessage({ kind: 'failed', line: `The network cannot be opened here: ${error.message}` });
}

async function open(about, base) {
  let told = 0;
  const loader = new Loader(base, about.bytes, (share) => {
    if (performance.now() - told < 200) return;
    told = performance.now();
    postMessage({ kind: 'loading', share });
  });
  const [tables, maps, mapping, synthesis] = await Promise.all([
    loader.tables('network/tables.safetensors'), about.noise.length ? loader.tables('network/noise.safetensors') : null,
    loader.bytes('network/mapping.onnx'), loader.bytes('network/synthesis.onnx'),
  ]);
  const stored = maps && about.noise.map((_, i) => maps[`noise${i}`].values);
  const drawer = await Drawer.open(about, base, { mapping, synthesis }, tables, stored);
  postMessage({ kind: 'opened', where: drawer.where });
  return { about, drawer, composer: new Composer(about, tables, (z, label) => drawer.map(z, label), stored) };
}

/** Let what was said be heard: there is no other way than to end a task. */
const heard = new MessageChannel();
const listen = () => new Promise((done) => {
  heard.port1.onmessage = done;
  heard.port2.postMessage(null);
});

/** Wait for news, at most so long; returns whether there was any. */
const news = (milliseconds) => new Promise((done) => {
  const timer = milliseconds && setTimeout(() => done(false), milliseconds);
  wake = (any) => {
    clearTimeout(timer);
    done(any);
  };
});

async function work(studio) {
  for (;;) {
    await listen();
    const { newest, shown, settled } = wishes;
    const group = [...groups.keys()].find((each) => groups.get(each).length);
    if (asked.length) await answer(studio, asked.shift());
    else if (newest !== shown) await glimpse(studio, newest);
    else if (newest !== settled) await settle(studio, newest);
    else if (group === undefined) await news();
    else if (fastest < SLOW || !(await news(2 * fastest))) await sketch(studio, group);
  }
}

function baseOf(key) {
  const found = brought.get(key);
  if (!found) throw new Problem({ line: 'Latents: they are no longer here: bring the file again' });
  return found;
}

const pictureOf = ({ about }, state) => readPicture(state, about, baseOf);

/** Return the image of a film after a share of it. */
async function moment({ about, composer, drawer }, film, at) {
  const text = JSON.stringify(film);
  if (played.film !== text) {
    const { pictures, starts, easing } = readFilm(film, about, baseOf);
    const latents = [];
    for (const each of pictures) latents.push(await composer.compose(each));
    played = { film: text, way: new Way(latents, starts, easing) };
  }
  return drawer.draw(played.way.at(at));
}

/** Return the picture of a state: its fields, latents and pixels. */
async function draw(studio, state) {
  const text = JSON.stringify(state);
  if (last.state === text) return last;
  last = { state: text, ...(await drawNew(studio, state)) };
  return last;
}

async function drawNew(studio, state) {
  const picture = pictureOf(studio, state);
  const start = performance.now();
  const latents = await studio.composer.compose(picture);
  const image = await studio.drawer.draw(latents);
  fastest = Math.min(fastest, performance.now() - start);
  return { picture, latents, image };
}

const problem = (error) => {
  if (!(error instanceof Problem)) console.warn(error);
  return { field: error.field ?? null, line: error.message, away: false };
};

async function glimpse(studio, wish) {
  wishes.shown = wish;
  try {
    const image = wish.play ? await moment(studio, wish.play, wish.at) : (await draw(studio, wish.draw)).image;
    if (wish.play) wishes.settled = wish; // it is never whole
    const pixels = pixelsOf(image);
    postMessage({ kind: 'frame', id: wish.id, whole: false, blob: pixels }, [pixels.data.buffer]);
  } catch (error) {
    wishes.settled = wish;
    postMessage({ kind: 'error', id: wish.id, ...problem(error) });
  }
}

async function settle(studio, wish) {
  if (await news(CALM)) return;
  wishes.settled = wish;
  const { image, picture } = await draw(studio, wish.draw);
  const pixels = pixelsOf(image);
  const commands = commandsOf(picture, studio.about, stemOf(picture, studio.about));
  postMessage({ kind: 'frame', id: wish.id, whole: true, commands, blob: pixels }, [pixels.data.buffer]);
}

async function sketch(studio, group) {
  const { key, state } = groups.get(group).shift();
  let blob = new Blob();
  try {
    const pixels = pixelsOf((await drawNew(studio, state)).image);
    const scale = Math.min(1, THUMBNAIL / Math.max(pixels.width, pixels.height));
    const canvas = new OffscreenCanvas(Math.round(pixels.width * scale), Math.round(pixels.height * scale));
    const bitmap = await createImageBitmap(pixels, { resizeWidth: canvas.width, resizeHeight: canvas.height, resizeQuality: 'high' });
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    bitmap.close();
    blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
  } catch (error) {
    problem(error);
  }
  postMessage({ kind: 'thumbnail', group, key, blob });
}

/** Return a name for a picture's files: another picture's is another. */
function stemOf(picture, about) {
  const start = picture.base ? picture.base.name.replace(/\.[^.]*$/, '') : `seed${String(picture.seed).padStart(4, '0')}`;
  const digest = crc32(utf8(lineOf(picture, about))).toString(16).padStart(8, '0').slice(0, 6);
  return `${start}-${digest}`.replace(/[^\w.-]/g, '_');
}

/** Return a text of JSON as PNG's tEXt can hold it. */
const ascii = (text) => text.replace(/[^\0-\x7f]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);

const ANSWERS = {
  async picture(studio, { state }) {
    const { about } = studio;
    const { picture, image } = await draw(studio, state);
    const name = stemOf(picture, about);
    const said = { network: about.facts.origin, commands: commandsOf(picture, about, name), version: about.version, state };
    const file = await pngOf(image, { Software: about.creator, 'stylegan-torch': ascii(JSON.stringify(said)) }, about.xmp);
    return { name: `${name}.png`, blob: new Blob([file], { type: 'image/png' }) };
  },

  async latents(studio, { state }) {
    const { picture, latents } = await draw(studio, state);
    return { name: `${stemOf(picture, studio.about)}.npz`, blob: new Blob([fileOf(picture, latents, studio.about)]) };
  },

  async bring({ about }, { file }) {
    const latents = await latentsOf(file, about);
    const key = crypto.getRandomValues(new Uint32Array(4)).join('');
    brought.set(key, latents);
    if (brought.size > MOST_BROUGHT) brought.delete(brought.keys().next().value);
    return { latents: key, name: latents.name, rows: latents.rows };
  },
};

async function answer(studio, { ask, id, ...given }) {
  try {
    postMessage({ kind: 'answer', id, found: await ANSWERS[ask](studio, given) });
  } catch (error) {
    postMessage({ kind: 'answer', id, problem: problem(error) });
  }
}
