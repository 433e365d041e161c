/** The page: one state, one engine that draws it, and parts that show and change it. */
import { controlled } from './controls.js';
import { byId, make, recall, remember, save } from './dom.js';
import { chosenEngine } from './engines/chosen.js';
import { againPart } from './parts/again.js';
import { blendPart } from './parts/blend.js';
import { directionsPart } from './parts/directions.js';
import { dragPart } from './parts/drag.js';
import { filmPart } from './parts/film.js';
import { historyPart } from './parts/history.js';
import { layersPart } from './parts/layers.js';
import { livePart } from './parts/live.js';
import { mixingPart } from './parts/mixing.js';
import { noisePart } from './parts/noise.js';
import { padPart } from './parts/pad.js';
import { photographPart } from './parts/photograph.js';
import { placePart } from './parts/place.js';
import { recordPart } from './parts/record.js';
import { seedsPart } from './parts/seeds.js';
import { Stage } from './parts/stage.js';
import { truncationPart } from './parts/truncation.js';
import { stateOfPicture } from './pictures.js';
import { complete, readAddress, Store, written } from './state.js';
import { Thumbnails } from './thumbnails.js';

const engine = await chosenEngine().catch(({ message }) => {
  byId('status').textContent = message;
  byId('status').classList.add('wrong');
  return new Promise(() => {}); // without an engine nothing goes on
});
const stage = new Stage();
const store = new Store(readAddress(location.hash));
const broughtFiles = new Map();
const studio = {
  engine, store, stage, facts: null, thumbs: new Thumbnails(engine),
  mixIn: () => {}, directionNames: () => [], renamed: () => parts.forEach((each) => each.settled?.()),
  brought: (key) => broughtFiles.get(key), copy, tell, begin, play, offer, back: () => engine.draw(store.state),
};
const PARTS = [
  [mixingPart, 'mixing'], [blendPart, 'blend', 'blend'], [directionsPart, 'directions'], [padPart, 'pad'],
  [dragPart, 'drag', 'drag'], [truncationPart, 'truncation'], [noisePart, 'noise'], [placePart, 'place', 'place'],
  [layersPart, 'layers', 'layers'], [photographPart, 'photograph', 'project'], [filmPart, 'film', 'play'],
  [recordPart, 'recordings'], [livePart, 'live'], [seedsPart, 'seeds'],
];
/** Parts, where they are, and what the engine must be able to do for them; the seeds are the last. */
let parts = [];
const history = historyPart(studio, byId('history'));
const again = againPart(studio, byId('again'));
const UNLIKE = { latents: null, row: 0, class: null, mixes: [], moves: [], psis: [], bends: [], translate: [0, 0], rotate: 0, blend: null };
/** What of a state no other network has. */
const LETTERS = 'studio-letters';
/** Whether keys of one letter act, in local storage. */
const AGAIN = 1000;
/** Milliseconds until it asks again of a network. */

/** Show a network, if it is still the one that is wanted when it is known. */
async function open(network) {
  let facts;
  try {
    facts = await engine.about(network);
  } catch (error) {
    if (network === opened) notOpened(network, error);
    return;
  }
  if (network !== opened) return;
  if (JSON.stringify(facts) !== JSON.stringify(studio.facts)) makeParts(facts);
  byId('network').value = facts.network;
  refresh();
  engine.draw(store.state);
}

let reopening = 0;
/** Ask again if the server is away; take the first network if there is no such one. */
function notOpened(network, error) {
  clearTimeout(reopening);
  if (error.away) reopening = setTimeout(() => network === opened && open(network), AGAIN);
  if (error.away || network === null) tell(error.message, error.field);
  else {
    store.change({ network: null, ...UNLIKE });
    tell(`${error.message}. This is the first network.`, null, false);
  }
}

