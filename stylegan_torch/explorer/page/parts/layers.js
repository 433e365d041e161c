/** Layers: what is in the channels of each, how much each RGB layer adds; and bending: their features moved and turned. */
import { fold, make, round } from '../dom.js';
import { layersList, layersText } from '../state.js';
import { slider } from './slider.js';

const PLAIN = { channels: '', move: [0, 0], turn: 0, zoom: 1, gain: 1 };

export function layersPart(studio, section) {
  const { store, engine } = studio;
  let layers = [];
  let layer = null;
  let first = 0;
  let shown = null;
  /** {channels, first, count} of what is in the grid. */
  let seen = null;
  /** The state whose layers are shown. */
  const names = make('select', { id: 'layer', onchange: () => choose(names.value) });
  const grid = make('div', { className: 'channels', role: 'group', 'aria-label': 'Channels: those chosen are bent, all if none is' });
  const back = make('button', { className: 'quiet icon', 'aria-label': 'Earlier channels', onclick: () => page(-1) }, '‹');
  const on = make('button', { className: 'quiet icon', 'aria-label': 'Later channels', onclick: () => page(1) }, '›');
  const count = make('span', { className: 'note' });
  const all = make('button', { className: 'quiet', onclick: () => change({ channels: '' }) }, 'All channels');
  const chart = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  chart.setAttribute('class', 'spectrum');
  chart.setAttribute('viewBox', '0 0 100 40');
  chart.setAttribute('preserveAspectRatio', 'none');
  chart.setAttribute('role', 'img');
  const shares = make('div', { className: 'shares', role: 'img' });
  const line = make('p', { className: 'note', id: 'layers-line', role: 'status' });
  const control = (label, about, live) => slider({ label, field: `bend ${label}`, ...about, live: (value) => value !== null && live(value) });
  const controls = {
    x: control('Across', { min: -0.5, max: 0.5 }, (value) => change({ move: [value, bend().move[1]] })),
    y: control('Down', { min: -0.5, max: 0.5 }, (value) => change({ move: [bend().move[0], value] })),
    turn: control('Turn', { min: -180, max: 180, step: 1 }, (turn) => change({ turn })),
    zoom: control('Zoom', { min: 0.25, max: 4, neutral: 1 }, (zoom) => change({ zoom })),
    gain: control('Gain', { min: -2, max: 4, neutral: 1 }, (gain) => change({ gain })),
  };
  const straight = make('button', { className: 'quiet', onclick: () => store.change({ bends: [] }) }, 'Nothing bent');
  const details = fold(section, 'Layers', 'look into them, bend them',
    make('div', { className: 'line', 'data-field': 'Layer' }, make('label', { for: 'layer', className: 'unseen' }, 'Layer'), names, make('span', { className: 'push' }), back, count, on),
    grid, chart, make('div', { className: 'line' }, all, make('span', { className: 'push' }), straight),
    make('div', { className: 'bending' }, ...Object.values(controls).map(({ element }) => element)),
    make('details', { className: 'inner' }, make('summary', {}, 'What each RGB layer adds'), shares), line);
  details.addEventListener('toggle', () => details.open && settled());

  const bend = () => store.state.bends.find((each) => each.layer === layer) ?? { layer, ...PLAIN };
  function change(fields) {
    if (!layer) return;
    const next = { ...bend(), ...fields };
    const plain = !next.move[0] && !next.move[1] && !next.turn && next.zoom === 1 && next.gain === 1 && !next.channels;
    const others = store.state.bends.filter((each) => each.layer !== layer);
    store.change({ bends: plain ? others : [...others, next] });
  }
  const chosen = () => new Set(bend().channels ? layersList(bend().channels, shown?.channels ?? 0) : []);
  function toggle(i) {
    const now = chosen();
    if (!now.delete(i)) now.add(i);
    change({ channels: layersText([...now].sort((a, b) => a - b)) });
  }

  function choose(name) {
    layer = name;
    first = 0;
    look();
  }
  function page(step) {
    first = Math.max(0, first + step * 64);
    look();
  }

  /** Ask for what is in the layers of the state that is shown; an answer that comes late is left out. */
  let asked = 0;
  async function look() {
    const mine = ++asked;
    const { state } = store;
    try {
      if (!layers.length || shares.dataset.of !== JSON.stringify(state)) {
        const { layers: found } = await engine.layers({ state, layer: null, first: 0 });
        if (mine !== asked) return;
        list(found, state);
      }
      const { blob, ...about } = await engine.layers({ state, layer, first });
      if (mine !== asked) return;
      const sheet = await createImageBitmap(blob);
      if (mine !== asked) return sheet.close();
      shown = about;
      fill(sheet);
      draw(about.spectrum);
      line.textContent = '';
    } catch (error) {
      if (mine === asked) line.textContent = error.message;
    }
    update();
  }

  function list(found, state) {
    shares.dataset.of = JSON.stringify(state);
    if (layers.map(({ name }) => name).join() !== found.map(({ name }) => name).join()) {
      names.replaceChildren(...found.map(({ name, channels, height, width }) => make('option', { value: name }, `${name}: ${channels} of ${width}×${height}`)));
      layer = found.some(({ name }) => name === layer) ? layer : found[Math.min(found.length - 1, 3)].name;
    }
    layers = found;
    names.value = layer;
    const adding = found.filter(({ share }) => share !== null);
    shares.setAttribute('aria-label', adding.map(({ name, share }) => `${name} ${Math.round(100 * share)} %`).join(', '));
    shares.replaceChildren(...adding.flatMap(({ name, share }) => {
      const bar = make('span', { className: 'bar-of' });
      bar.style.setProperty('--share', `${100 * share}%`);
      return [make('span', {}, name.replace('.torgb', '')), bar, make('span', {}, `${Math.round(100 * share)} %`)];
    }));
  }

  function fill(sheet) {
    const { count: some, columns } = shown;
    const [width, height] = [sheet.width / columns, sheet.height / Math.ceil(some / columns)];
    const focused = grid.contains(document.activeElement) ? [...grid.children].indexOf(document.activeElement) : -1;
    grid.replaceChildren(...Array.from({ length: some }, (_, i) => {
      const canvas = make('canvas', { width, height });
      canvas.getContext('2d').drawImage(sheet, (i % columns) * width, Math.floor(i / columns) * height, width, height, 0, 0, width, height);
      const number = shown.first + i;
      return make('button', { className: 'channel', tabIndex: i ? -1 : 0, 'aria-label': `Channel ${number}`, title: `Channel ${number}`, onclick: () => toggle(number) }, canvas);
    }));
    grid.children[focused]?.focus({ preventScroll: true });
    sheet.close();
  }
  grid.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key];
    const next = [...grid.children][[...grid.children].indexOf(document.activeElement) + step];
    if (!step) return;
    event.preventDefault();
    if (!next) return;
    document.activeElement.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  function draw(spectrum) {
    chart.toggleAttribute('hidden', !spectrum.length);
    if (!spectrum.length) return;
    const [low, high] = [Math.min(...spectrum), Math.max(...spectrum)];
    const path = document.createElementNS(chart.namespaceURI, 'polyline');
    path.setAttribute('points', spectrum.map((each, i) => `${round(i / (spectrum.length - 1) * 100)},${round(38 - (each - low) / Math.max(1e-6, high - low) * 36)}`).join(' '));
    chart.replaceChildren(path);
    chart.setAttribute('aria-label', `Power of the layer by frequency: from ${Math.round(spectrum[0])} to ${Math.round(spectrum.at(-1))} decibels at half a cycle a sample`);
  }

  function update() {
    const { move, turn, zoom, gain } = bend();
    for (const [name, value] of Object.entries({ x: move[0], y: move[1], turn, zoom, gain })) controls[name].set(value);
    const picked = chosen();
    [...grid.children].forEach((each, i) => each.setAttribute('aria-pressed', picked.has((shown?.first ?? 0) + i)));
    straight.disabled = !store.state.bends.length;
    all.disabled = !picked.size;
    back.disabled = !shown?.first;
    on.disabled = !shown || shown.first + shown.count >= shown.channels;
    count.textContent = shown ? `${shown.first}–${shown.first + shown.count - 1} of ${shown.channels}` : '';
  }
  function settled() {
    if (!details.open || seen === store.state) return;
    seen = store.state;
    look();
  }
  update();
  return { update, settled, close: () => (asked += 1) };
}
