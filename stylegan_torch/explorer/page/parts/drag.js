/** Drag: points of the picture are pulled to where they shall be; what is painted may move, the rest is held. */
import { byId, fold, make, round, save, say } from '../dom.js';
import { compact, written } from '../state.js';
import { maskOf } from './mask.js';

const MOST = 20;
const STEPS = 300;
const GRAB = 18;
/** Pixels of the screen around a handle that take hold of it. */
const TOOLS = { off: 'Off', points: 'Points', brush: 'Brush', eraser: 'Eraser' };
const PULLS = [[0.002, 'gently'], [0.005, 'firmly'], [0.01, 'hard']];

export function dragPart(studio, section) {
  const { store, stage, engine, facts } = studio;
  const [height, width] = facts.size;
  let pairs = [];
  /** [{at: [x, y], to: [x, y]}], in pixels of the picture. */
  let chosen = -1;
  let tool = 'off';
  let running = null;
  const placed = new Map();
  /** Where the points were, by the state that was shown. */

  const handles = make('div', { className: 'handles' });
  const ways = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  ways.setAttribute('viewBox', `-0.5 -0.5 ${width} ${height}`);
  ways.setAttribute('preserveAspectRatio', 'none');
  ways.setAttribute('aria-hidden', 'true');
  const mask = maskOf({ width, height, changed: show });
  const overlay = make('div', { className: 'overlay', hidden: true }, mask.veil, ways, handles);
  byId('frame').append(overlay);

  const tools = Object.entries(TOOLS).map(([value, text]) => make('label', {},
    make('input', { type: 'radio', name: 'drag-tool', value, id: `drag-${value}`, checked: value === tool, onchange: () => use(value) }), make('span', {}, text)));
  const start = make('button', { className: 'primary', id: 'drag-play', onclick: () => (running ? stop() : play(STEPS)) }, 'Play');
  const step = make('button', { id: 'drag-step', onclick: () => play(1) }, 'Step');
  const pull = make('select', { id: 'drag-pull' }, ...PULLS.map(([value, text]) => make('option', { value }, text)));
  const add = make('button', { className: 'quiet', onclick: addPoint }, 'Add a point');
  const remove = make('button', { className: 'quiet', 'aria-label': 'Remove the point', onclick: () => removePoint(chosen) }, 'Remove');
  const clear = make('button', { className: 'quiet', 'aria-label': 'Remove all points', onclick: () => ((held = null), (pairs = []), choose(-1)) }, 'Clear');
  const unmask = make('button', { className: 'quiet', 'aria-label': 'Clear the mask', onclick: () => mask.clear() }, 'Clear');
  const keep = make('button', { className: 'quiet', 'aria-label': 'Download the mask (PNG)', onclick: saveMask }, 'PNG\u00a0↓');
  const line = make('p', { className: 'note', id: 'drag-line', role: 'status' });
  const points = make('div', { className: 'line', 'data-field': 'Points' }, add, remove, clear);
  const painting = make('div', { className: 'line' }, mask.size, unmask, keep);
  fold(section, 'Drag', 'points to where they shall be',
    make('fieldset', { className: 'choice' }, make('legend', { className: 'unseen' }, 'What a stroke on the picture does'), ...tools),
    points, painting,
    make('div', { className: 'line' }, start, step, make('label', { for: 'drag-pull', className: 'note' }, 'pulled'), pull), line);

  function use(value) {
    tool = value;
    letGo();
    overlay.hidden = tool === 'off';
    overlay.dataset.tool = tool;
    points.hidden = tool !== 'points';
    painting.hidden = tool !== 'brush' && tool !== 'eraser';
    mask.use(tool);
    show();
  }

  const clamp = ([x, y]) => [Math.min(width - 1, Math.max(0, x)), Math.min(height - 1, Math.max(0, y))].map((each) => round(each, 1));
  const placeOf = (event) => {
    const box = overlay.getBoundingClientRect();
    return clamp([(event.clientX - box.left) / box.width * width - 0.5, (event.clientY - box.top) / box.height * height - 0.5]);
  };
  const scale = () => overlay.getBoundingClientRect().width / width;

  /** What is under a place: the end of a pair that is nearest, if it is near. */
  function under([x, y]) {
    const ends = pairs.flatMap((pair, i) => ['to', 'at'].map((end) => ({ i, end, far: Math.hypot(pair[end][0] - x, pair[end][1] - y) })));
    const [nearest] = ends.sort((a, b) => a.far - b.far);
    return nearest && nearest.far * scale() <= GRAB ? nearest : null;
  }

  let held = null;
  let pointer = null;
  /** The mouse, pen or finger that is down; others beside it do nothing. */
  function letGo() {
    pointer = held = null;
    mask.end();
  }
  overlay.addEventListener('pointerdown', (event) => {
    if (running || (pointer ?? event.pointerId) !== event.pointerId || (event.button && event.pointerType === 'mouse')) return;
    event.preventDefault();
    overlay.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    const place = placeOf(event);
    if (tool !== 'points') return mask.begin(place);
    held = under(place);
    if (!held && pairs.length < MOST) {
      pairs.push({ at: place, to: place });
      held = { i: pairs.length - 1, end: 'to' };
    }
    if (held) choose(held.i, held.end);
  });
  overlay.addEventListener('pointermove', (event) => {
    if ((pointer ?? event.pointerId) !== event.pointerId) return;
    if (tool !== 'points') return mask.move(placeOf(event));
    if (held && !running) put(held.i, held.end, placeOf(event));
  });
  for (const end of ['pointerup', 'pointercancel']) {
    overlay.addEventListener(end, (event) => event.pointerId === pointer && letGo());
  }

  function put(i, end, place) {
    pairs[i] = { ...pairs[i], [end]: clamp(place) };
    show();
  }
  function choose(i, end = null) {
    chosen = i;
    show();
    if (end) handles.querySelector(`[data-key="${i} ${end}"]`)?.focus({ preventScroll: true });
  }
  function addPoint() {
    if (tool !== 'points') byId('drag-points').click();
    const middle = clamp([Math.floor(width / 2), Math.floor(height / 2)]);
    pairs.push({ at: middle, to: middle });
    choose(pairs.length - 1, 'at');
  }
  function removePoint(i) {
    held = null;
    pairs = pairs.filter((_, j) => j !== i);
    choose(pairs.length - 1);
  }

  function handle(i, end) {
    const [x, y] = pairs[i][end];
    const label = end === 'at' ? `Point ${i + 1} at ${x}, ${y}` : `Where point ${i + 1} shall be: ${x}, ${y}`;
    const element = make('button', { className: `handle ${end}`, 'data-key': `${i} ${end}`, 'aria-label': `${label}; arrow keys move it`, onfocus: () => chosen !== i && choose(i, end) }, end === 'at' ? String(i + 1) : '');
    element.classList.toggle('chosen', i === chosen);
    element.style.setProperty('left', `${(x + 0.5) / width * 100}%`);
    element.style.setProperty('top', `${(y + 0.5) / height * 100}%`);
    element.addEventListener('keydown', (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (running) return;
      if (event.key === 'Delete' || event.key === 'Backspace') removePoint(i);
      else if (way) {
        const far = (event.shiftKey ? 5 : 1) * Math.max(1, Math.round(width / 256));
        const [fromX, fromY] = pairs[i][end];
        put(i, end, [fromX + way[0] * far, fromY + way[1] * far]);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return element;
  }

  /** Show the points; those of an end that are at the same place lie under it, still to be reached. */
  function show() {
    const focused = handles.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    handles.replaceChildren(...pairs.flatMap((_, i) => [handle(i, 'at'), handle(i, 'to')]));
    ways.replaceChildren(...pairs.map(({ at, to }) => {
      const way = document.createElementNS(ways.namespaceURI, 'line');
      for (const [name, value] of Object.entries({ x1: at[0], y1: at[1], x2: to[0], y2: to[1] })) way.setAttribute(name, value);
      return way;
    }));
    if (focused !== null) handles.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
    say(start, running ? 'Stop' : 'Play');
    start.disabled = !pairs.length && !running;
    step.disabled = !pairs.length || running !== null;
    add.disabled = pairs.length >= MOST || running !== null;
    remove.disabled = clear.disabled = !pairs.length || running !== null;
    remove.disabled ||= !pairs[chosen];
    unmask.disabled = keep.disabled = mask.empty || running !== null;
    if (!running && !pairs.length) line.textContent = 'Choose Points and draw from what shall move to where it shall be; what is only touched stays. Only what is painted may move.';
  }

  async function saveMask() {
    const file = await mask.file();
    save(file.name, file.blob);
  }

  async function play(steps) {
    const mine = (running = { controller: new AbortController(), state: store.state, job: null });
    placed.set(written(store.state), pairs);
    studio.offer(null);
    line.textContent = '';
    show();
    try {
      const asked = {
        state: compact(store.state), points: pairs.map(({ at, to }) => [...at, ...to]), steps, learning_rate: Number(pull.value),
        mask: mask.empty ? null : (await mask.file()).text,
      };
      const found = await engine.drag(asked, (message) => tell(mine, message), mine.controller.signal);
      if (running !== mine) return;
      running = null;
      follow(found);
      studio.begin(found, mine.state.network);
      placed.set(written(store.state), pairs);
    } catch (error) {
      if (running !== mine) return;
      running = null;
      line.textContent = '';
      studio.tell(error.message, error.field);
      engine.draw(store.state); // as it was before
    } finally {
      show();
    }
  }

  function tell(mine, message) {
    if (running !== mine) return;
    if (message.kind === 'begun') {
      mine.job = message.job;
      if (mine.ending) engine.endDrag(mine.job);
    } else if (message.points) {
      follow(message);
      stage.show({ state: mine.state, whole: false, blob: message.blob });
    } else line.textContent = message.line;
  }

  function follow({ points: now, line: said }) {
    line.textContent = said;
    pairs = pairs.map((pair, i) => ({ ...pair, at: now[i] }));
    show();
  }

  /** End the drag where it is. */
  function stop() {
    running.ending = true;
    if (running.job) engine.endDrag(running.job);
  }

  /** Something else is wished for. */
  function leave() {
    running?.controller.abort();
    running = null;
  }

  function update() {
    if (running && running.state !== store.state) leave();
    const known = running ? null : placed.get(written(store.state));
    if (known) pairs = known;
    show();
  }
  use(tool);
  return {
    update,
    close: () => {
      leave();
      overlay.remove();
    },
  };
}