/** Make the parts anew for a network. */
function makeParts(facts) {
  for (const each of parts) each.close?.();
  studio.facts = facts;
  byId('facts').textContent = `${facts.origin.name ?? facts.network} · ${facts.resolution} px · ${facts.layers.length} layers`;
  const names = facts.networks;
  byId('network-field').hidden = names.length < 2;
  byId('network').replaceChildren(...names.map((name) => make('option', { value: name }, name)));
  const made = PARTS.filter(([, id, needs]) => !(byId(id).hidden = needs && !engine.can[needs]));
  parts = made.map(([part, id]) => part(studio, byId(id)));
}

let opened = null;
function change() {
  offer(null);
  const { network } = store.state;
  if (network !== opened) {
    opened = network;
    open(network);
    return;
  }
  refresh();
  engine.draw(store.state);
}

function refresh() {
  clearProblems();
  for (const each of parts) each.update();
  buttons();
}

function buttons() {
  byId('undo').disabled = !store.canUndo;
  byId('redo').disabled = !store.canRedo;
}

/** Offer the files of a state, or none while something else is on the way. */
function offer(state, line = '') {
  for (const id of ['download-png', 'download-npz']) byId(id).disabled = state === null;
  again.show(line);
}

/** Show a moment of a film; what can be downloaded is of the state. */
function play(film, at) {
  offer(null);
  engine.play(film, at);
}

async function frame({ detail }) {
  if (!(await stage.show(detail))) return;
  for (const each of parts) each.shown?.(detail);
  if (!detail.whole || detail.state !== store.state) return;
  offer(detail.state, detail.commands);
  clearProblems();
  store.settle(detail.state);
  window.history.replaceState(null, '', written(detail.state) === '{}' ? location.pathname : `#${encodeURIComponent(written(detail.state))}`);
  history.keep(detail.state, stage.thumbnail());
  for (const each of parts) each.settled?.();
  buttons();
}

let hushing = 0;
function tell(line, field = null, wrong = true) {
  const status = byId('status');
  status.textContent = line;
  status.classList.toggle('wrong', wrong && line !== '');
  clearTimeout(hushing);
  if (!wrong) hushing = setTimeout(() => tell(''), 8000);
  if (!field) return;
  for (const each of document.querySelectorAll('[data-field]')) {
    if (each.dataset.field !== field) continue;
    each.classList.add('wrong');
    for (const input of each.querySelectorAll('input, select')) input.setAttribute('aria-invalid', 'true');
  }
}

function clearProblems() {
  if (byId('status').classList.contains('wrong')) tell('');
  for (const each of document.querySelectorAll('.wrong[data-field]')) each.classList.remove('wrong');
  for (const each of document.querySelectorAll('[aria-invalid]')) each.removeAttribute('aria-invalid');
}

async function copy(text, line) {
  try {
    await navigator.clipboard.writeText(text);
    tell(line, null, false);
  } catch {
    tell('This browser lets nothing be copied here: select the text yourself.');
  }
}

async function download(make_) {
  const { state } = stage.shown;
  try {
    const { name, blob } = await make_(state);
    save(name, blob);
  } catch (error) {
    tell(error.message, error.field);
  }
}

/** Take up latents for pictures to begin with, if their network is still the one that is shown. */
function begin(about, network) {
  if (network !== store.state.network) return;
  broughtFiles.set(about.latents, about);
  store.change({ latents: about.latents, row: 0, mixes: [], moves: [], noise: 'official' });
}

async function bring(file) {
  try {
    if (/\.json$/i.test(file.name)) {
      await part('openRecording')?.openRecording(file);
      return;
    }
    if (/\.(npz|npy)$/i.test(file.name)) {
      const { network } = store.state;
      begin(await engine.bring(file, network), network);
      return;
    }
    const state = await stateOfPicture(file);
    if (state) store.change(complete(state));
    else {
      parts.find((each) => each.take)?.take(file);
      const way = engine.can.project ? ': below, it can be projected as a photograph.' : '.';
      tell(`${file.name} does not say how it was made${way}`, null, false);
    }
  } catch (error) {
    tell(error.message, error.field);
  }
}

function hold(on = !stage.held) {
  if (!stage.shown) return;
  stage.hold(on);
  byId('compare').setAttribute('aria-pressed', on);
}

