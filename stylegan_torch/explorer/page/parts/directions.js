/** Directions: each with pictures of where it leads, a name of one's own, and a pin. */
import { fold, make, recall, refill, refocus, remember, round } from '../dom.js';
import { layersList, layersText, moved, strengthOf } from '../state.js';
import { layerBar } from './layer_bar.js';
import { slider } from './slider.js';

const SHOWN = 6;
const LOOK = 3;
/** How far the small pictures are along a direction. */
const REACH = 6;

export function directionsPart(studio, section) {
  const { store, facts } = studio;
  const key = `studio-names-${facts.key}`;
  let notes = recall(key, {});
  /** By "pca:3": {name, pinned}. */
  let kind = facts.directions[0];
  let more = 0;
  let words = '';
  const kinds = facts.directions.map((each) => make('button', { onclick: () => choose(each) }, shortName(each.name)));
  const search = make('input', { type: 'search', placeholder: 'Find by name', 'aria-label': 'Find a direction by name', oninput: () => ((words = search.value.toLowerCase()), list()) });
  const zero = make('button', { className: 'quiet', onclick: () => store.change({ moves: [] }) }, 'All to zero');
  const bar = layerBar({ names: facts.layers, label: 'Layers that directions move', live: setLayers });
  const rows = make('div', { className: 'rows' });
  const further = make('button', { className: 'quiet wide', onclick: () => ((more += 12), list(), settled()) }, 'Show more');
  fold(section, 'Directions', '',
    make('div', { className: 'line' }, make('div', { className: 'tabs', role: 'group', 'aria-label': 'Found by' }, ...kinds), search, zero),
    rows, further,
    make('div', { className: 'line layers' }, make('span', {}, 'Layers moved'), bar.element));

  const noteOf = (index) => notes[`${kind.name}:${index}`] ?? {};
  function note(index, change) {
    const all = recall(key, notes); // with what another page noted meanwhile
    const name = `${kind.name}:${index}`;
    notes = { ...all, [name]: { ...all[name], ...change } };
    remember(key, notes);
  }
  const nameOf = (index) => noteOf(index).name || `${shortName(kind.name)} ${index}`;

  function found() {
    const all = [...Array(kind.count).keys()];
    const wanted = words ? all.filter((index) => nameOf(index).toLowerCase().includes(words)) : all;
    const pinned = wanted.filter((index) => noteOf(index).pinned);
    const others = wanted.filter((index) => !pinned.includes(index));
    const inUse = others.filter((index, i) => i >= SHOWN + more - pinned.length && strengthOf(store.state, kind.name, index));
    return { first: [...pinned, ...others.slice(0, Math.max(0, SHOWN + more - pinned.length)), ...inUse], count: wanted.length };
  }

  let shown = [];
  function row(index) {
    const field = `Direction ${kind.name} ${index}`;
    const control = slider({ label: nameOf(index), field, min: -REACH, max: REACH, step: 0.1, live: (value) => go(index, value) });
    const step = (by) => go(index, round(Math.max(-REACH, Math.min(REACH, strengthOf(store.state, kind.name, index) + by))));
    const side = (sign) => {
      const image = make('img', { alt: '', className: 'waiting', draggable: false });
      const word = sign < 0 ? 'Less' : 'More';
      return { image, state: () => moved(store.state, kind.name, index, sign * LOOK), button: make('button', { className: 'look', 'data-key': `${word} ${index}`, 'aria-label': `${word} ${nameOf(index)}`, title: `${word} of it`, onclick: () => step(sign) }, image, make('span', { 'aria-hidden': 'true' }, sign < 0 ? '−' : '+')) };
    };
    const [less, greater] = [side(-1), side(1)];
    const rename = make('button', { className: 'quiet icon', 'data-key': `name ${index}`, 'aria-label': `Name ${nameOf(index)}`, title: 'Give it a name', onclick: () => naming(index, control) }, '✎');
    const pin = make('button', { className: 'quiet icon', 'data-key': `pin ${index}`, 'aria-label': `Pin ${nameOf(index)}`, 'aria-pressed': Boolean(noteOf(index).pinned), title: 'Keep it on top', onclick: () => (note(index, { pinned: !noteOf(index).pinned }), list(), settled()) }, noteOf(index).pinned ? '★' : '☆');
    control.element.querySelectorAll('input').forEach((each) => (each.dataset.key = `${each.type} ${index}`));
    control.element.append(rename, pin);
    return { index, control, less, greater, element: make('div', { className: 'direction' }, less.button, control.element, greater.button) };
  }

  const go = (index, strength) => {
    const change = moved(store.state, kind.name, index, strength ?? 0);
    store.change({ moves: withLayers(change.moves) });
  };
  const moves = () => store.state.moves.filter(({ directions }) => directions === kind.name);
  let layers = '';
  const withLayers = (all) => all.map((each) => (each.directions === kind.name ? { ...each, layers } : each));
  function setLayers(numbers) {
    const usual = kind.layers.length ? kind.layers : [...facts.layers.keys()];
    layers = !numbers.length || numbers.join() === usual.join() ? '' : layersText(numbers);
    store.change({ moves: withLayers(store.state.moves) });
  }

  function naming(index, control) {
    const input = make('input', { type: 'text', value: noteOf(index).name ?? '', maxLength: 40, 'aria-label': 'Its name' });
    const done = (event) => {
      input.removeEventListener('blur', done);
      note(index, { name: input.value.trim() });
      list();
      settled();
      studio.renamed();
      if (event.type !== 'blur') refocus(rows, `name ${index}`);
    };
    input.addEventListener('blur', done);
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') input.value = noteOf(index).name ?? '';
      if (event.key === 'Enter' || event.key === 'Escape') event.preventDefault(), done(event); // and it presses no button
      event.stopPropagation();
    });
    control.name.replaceChildren(input);
    input.focus();
  }

  function choose(next) {
    kind = next;
    more = 0;
    layers = moves()[0]?.layers ?? '';
    kinds.forEach((each, i) => each.setAttribute('aria-pressed', facts.directions[i] === kind));
    list();
    settled();
  }

  function list() {
    const { first, count } = found();
    shown = first.map(row);
    refill(rows, shown.map(({ element }) => element));
    if (!shown.length) rows.replaceChildren(make('p', { className: 'note' }, 'No direction has such a name.'));
    further.hidden = count <= shown.length;
    update();
  }

  function update() {
    layers = moves()[0]?.layers ?? layers;
    for (const { index, control } of shown) control.set(strengthOf(store.state, kind.name, index));
    zero.disabled = !store.state.moves.length;
    bar.set(layers ? layersList(layers, facts.layers.length) : kind.layers.length ? kind.layers : facts.layers.keys());
  }

  function settled() {
    const hidden = moves().some(({ index }) => !shown.some((each) => each.index === index));
    if (hidden && !words) list();
    studio.thumbs.show('directions', shown.flatMap(({ less, greater }) => [less, greater].map(({ image, state }) => ({ image, state: state() }))));
  }

  studio.directionNames = () => facts.directions.flatMap(({ name: directions, count }) => Array.from({ length: Math.min(count, 20) }, (_, index) => ({
    directions, index, name: notes[`${directions}:${index}`]?.name || `${shortName(directions)} ${index}`,
  })));
  choose(kind);
  return { update, settled };
}

/** A kind as it is read: methods in their own spelling, files without their folder. */
export const shortName = (name) => ({ pca: 'PCA', sefa: 'SeFa' })[name] ?? name.split(/[\\/]/).at(-1).replace(/\.(npz|safetensors)$/, '');
