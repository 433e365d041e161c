/** Recordings: what was shown, and when; played again, as a film, and as JSON. */
import { byId, fold, make, refill, round, save } from '../dom.js';
import { canRecord, Recorder } from '../recorder.js';
import { compact, complete, isState } from '../state.js';

const MOST = 20_000;
/** Pictures of a recording. */
const FORM = 'recording';
/** A file is {"stylegan-torch": FORM, seconds, films, shown: [{at, state} or {at, film, turn}, …]}; at = in seconds. */

let takes = [];
/** Those of this visit, whatever network is shown: {name, seconds, films, shown, film}. */
let count = 0;

export function recordPart(studio, section) {
  const { store, stage } = studio;
  const button = byId('record');
  let running = null;
  let replaying = null;
  const list = make('div', { className: 'takes', role: 'list' });
  const empty = make('p', { className: 'note' }, 'Press ● and go for a walk: what is shown is kept, with its times, until you leave the page.');
  const chooser = make('input', { type: 'file', id: 'take-file', accept: '.json,application/json', className: 'unseen', onchange: () => chooser.files[0] && open(chooser.files[0]) });
  const details = fold(section, 'Recordings', 'what one does', empty, list,
    make('div', { className: 'line' }, make('span', { className: 'push' }), chooser, make('label', { for: 'take-file', className: 'button' }, 'Open a recording')));

  const seconds = () => round((performance.now() - running.start) / 1000, 3);
  function start() {
    stopReplay();
    running = { start: performance.now(), films: [], shown: [], recorder: canRecord() ? new Recorder(stage.canvas) : null };
    note(stage.shown?.state ? { state: stage.shown.state } : { state: store.state });
    marked();
  }
  async function stop() {
    const { films, shown: pictures, recorder } = running;
    const take = { name: `recording-${++count}`, seconds: seconds(), films, shown: pictures, film: null };
    running = null;
    marked();
    take.film = await recorder?.stop();
    takes = [...takes, take];
    details.open = true;
    show();
    studio.tell(`${take.name}: ${about(take)}. It is below${take.film ? '' : ', without a film: this browser makes none'}.`, null, false);
  }
  const toggle = () => (running ? stop() : start());
  function marked() {
    button.setAttribute('aria-pressed', Boolean(running));
    button.classList.toggle('on', Boolean(running));
  }

  function note(picture) {
    running.shown.push({ at: seconds(), ...picture });
    if (running.shown.length >= MOST) stop();
  }
  function shown({ state, film, at }) {
    if (!running) return;
    running.recorder?.add(stage.canvas);
    if (state) {
      const again = state === running.last;
      running.last = state;
      if (!again) note({ state });
      return;
    }
    const known = running.films.findIndex(({ keys, easing }) => keys === film.keys && easing === film.easing);
    note({ film: known < 0 ? running.films.push(film) - 1 : known, turn: at });
  }

  const about = (take) => `${take.seconds.toFixed(1)} s, ${take.shown.length} picture${take.shown.length > 1 ? 's' : ''}`;
  function row(take, i) {
    const small = (text, label, act) => make('button', { className: 'quiet', 'data-key': `${text} ${i}`, 'aria-label': `${label} ${take.name}`, onclick: act }, text);
    const { film } = take;
    return make('div', { className: 'take', role: 'listitem' }, make('span', {}, take.name, make('span', { className: 'note' }, about(take))),
      small(replaying?.take === take ? 'Stop' : 'Replay', replaying?.take === take ? 'Stop' : 'Replay', () => (replaying?.take === take ? stopReplay() : replay(take))),
      film && small(`${film.suffix.slice(1)} ↓`, 'Download the film of', () => save(`${take.name}${film.suffix}`, film.blob)),
      small('JSON ↓', 'Download the states of', () => save(`${take.name}.json`, new Blob([written(take)], { type: 'application/json' }))),
      make('button', { className: 'quiet icon', 'data-key': `remove ${i}`, 'aria-label': `Remove ${take.name}`, title: 'Remove', onclick: () => ((takes = takes.filter((each) => each !== take)), show()) }, '×'));
  }
  function show() {
    refill(list, takes.map(row));
    empty.hidden = takes.length > 0;
  }

  function replay(take) {
    stopReplay();
    replaying = { take, start: performance.now(), next: 0 };
    requestAnimationFrame(tick);
    show();
  }
  function tick(now) {
    if (!replaying) return;
    const { take, start: begun } = replaying;
    const time = (now - begun) / 1000;
    const first = replaying.next;
    while (replaying.next < take.shown.length && take.shown[replaying.next].at <= time) replaying.next += 1;
    if (replaying.next > first) put(take, take.shown[replaying.next - 1]);
    if (time < take.seconds) requestAnimationFrame(tick);
    else stopReplay();
  }
  function put(take, { state, film, turn }) {
    if (film !== undefined) studio.play(take.films[film], turn);
    else if (state === store.state) studio.back();
    else store.change(state);
  }
  function stopReplay() {
    if (!replaying) return;
    replaying = null;
    show();
  }

  async function open(file) {
    const take = read(await file.text());
    if (!take) return studio.tell(`${file.name} is no recording from here.`);
    takes = [...takes, { ...take, name: file.name.replace(/\.json$/i, ''), film: null }];
    details.open = true;
    show();
    replay(takes.at(-1));
  }

  button.onclick = toggle;
  marked();
  show();
  return { update: () => {}, shown, openRecording: open, close: () => (running && stop(), stopReplay()) };
}

function written({ seconds, films, shown }) {
  const loops = films.map(({ keys, easing }) => ({ keys: keys.map((each) => ({ ...each, state: compact(each.state) })), easing }));
  const pictures = shown.map((each) => (each.state ? { ...each, state: compact(each.state) } : each));
  return JSON.stringify({ 'stylegan-torch': FORM, seconds, films: loops, shown: pictures }, null, 1);
}

/** Read a recording; null if it is none. */
function read(text) {
  try {
    const said = JSON.parse(text);
    const films = said.films.map(({ keys, easing }) => ({ keys: keys.map(({ state, seconds }) => ({ state: complete(state), seconds })), easing }));
    const shown = said.shown.slice(0, MOST).map((each) => (isState(each.state) ? { at: each.at, state: complete(each.state) } : each));
    const ofFilm = ({ film, turn }) => Number.isInteger(film) && films[film] && Number.isFinite(turn) && turn >= 0 && turn <= 1;
    const fits = (each) => Number.isFinite(each.at) && (isState(each.state) || ofFilm(each));
    return said['stylegan-torch'] === FORM && Number.isFinite(said.seconds) && shown.length && shown.every(fits) ? { seconds: said.seconds, films, shown } : null;
  } catch {
    return null;
  }
}
