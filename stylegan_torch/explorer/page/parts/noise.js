/** Noise: what falls of a hair, a pore. */
import { fold, make, put } from '../dom.js';

const WORDS = { official: 'As released', const: 'Fixed', random: 'By a seed', none: 'None' };

export function noisePart(studio, section) {
  const { store, facts } = studio;
  section.hidden = facts.noises.length < 2;
  const choices = facts.noises.map((value) => make('input', { type: 'radio', name: 'noise', value, id: `noise-${value}`, onchange: () => store.change({ noise: value }) }));
  const seed = make('input', { type: 'number', min: 0, step: 1, id: 'noise-seed', oninput: () => store.change({ noise_seed: seed.value === '' ? null : seed.valueAsNumber }) });
  const dice = make('button', { className: 'quiet icon', 'aria-label': 'Other noise', title: 'Other noise', onclick: () => store.change({ noise_seed: Math.floor(Math.random() * 1e6) }) }, '⟳');
  const seedLine = make('div', { className: 'line', 'data-field': 'Noise seed' }, make('label', { for: 'noise-seed' }, 'Noise seed'), seed, dice);
  fold(section, 'Noise', 'the finest detail',
    make('fieldset', { className: 'choice', 'data-field': 'Noise' }, make('legend', { className: 'unseen' }, 'Noise'),
      ...choices.map((choice) => make('label', {}, choice, make('span', {}, WORDS[choice.value])))), seedLine);

  function update() {
    for (const choice of choices) choice.checked = choice.value === store.state.noise;
    seedLine.hidden = store.state.noise !== 'random';
    put(seed, store.state.noise_seed);
  }
  update();
  return { update };
}