const part = (name) => parts.find((each) => name in each);
const dice = () => store.change({ seed: Math.floor(Math.random() * 1e6), latents: null, row: 0 });
const keys = {
  r: dice, a: () => hold(), f: () => stage.full(), '?': () => byId('help-text').showModal(),
  k: () => part('addKey')?.addKey(), p: () => part('addKey')?.toggle(),
  '[': () => parts.at(-1)?.step(-1), ']': () => parts.at(-1)?.step(1),
};

const actions = {
  dice, undo: () => store.undo(), redo: () => store.redo(), key: keys.k, play: keys.p, record: () => byId('record').click(),
};

/** Do what is said to the controls from elsewhere. */
function control({ detail }) {
  if (!part('heard')?.heard(detail)) return;
  const { network, ...others } = detail;
  let next = store.state;
  if (network !== undefined && network !== next.network && studio.facts.networks.includes(network)) next = { ...next, network, ...UNLIKE };
  for (const [name, value] of Object.entries(others)) {
    if (!name.startsWith('do:')) next = controlled(next, studio.facts, name, value);
  }
  store.change(next);
  for (const [name, value] of Object.entries(others)) if (name.startsWith('do:') && value > 0) actions[name.slice(3)]?.();
}

store.addEventListener('change', change);
store.addEventListener('settled', buttons);
engine.addEventListener('frame', frame);
engine.addEventListener('controls', control);
engine.addEventListener('problem', ({ detail }) => tell(stage.shown ? `${detail.line}. The picture is the one before.` : detail.line, detail.field));
engine.addEventListener('away', ({ detail }) => tell(`${detail.reason || 'The server does not answer'}. Trying again …`));
engine.addEventListener('loading', ({ detail }) => tell(`Loading the network: ${Math.round(100 * detail.share)} %`, null, false));
engine.addEventListener('opened', () => tell(''));
engine.addEventListener('back', () => {
  tell('');
  open(opened);
});
byId('dice').addEventListener('click', dice);
byId('undo').addEventListener('click', () => store.undo());
byId('redo').addEventListener('click', () => store.redo());
byId('compare').addEventListener('click', () => hold());
byId('help').addEventListener('click', keys['?']);
byId('link').addEventListener('click', () => copy(new URL(`#${encodeURIComponent(written(store.state))}`, location.href).href, 'The link is copied.'));
byId('download-png').addEventListener('click', () => download(engine.picture));
byId('download-npz').addEventListener('click', () => download(engine.latents));
byId('network').addEventListener('change', () => store.change({ network: byId('network').value, ...UNLIKE }));
byId('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address is the state's
  byId('panel').focus();
});
byId('letters').checked = recall(LETTERS, true);
byId('letters').addEventListener('change', () => remember(LETTERS, byId('letters').checked));
addEventListener('hashchange', () => {
  const state = location.hash ? readAddress(location.hash) : {};
  if (state) store.change(complete(state));
});
addEventListener('keydown', (event) => {
  const typing = event.target.matches?.('input:not([type=range]):not([type=radio]), select, textarea, [contenteditable]');
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'z' && !typing) {
    event.preventDefault();
    if (event.shiftKey) store.redo();
    else store.undo();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !typing && !document.querySelector('dialog[open]')) {
    const act = byId('letters').checked && keys[event.key.toLowerCase()];
    if (act) event.preventDefault(), act();
  }
});
addEventListener('dragover', (event) => {
  event.preventDefault();
  byId('frame').classList.add('drop');
});
addEventListener('dragleave', () => byId('frame').classList.remove('drop'));
addEventListener('drop', (event) => {
  event.preventDefault();
  byId('frame').classList.remove('drop');
  for (const file of event.dataTransfer.files) bring(file);
});
addEventListener('paste', (event) => {
  if (event.target.matches?.('input, textarea')) return;
  for (const file of event.clipboardData.files) bring(file);
  const text = event.clipboardData.getData('text').trim();
  const state = readAddress(text.includes('#') ? text.slice(text.indexOf('#')) : encodeURIComponent(text));
  if (state) store.change(complete(state));
});

opened = store.state.network;
open(opened);
