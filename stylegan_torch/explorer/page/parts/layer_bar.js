import { make } from '../dom.js';

/** A row of layers to switch on and off: a click or a stroke, or arrow keys and space. */
export function layerBar({ names, label, live }) {
  let chosen = new Set();
  let brush = null;
  const cells = names.map((name, i) => make('button', {
    type: 'button', className: 'cell', tabIndex: i ? -1 : 0, 'aria-label': `Layer ${i}, ${name}`, title: `Layer ${i}, ${name}`,
  }));
  const element = make('div', { className: 'layer-bar', role: 'group', 'aria-label': label }, ...cells);
  const show = () => cells.forEach((cell, i) => cell.setAttribute('aria-pressed', chosen.has(i)));
  const paint = (i, on) => {
    if (chosen.has(i) === on) return;
    chosen = new Set(chosen);
    if (on) chosen.add(i);
    else chosen.delete(i);
    show();
    live([...chosen].sort((a, b) => a - b));
  };
  const at = (event) => cells.indexOf(document.elementFromPoint(event.clientX, event.clientY));
  element.addEventListener('pointerdown', (event) => {
    const i = at(event);
    if (i < 0) return;
    event.preventDefault();
    cells[i].focus();
    element.setPointerCapture(event.pointerId);
    brush = !chosen.has(i);
    paint(i, brush);
  });
  element.addEventListener('pointermove', (event) => {
    const i = brush === null ? -1 : at(event);
    if (i >= 0) paint(i, brush);
  });
  for (const end of ['pointerup', 'pointercancel']) element.addEventListener(end, () => (brush = null));
  element.addEventListener('keydown', (event) => {
    const i = cells.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && cells[i + step]) {
      cells[i].tabIndex = -1;
      cells[i + step].tabIndex = 0;
      cells[i + step].focus();
    } else if (event.key === ' ' || event.key === 'Enter') paint(i, !chosen.has(i));
    else return;
    event.preventDefault();
  });
  return { element, set: (numbers) => ((chosen = new Set(numbers)), show()) };
}
