/** A film: key frames in a strip, the loop through them played, and made into a file. */
import { fold, make, recall, refill, remember, round, save, say } from '../dom.js';
import { canRecord, Recorder } from '../recorder.js';
import { complete } from '../state.js';
import { describe } from './stage.js';

const USUAL = 2;
/** Seconds from a key frame to the next. */
const MOST = 64;
const EASINGS = { linear: 'steadily', sine: 'softly', cubic: 'more softly', quintic: 'most softly' };
const RECORDED = 'recorded';
/** The format that the browser itself makes. */
const WORDS = { '.mp4': 'MP4', '.webm': 'WebM', '.gif': 'GIF', [RECORDED]: 'by this browser' };

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${round(bytes / 1e6, 1)} MB`);

export function filmPart(studio, section) {
  const { store, facts, engine, stage } = studio;
  const key = `studio-film-${facts.key}`;
  let keys = recall(key, []).filter((each) => each?.state && each.seconds > 0).slice(0, MOST)
    .map(({ state, seconds }) => ({ state: complete(state), seconds }));
  let playing = null;
  /** {start}, when it was at its beginning, in milliseconds; of one that is recorded also what is done, shown, and then. */
  let running = null;

  const strip = make('div', { className: 'strip keys', role: 'list', 'aria-label': 'Key frames' });
  const add = make('button', { className: 'add', 'data-key': 'add', 'aria-keyshortcuts': 'K', onclick: () => addKey() }, make('span', { 'aria-hidden': 'true' }, '+'), 'Add this picture');
  const toggler = make('button', { 'aria-keyshortcuts': 'P', onclick: () => toggle() }, 'Play');
  const place = make('input', { type: 'range', min: 0, max: 1, step: 0.001, value: 0, 'aria-label': 'Moment of the film', oninput: () => scrub() });
  const clock = make('span', { className: 'clock' });
  const option = (value, text) => make('option', { value }, text);
  const easing = make('select', { id: 'film-easing', onchange: () => changed() }, ...Object.entries(EASINGS).map(([value, text]) => option(value, text)));
  const formats = [...(engine.can.film ? facts.film : []), ...(canRecord() ? [RECORDED] : [])];
  const format = make('select', { id: 'film-format', onchange: () => formatted() }, ...formats.map((each) => option(each, WORDS[each] ?? each)));
  const fps = make('input', { type: 'number', id: 'film-fps', min: 1, max: 60, step: 1, value: 30 });
  const field = (name, text, input) => make('div', { 'data-field': name }, make('label', { for: input.id }, text), input);
  const start = make('button', { className: 'primary', id: 'film-make', onclick: () => (running ? running.abort() : film()) }, 'Make the film');
  const bar = make('progress', { max: 1, value: 0, 'aria-label': 'How far the film is' });
  const step = make('p', { className: 'note', 'aria-hidden': 'true' }); // as the bar says it
  const progress = make('div', { hidden: true }, bar, step);
  const line = make('p', { className: 'note', id: 'film-line', role: 'status' });
  const commands = make('pre', { id: 'film-commands', tabIndex: 0, hidden: true, 'aria-label': 'The command lines that make this film again' });
  const copy = make('button', { className: 'quiet', hidden: true, onclick: () => studio.copy(commands.textContent, 'The command lines are copied.') }, 'Copy');
  const controls = make('div', { className: 'film-controls' },
    make('div', { className: 'line player' }, toggler, place, clock),
    make('div', { className: 'fields' }, field('Easing', 'It goes', easing), ...(formats.length ? [field('Format', 'Format', format), field('Frames a second', 'Frames / s', fps)] : [])),
    make('div', { className: 'line' }, start, line), progress, commands, make('div', { className: 'line' }, make('span', { className: 'push' }), copy));
  fold(section, 'Film', 'key frames, in a loop', strip, controls);

  const loop = () => ({ keys, easing: easing.value });
  const total = () => keys.reduce((sum, { seconds }) => sum + seconds, 0);

  function changed() {
    remember(key, keys);
    said = null;
    show();
  }
  function change(next) {
    keys = next;
    changed();
    list();
  }
  function addKey() {
    if (keys.length >= MOST) return studio.tell(`A film has at most ${MOST} key frames.`);
    section.querySelector('details').open = true;
    stop();
    change([...keys, { state: store.state, seconds: keys.at(-1)?.seconds ?? USUAL }]);
    strip.scrollLeft = strip.scrollWidth;
    studio.tell(`Key frame ${keys.length} is this picture.`, null, false);
  }
  function move(i, by) {
    const next = [...keys];
    next.splice(i + by, 0, ...next.splice(i, 1));
    change(next);
    strip.querySelector(`[data-key="${by < 0 ? 'back' : 'on'} ${i + by}"]:enabled`)?.focus();
  }

  let images = [];
  function card({ state, seconds }, i) {
    const image = make('img', { alt: '', className: 'waiting', draggable: false });
    images.push({ image, state });
    const icon = (name, text, label, act, off = false) => make('button', { className: 'quiet icon', 'data-key': `${name} ${i}`, 'aria-label': `${label} key frame ${i + 1}`, title: label, disabled: off, onclick: act }, text);
    const length = make('input', { type: 'number', min: 0.1, max: 600, step: 0.1, value: seconds, 'data-key': `seconds ${i}`, 'aria-label': `Seconds from key frame ${i + 1} to the next` });
    length.addEventListener('input', () => {
      if (!(length.valueAsNumber >= 0.1 && length.valueAsNumber <= 600)) return length.setAttribute('aria-invalid', 'true');
      length.removeAttribute('aria-invalid');
      keys = keys.map((each, j) => (j === i ? { ...each, seconds: round(length.valueAsNumber, 3) } : each));
      changed();
    });
    length.addEventListener('blur', () => length.getAttribute('aria-invalid') && list());
    return make('div', { className: 'key', role: 'listitem', 'data-field': `Key frame ${i + 1} seconds` },
      make('button', { className: 'look', 'data-key': `key ${i}`, 'aria-label': `Go to key frame ${i + 1}, the ${describe(state).replace('Picture', 'picture')}`, title: describe(state), onclick: () => go(state) }, image, make('span', { 'aria-hidden': 'true' }, String(i + 1))),
      make('div', { className: 'line' }, length, make('span', { 'aria-hidden': 'true' }, 's')),
      make('div', { className: 'line' }, icon('back', '‹', 'Move back', () => move(i, -1), i === 0),
        icon('on', '›', 'Move on', () => move(i, 1), i === keys.length - 1),
        icon('remove', '×', 'Remove', () => change(keys.filter((_, j) => j !== i)))));
  }
  function list() {
    images = [];
    refill(strip, [...keys.map(card), add]);
    controls.hidden = !keys.length;
    settled();
    show();
  }
  const settled = () => studio.thumbs.show('film', images);

  let said = null;
  /** What was made of the film as it is now: {line, commands}. */
  function show() {
    const at = Number(place.value) * total();
    clock.textContent = `${at.toFixed(1)} / ${round(total(), 1)} s`;
    say(toggler, playing ? 'Pause' : 'Play');
    say(start, running ? 'Stop' : 'Make the film');
    start.hidden = !formats.length;
    progress.hidden = !running;
    line.textContent = said?.line ?? (formats.length ? '' : 'This browser plays the film, and makes no file of it.');
    commands.textContent = said?.commands ?? '';
    commands.hidden = copy.hidden = !said?.commands;
  }

  function toggle() {
    if (playing) return stop();
    if (!keys.length) return studio.tell('A film takes key frames: add a picture or two.');
    playing = { start: performance.now() - Number(place.value) * total() * 1000 };
    requestAnimationFrame(tick);
    show();
  }
  function tick(now) {
    if (!playing) return;
    const turn = Math.max(0, (now - playing.start) / 1000 / total());
    if (playing.ended && turn >= 1) return playing.ended();
    at(turn % 1);
    requestAnimationFrame(tick);
  }
  function at(turn) {
    place.value = turn;
    studio.play(loop(), Number(place.value));
    show();
  }
  function stop() {
    playing?.stopped?.();
    playing = null;
    show();
  }
  function go(state) {
    stop();
    store.change(state);
    studio.back(); // also if it is what was there before the film
  }
  function scrub() {
    stop();
    at(Number(place.value));
  }

  async function film() {
    stop();
    said = null;
    running = new AbortController();
    const tell = ({ line: text, share }) => {
      bar.value = share;
      bar.setAttribute('aria-valuetext', (step.textContent = text));
    };
    tell({ line: '', share: 0 });
    show();
    try {
      const made = format.value === RECORDED ? await record(running.signal, tell) : await engine.film(loop(), { format: format.value, fps: fps.valueAsNumber }, tell, running.signal);
      save(made.name, made.blob);
      said = { line: `${made.name}, ${size(made.blob.size)}`, commands: made.commands };
    } catch (error) {
      const stopped = error.name === 'AbortError';
      said = { line: stopped ? 'Stopped.' : error.message };
      if (!stopped) studio.tell(error.message, error.field);
    } finally {
      running = null;
      show();
    }
  }
  /** Record the canvas while the film plays once, from its first moment on. */
  async function record(signal, tell) {
    let recorder = null;
    let recorded;
    const take = (turn) => {
      if (recorder) recorder.add(stage.canvas);
      else [recorder, playing.start] = [new Recorder(stage.canvas), performance.now()];
      tell({ line: `${(turn * total()).toFixed(1)} of ${round(total(), 1)} s`, share: turn });
    };
    try {
      await new Promise((ended, stopped) => {
        playing = { start: performance.now(), take, ended, stopped: () => stopped(new DOMException('Stopped.', 'AbortError')) };
        signal.addEventListener('abort', playing.stopped);
        requestAnimationFrame(tick);
      });
    } finally {
      playing = null;
      place.value = 0;
      studio.back();
      recorded = await recorder?.stop();
    }
    if (!recorded) throw new Error('Nothing of the film came.');
    return { name: `film${recorded.suffix}`, blob: recorded.blob };
  }
  function shown({ at: turn }) {
    if (turn !== undefined) playing?.take?.(turn);
  }

  function formatted() {
    fps.disabled = format.value === RECORDED;
    changed();
  }
  let before = store.state;
  function update() {
    if (before === store.state) return;
    before = store.state;
    if (playing) stop();
  }
  list();
  formatted();
  return { update, settled, shown, addKey, toggle, close: () => (stop(), running?.abort()) };
}
