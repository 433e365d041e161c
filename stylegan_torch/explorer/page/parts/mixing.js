/** Style mixing: rows of layers that come from other seeds. */
import { fold, make, put, refill } from '../dom.js';
import { layersList, layersText } from '../state.js';
import { layerBar } from './layer_bar.js';

const MOST = 16;

export function mixingPart(studio, section) {
  const { store, facts } = studio;
  const count = facts.layers.length;
  const usual = layersText([...Array(Math.ceil(count / 2)).keys()]);
  const rows = make('div', { className: 'mixes' });
  const add = make('button', { className: 'quiet wide', onclick: () => mixIn(Math.floor(Math.random() * 1e6)) }, 'Mix a seed in');
  fold(section, 'Mix', 'layers of other seeds', rows, add);

  const change = (i, fields) => store.change({ mixes: store.state.mixes.map((each, j) => (j === i ? { ...each, ...fields } : each)) });
  function mixIn(seed) {
    if (store.state.mixes.length < MOST) store.change({ mixes: [...store.state.mixes, { seed, layers: usual }] });
  }
  studio.mixIn = mixIn;

  let shown = [];
  function row(i) {
    const image = make('img', { alt: '', className: 'waiting', draggable: false });
    const seed = make('input', { type: 'number', min: 0, step: 1, 'aria-label': `Seed of mix ${i + 1}`, oninput: () => change(i, { seed: seed.value === '' ? null : seed.valueAsNumber }) });
    const bar = layerBar({ names: facts.layers, label: `Layers of mix ${i + 1}`, live: (numbers) => (numbers.length ? change(i, { layers: layersText(numbers) }) : remove(i)) });
    const element = make('div', { className: 'mix-row' }, image,
      make('div', {},
        make('div', { className: 'line', 'data-field': `Mix ${i + 1} seed` }, seed,
          make('button', { className: 'quiet icon', 'aria-label': `Another seed for mix ${i + 1}`, title: 'Another seed', onclick: () => change(i, { seed: Math.floor(Math.random() * 1e6) }) }, '⟳'),
          make('span', { className: 'push' }),
          make('button', { className: 'quiet icon', 'data-key': `remove ${i}`, 'aria-label': `Remove mix ${i + 1}`, title: 'Remove', onclick: () => remove(i) }, '×')),
        bar.element));
    return { element, image, seed, bar };
  }
  const remove = (i) => store.change({ mixes: store.state.mixes.filter((_, j) => j !== i) });

  function update() {
    const { mixes } = store.state;
    if (mixes.length !== shown.length) {
      shown = mixes.map((_, i) => row(i));
      refill(rows, shown.map(({ element }) => element));
    }
    mixes.forEach(({ seed, layers }, i) => {
      put(shown[i].seed, seed);
      shown[i].bar.set(layersList(layers, count));
    });
    add.disabled = mixes.length >= MOST;
  }
  function settled() {
    const { mixes, ...rest } = store.state;
    studio.thumbs.show('mixes', mixes.map(({ seed }, i) => ({ image: shown[i].image, state: { ...rest, mixes: [], moves: [], latents: null, row: 0, seed } })));
  }
  update();
  return { update, settled };
}
