import { make, put, round } from '../dom.js';

let number = 0;

/** A slider with its number beside it; a double click puts it back to `neutral`. */
export function slider({ label, field = label, min, max, step = 0.01, neutral = 0, live, hidden = false }) {
  const id = `slider-${++number}`;
  const range = make('input', { type: 'range', id, min, max, step });
  const exact = make('input', { type: 'number', min, max, step, 'aria-label': `${label}, as a number` });
  const name = make('label', { for: id, className: hidden ? 'unseen' : '' }, label);
  const element = make('div', { className: 'slider', 'data-field': field }, name, range, exact);
  const fill = (value) => {
    const share = (each) => Math.min(1, Math.max(0, (each - min) / (max - min)));
    const [low, high] = [share(value), share(neutral)].sort((a, b) => a - b);
    range.style.setProperty('--low', `${100 * low}%`);
    range.style.setProperty('--high', `${100 * high}%`);
  };
  const set = (value) => {
    put(exact, value);
    range.value = value;
    fill(value);
  };
  range.addEventListener('input', () => {
    const value = round(range.valueAsNumber);
    exact.value = value;
    fill(value);
    live(value);
  });
  range.addEventListener('dblclick', () => (set(neutral), live(neutral)));
  exact.addEventListener('input', () => live(exact.value === '' ? null : exact.valueAsNumber));
  set(neutral);
  return { element, set, name };
}
