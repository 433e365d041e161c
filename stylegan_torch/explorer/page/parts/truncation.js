/** Truncation: how near to the average, of all layers or of each. And the class, where there are any. */
import { fold, make } from '../dom.js';
import { layersList } from '../state.js';
import { slider } from './slider.js';

export function truncationPart(studio, section) {
  const { store, facts } = studio;
  const [min, max] = facts.ranges.psi;
  const all = slider({ label: 'Truncation', min, max, neutral: 1, live: (psi) => store.change({ psi }) });
  const bands = facts.layers.map((name, i) => {
    const input = make('input', { type: 'range', min, max, step: 0.05, className: 'band', 'aria-label': `Truncation of layer ${i}, ${name}`, title: `Layer ${i}, ${name}`, 'aria-orientation': 'vertical' });
    input.addEventListener('input', () => change(i, input.valueAsNumber));
    return input;
  });
  const bank = make('div', { className: 'bands', role: 'group', 'aria-label': 'Truncation by layer', 'data-field': 'Truncation by layer' },
    ...bands.map((band, i) => make('div', {}, band, make('span', { 'aria-hidden': 'true' }, facts.layers[i].startsWith('layer') ? String(i) : facts.layers[i].replace('²', '')))));
  const even = make('button', { className: 'quiet', onclick: () => store.change({ psis: [] }) }, 'All alike');
  const label = make('select', { id: 'class', onchange: () => store.change({ class: label.value === '' ? null : Number(label.value) }) },
    make('option', { value: '' }, 'none'), ...Array.from({ length: Math.min(facts.classes, 1000) }, (_, i) => make('option', { value: String(i) }, String(i))));
  const idle = make('p', { className: 'note', hidden: true }, 'Of seeds only: the latents that this begins with are as they are.');
  const ends = make('div', { className: 'ends', 'aria-hidden': 'true' }, make('span', {}, 'the opposite'), make('span', {}, 'average'), make('span', {}, 'as it is'));
  fold(section, 'Truncation', '',
    ...(facts.classes ? [make('div', { className: 'line', 'data-field': 'Class' }, make('label', { for: 'class' }, 'Class'), label)] : []),
    all.element, ends, idle,
    make('details', { className: 'inner' }, make('summary', {}, 'Layer by layer'), bank, even));

  const psis = () => {
    const values = facts.layers.map(() => store.state.psi);
    for (const { psi, layers } of store.state.psis) for (const i of layersList(layers, values.length)) values[i] = psi;
    return values;
  };
  function change(i, value) {
    const values = psis();
    values[i] = value;
    const others = values.map((psi, layer) => ({ psi, layers: String(layer) })).filter(({ psi }) => psi !== store.state.psi);
    store.change({ psis: others });
  }
  function update() {
    const { latents, mixes } = store.state;
    idle.hidden = latents === null || mixes.length > 0;
    for (const input of [...all.element.querySelectorAll('input'), ...bands]) input.disabled = !idle.hidden;
    all.set(store.state.psi);
    psis().forEach((psi, i) => (bands[i].value = psi));
    even.disabled = !store.state.psis.length;
    label.value = store.state.class ?? '';
  }
  update();
  return { update };
}
