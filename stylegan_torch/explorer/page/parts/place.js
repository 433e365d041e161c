/** StyleGAN3's pictures moved and turned as a whole: by sliders, or by dragging the picture itself. */
import { byId, fold, make, round } from '../dom.js';
import { slider } from './slider.js';

export function placePart(studio, section) {
  const { store, facts } = studio;
  section.hidden = !facts.movable;
  const across = slider({ label: 'To the right', field: 'Place', min: -1, max: 1, live: (value) => value !== null && store.change({ translate: [value, store.state.translate[1]] }) });
  const down = slider({ label: 'Down', field: 'Place', min: -1, max: 1, live: (value) => value !== null && store.change({ translate: [store.state.translate[0], value] }) });
  const turn = slider({ label: 'Turned', field: 'Turn', min: -180, max: 180, step: 1, live: (value) => value !== null && store.change({ rotate: value }) });
  const grip = make('input', { type: 'checkbox', id: 'place-grip', onchange: hold });
  const back = make('button', { className: 'quiet', onclick: () => store.change({ translate: [0, 0], rotate: 0 }) }, 'Put back');
  fold(section, 'Place', 'StyleGAN3 moves and turns',
    make('div', { className: 'line' }, grip, make('label', { for: 'place-grip' }, 'Drag the picture itself (Shift, or two fingers, turn it)'), make('span', { className: 'push' }), back),
    across.element, down.element, turn.element);

  const surface = make('div', { className: 'overlay grip', hidden: true });
  byId('frame').append(surface);
  function hold() {
    surface.hidden = !grip.checked;
  }
  const fingers = new Map();
  let place = [0, 0, 0];
  /** Across, down and turned, not rounded, while it is dragged. */
  const limit = (value) => round(Math.min(1, Math.max(-1, value)), 3);
  const wrap = (degrees) => round(((degrees + 540) % 360) - 180, 1);
  const angle = (x, y) => Math.atan2(-y, x) * 180 / Math.PI;
  /** The angle at which something is seen from the middle of the picture, or one finger from the other. */
  function angleOf(event) {
    const [one, other] = [...fingers.values()];
    if (other) return angle(other[0] - one[0], other[1] - one[1]);
    const box = surface.getBoundingClientRect();
    return angle(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
  }
  surface.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    surface.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    place = [...store.state.translate, store.state.rotate];
  });
  surface.addEventListener('pointermove', (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const turning = event.shiftKey || fingers.size > 1;
    const before = turning ? angleOf({ clientX: last[0], clientY: last[1] }) : 0;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [x, y, angle_] = place;
    const { height } = surface.getBoundingClientRect();
    place = turning ? [x, y, angle_ + angleOf(event) - before] : [x + (event.clientX - last[0]) / height, y + (event.clientY - last[1]) / height, angle_];
    store.change({ translate: place.slice(0, 2).map(limit), rotate: wrap(place[2]) });
  });
  for (const end of ['pointerup', 'pointercancel']) surface.addEventListener(end, (event) => fingers.delete(event.pointerId));

  function update() {
    const { translate: [x, y], rotate } = store.state;
    across.set(x);
    down.set(y);
    turn.set(rotate);
    back.disabled = !x && !y && !rotate;
  }
  update();
  return { update, close: () => surface.remove() };
}
