/** The pad: two directions at once, by mouse or finger, which can be thrown; behind it, small pictures of what is where. */
import { fold, make, recall, remember, round } from '../dom.js';
import { hasDirection, moved, strengthOf } from '../state.js';
import { slider } from './slider.js';

const REACH = 3;
const MAP = 5;
const SLOWER = 0.94;
/** Of the speed, what is left after a frame. */

export function padPart(studio, section) {
  const { store, facts } = studio;
  const key = `studio-pad-${facts.key}`;
  const first = { directions: facts.directions[0].name, index: 0 };
  const usual = [first, { ...first, index: Math.min(1, facts.directions[0].count - 1) }];
  let axes = recall(key, usual);
  if (!axes.every((each) => hasDirection(facts, each.directions, each.index))) axes = usual;
  const images = Array.from({ length: MAP * MAP }, () => make('img', { alt: '', className: 'waiting', draggable: false }));
  const dot = make('span', { className: 'dot' });
  const pad = make('div', { className: 'pad', tabIndex: 0, role: 'group', 'aria-label': 'Pad: arrow keys walk along its two directions' },
    make('div', { className: 'map', 'aria-hidden': 'true' }, ...images), dot);
  const places = ['Across', 'Up'].map((label, i) => slider({
    label, field: `pad ${label}`, min: -REACH, max: REACH, step: 0.05, live: (value) => value !== null && go(i ? [at()[0], value] : [value, at()[1]]),
  }));
  const choosers = axes.map((_, i) => make('select', { 'aria-label': `${['Across', 'Up'][i]}: direction`, onchange: (event) => choose(i, event.target.value) }));
  fold(section, 'Walk', 'drag, or throw', pad,
    make('div', { className: 'axes' }, ...places.flatMap(({ element }, i) => [element, choosers[i]])));

  const at = () => axes.map(({ directions, index }) => strengthOf(store.state, directions, index));
  function go([x, y]) {
    const [one, other] = axes;
    const clamp = (value) => round(Math.min(REACH, Math.max(-REACH, value)));
    store.change(moved(moved(store.state, one.directions, one.index, clamp(x)), other.directions, other.index, clamp(y)));
  }
  function choose(i, value) {
    const [directions, index] = JSON.parse(value);
    axes = axes.map((each, j) => (j === i ? { directions, index } : each));
    remember(key, axes);
    update();
    settled();
  }

  let speed = [0, 0];
  let last = null;
  let gliding = 0;
  const placed = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width * 2 - 1) * REACH, -((event.clientY - box.top) / box.height * 2 - 1) * REACH];
  };
  pad.addEventListener('pointerdown', (event) => {
    cancelAnimationFrame(gliding);
    pad.setPointerCapture(event.pointerId);
    speed = [0, 0];
    last = { pointer: event.pointerId, time: event.timeStamp, place: placed(event) };
    go(last.place);
  });
  pad.addEventListener('pointermove', (event) => {
    if (last?.pointer !== event.pointerId) return;
    const place = placed(event);
    const time = Math.max(1, event.timeStamp - last.time);
    speed = speed.map((each, i) => 0.6 * each + 0.4 * (place[i] - last.place[i]) / time * 16);
    last = { ...last, time: event.timeStamp, place };
    go(place);
  });
  pad.addEventListener('pointerup', (event) => {
    if (last?.pointer !== event.pointerId) return;
    if (event.timeStamp - last.time < 60 && !matchMedia('(prefers-reduced-motion: reduce)').matches) glide(last.place);
    last = null;
  });
  pad.addEventListener('pointercancel', ({ pointerId }) => last?.pointer === pointerId && (last = null));
  function glide(place) {
    if (Math.hypot(...speed) < 0.01) return;
    const next = place.map((each, i) => each + speed[i]);
    speed = speed.map((each, i) => (Math.abs(next[i]) > REACH ? -each : each) * SLOWER);
    go(next);
    gliding = requestAnimationFrame(() => glide(next.map((each) => Math.min(REACH, Math.max(-REACH, each)))));
  }
  pad.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step && event.key !== 'Home') return;
    event.preventDefault();
    cancelAnimationFrame(gliding);
    const size = event.shiftKey ? 1 : 0.2;
    go(step ? at().map((each, i) => each + step[i] * size) : [0, 0]);
  });
  pad.addEventListener('dblclick', () => go([0, 0]));

  function update() {
    const [x, y] = at();
    dot.style.setProperty('--x', `${50 + Math.max(-1, Math.min(1, x / REACH)) * 50}%`);
    dot.style.setProperty('--y', `${50 - Math.max(-1, Math.min(1, y / REACH)) * 50}%`);
    places[0].set(x);
    places[1].set(y);
  }
  function settled() {
    const [one, other] = axes;
    const where = (i) => (i / (MAP - 1) * 2 - 1) * REACH * (MAP - 1) / MAP;
    studio.thumbs.show('pad', images.map((image, i) => ({
      image,
      state: moved(moved(store.state, one.directions, one.index, round(where(i % MAP))), other.directions, other.index, round(-where(Math.floor(i / MAP)))),
    })));
    choosers.forEach((chooser, i) => {
      const options = studio.directionNames().map(({ directions, index, name }) => make('option', { value: JSON.stringify([directions, index]) }, name));
      chooser.replaceChildren(...options);
      chooser.value = JSON.stringify([axes[i].directions, axes[i].index]);
    });
  }
  update();
  return { update, settled, close: () => cancelAnimationFrame(gliding) };
}
