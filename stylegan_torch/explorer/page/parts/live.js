/** Live: the picture wanders by itself, follows a sound, and hears OSC. */
import { fold, make, recall, remember, round, say } from '../dom.js';
import { Sound } from '../sound.js';
import { hasDirection, moved, strengthOf } from '../state.js';
import { slider } from './slider.js';

const WANDERED = 6;
/** So many directions it wanders along at once, each with a pace of its own. */
const PACES = [0.31, 0.23, 0.37, 0.19, 0.29, 0.41];
/** In turns a second, at full speed. */
const MOST = 6;
const PATIENCE = 1000;
/** Milliseconds without sound until that is told. */
const BANDS = { low: 'Low', middle: 'Middle', high: 'High' };

export function livePart(studio, section) {
  const { store, facts } = studio;
  const key = `studio-live-${facts.key}`;
  const first = facts.directions[0];
  const usual = { reach: 1.5, walk: 0.5, beats: false, low: [first.name, 0, 2], middle: [first.name, Math.min(1, first.count - 1), 2], high: [first.name, Math.min(2, first.count - 1), 2] };
  const settings = { ...usual, ...recall(key, {}) };
  for (const name of Object.keys(BANDS)) if (!hasDirection(facts, ...settings[name])) settings[name] = usual[name];
  const change = (fields) => remember(key, Object.assign(settings, fields));
  let speed = 0;
  let sound = null;
  let phase = 0;
  let added = new Map();
  /** By direction, what is added to its strength at the moment. */

  const pace = slider({ label: 'Wander', min: 0, max: 1, step: 0.01, live: (value) => value !== null && ((speed = value), begin()) });
  const reach = slider({ label: 'How far', min: 0, max: 4, step: 0.1, neutral: 1.5, live: (value) => value !== null && change({ reach: value }) });
  reach.set(settings.reach);
  const sources = { off: 'No sound', ...(navigator.mediaDevices ? { microphone: 'Microphone' } : {}), file: 'A sound file' };
  const source = make('select', { id: 'sound', onchange: () => listen(source.value) }, ...Object.entries(sources).map(([value, text]) => make('option', { value }, text)));
  const chooser = make('input', { type: 'file', id: 'sound-file', accept: 'audio/*,video/*', className: 'unseen', tabIndex: -1, 'aria-label': 'Sound file', onchange: () => chooser.files[0] && hear(() => Sound.file(chooser.files[0])) });
  chooser.addEventListener('cancel', () => !sound && quiet());
  const meters = Object.fromEntries([...Object.keys(BANDS), 'all'].map((name) => [name, make('meter', { min: 0, max: 1, value: 0, 'aria-label': `How loud: ${BANDS[name] ?? 'all'}` })]));
  const choosers = Object.fromEntries(Object.keys(BANDS).map((name) => [name, make('select', { 'aria-label': `${BANDS[name]} sounds move`, onchange: (event) => change({ [name]: [...JSON.parse(event.target.value), settings[name][2]] }) })]));
  const amount = (label, value, live) => make('input', { type: 'number', min: -MOST, max: MOST, step: 0.1, value, 'aria-label': label, oninput: ({ target }) => Number.isFinite(target.valueAsNumber) && live(Math.max(-MOST, Math.min(MOST, target.valueAsNumber))) });
  const bands = Object.entries(BANDS).map(([name, text]) => make('div', { className: 'band-row' }, make('span', {}, text), meters[name], choosers[name],
    amount(`How much ${text.toLowerCase()} sounds move it`, settings[name][2], (value) => change({ [name]: [...settings[name].slice(0, 2), value] }))));
  const all = make('div', { className: 'band-row' }, make('span', {}, 'All'), meters.all, make('span', { className: 'note' }, 'wanders faster'), amount('How much faster it wanders', settings.walk, (value) => change({ walk: value })));
  const beats = make('input', { type: 'checkbox', id: 'beats', checked: settings.beats, onchange: () => change({ beats: beats.checked }) });
  const asleep = make('p', { className: 'note', role: 'status' });
  const followed = make('div', { hidden: true }, asleep, ...bands, all,
    facts.noises.length > 1 ? make('div', { className: 'line' }, beats, make('label', { for: 'beats' }, 'new noise at every beat')) : null);
  const follow = make('input', { type: 'checkbox', id: 'osc', checked: true });
  const said = make('span', { className: 'note', id: 'osc-said' });
  const osc = facts.osc ? make('div', { className: 'line osc' }, follow, make('label', { for: 'osc' }, `OSC at ${facts.osc}`), said) : null;
  fold(section, 'Live', 'by itself, to a sound, by OSC', pace.element, reach.element,
    make('div', { className: 'line', 'data-field': 'Sound' }, make('label', { for: 'sound' }, 'It follows'), source, chooser), followed, osc);

  function listen(what) {
    quiet(what);
    if (what === 'microphone') hear(() => Sound.microphone());
    if (what === 'file') chooser.click();
  }
  async function hear(opened) {
    try {
      const found = await opened();
      sound?.stop();
      sound = found;
      followed.hidden = false;
      begin();
    } catch (error) {
      quiet();
      studio.tell(error.message, 'Sound');
    }
  }
  function quiet(value = 'off') {
    sound?.stop();
    sound = null;
    source.value = value;
    chooser.value = '';
    followed.hidden = true;
  }

  let last = 0;
  let awake = 0;
  /** When it was last heard, or not waited for. */
  let running = 0;
  function begin() {
    if (running) return;
    last = awake = performance.now();
    running = requestAnimationFrame(tick);
  }
  function tick(now) {
    running = 0;
    if (!speed && !sound) {
      added = new Map(); // the picture stays as it is
      return;
    }
    if (!sound?.sleeps) awake = now;
    say(asleep, now - awake > PATIENCE ? 'Nothing is heard yet: press anywhere, if the browser waits for that.' : '');
    const beat = sound?.listen(now) ?? false;
    const levels = sound?.levels ?? { all: 0 };
    phase += Math.min(0.1, (now - last) / 1000) * (speed + Math.max(0, settings.walk) * levels.all * (sound ? 1 : 0));
    last = now;
    for (const [name, meter] of Object.entries(meters)) meter.value = levels[name] ?? 0;
    let next = store.state;
    const wanted = new Map();
    const add = (directions, index, value) => wanted.set(`${directions}:${index}`, { directions, index, value: (wanted.get(`${directions}:${index}`)?.value ?? 0) + value });
    PACES.slice(0, Math.min(WANDERED, first.count)).forEach((each, i) => add(first.name, i, settings.reach * Math.sin(2 * Math.PI * each * phase)));
    if (sound) for (const name of Object.keys(BANDS)) add(...settings[name].slice(0, 2), settings[name][2] * levels[name]);
    for (const [name, each] of added) if (!wanted.has(name)) wanted.set(name, { ...each, value: 0 });
    for (const [name, { directions, index, value }] of wanted) {
      const own = round(strengthOf(next, directions, index) - (added.get(name)?.value ?? 0), 3);
      const strength = round(Math.max(-MOST, Math.min(MOST, own + value)), 3);
      added.set(name, { directions, index, value: strength - own });
      next = moved(next, directions, index, strength);
    }
    if (beat && settings.beats) next = { ...next, noise: 'random', noise_seed: (next.noise_seed + 1) % 1e6 };
    store.change(next);
    running = requestAnimationFrame(tick);
  }

  function settled() {
    for (const [name, chooser_] of Object.entries(choosers)) {
      chooser_.replaceChildren(...studio.directionNames().map(({ directions, index, name: text }) => make('option', { value: JSON.stringify([directions, index]) }, text)));
      chooser_.value = JSON.stringify(settings[name].slice(0, 2));
    }
  }
  function heard(controls) {
    said.textContent = Object.entries(controls).map(([name, value]) => `${name} ${typeof value === 'number' ? round(value, 3) : value}`).join(', ');
    return follow.checked;
  }
  settled();
  return { update: () => {}, settled, heard, close: () => (cancelAnimationFrame(running), (running = 1), quiet()) };
}
