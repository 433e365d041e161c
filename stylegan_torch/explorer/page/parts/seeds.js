/** The strip of seeds: pick one, mix one in, pin those to come back to. */
import { make, put, recall, refill, remember } from '../dom.js';

const SHOWN = 24;
const LAST = 2 ** 32 - 1;
const MOST_PINS = 48;

export function seedsPart(studio, section) {
  const { store, thumbs } = studio;
  const key = `studio-pins-${studio.facts.key}`;
  let pins = recall(key, studio.facts.seeds ?? []).slice(0, MOST_PINS);
  let start = Math.max(0, store.state.seed - 2);
  const seed = make('input', { type: 'number', id: 'seed', min: 0, max: LAST, step: 1 });
  const pin = make('button', { className: 'quiet', 'aria-pressed': 'false' }, 'Pin');
  const back = make('button', { className: 'quiet icon', 'aria-label': 'Earlier seeds' }, '‹');
  const on = make('button', { className: 'quiet icon', 'aria-label': 'Later seeds' }, '›');
  const row = make('input', { type: 'number', min: 0, step: 1, id: 'row' });
  const rowField = make('span', { 'data-field': 'Row' }, make('label', { for: 'row' }, 'row'), row);
  const brought = make('span', { className: 'brought', hidden: true });
  const strip = make('div', { className: 'strip', role: 'listbox', 'aria-label': 'Seeds', 'aria-orientation': 'horizontal' });
  section.replaceChildren(
    make('div', { className: 'strip-head' },
      make('span', { className: 'seed-field', 'data-field': 'Seed' }, make('label', { for: 'seed' }, 'Seed'), seed), pin, brought,
      make('span', { className: 'push' }), back, on),
    strip);

  const pick = (value) => store.change({ seed: value, latents: null, row: 0 });
  const mixIn = (value) => studio.mixIn(value);
  const listed = () => [...pins, ...Array.from({ length: SHOWN }, (_, i) => start + i).filter((each) => each <= LAST && !pins.includes(each))];

  function cell(value) {
    const image = make('img', { alt: '', className: 'waiting', draggable: false });
    const mix = make('button', { className: 'mix', 'data-key': `mix ${value}`, tabIndex: -1, title: `Mix seed ${value} in (M)`, 'aria-label': `Mix seed ${value} in`, onclick: (event) => (event.stopPropagation(), mixIn(value)) }, '+');
    const element = make('div', {
      className: 'seed', role: 'option', 'data-key': `seed ${value}`, tabIndex: -1, 'aria-label': `Seed ${value}`, onclick: () => pick(value),
      onkeydown: (event) => {
        if (event.target !== element) return; // but the button in it
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const cells = [...strip.children];
        if (step) {
          const next = cells[cells.indexOf(element) + step];
          if (next) next.focus();
          next?.click();
        } else if (event.key === 'm') mixIn(value);
        else if (event.key === 'Enter' || event.key === ' ') pick(value);
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    }, image, make('span', { className: 'number' }, String(value)), mix);
    element.dataset.seed = value;
    element.classList.toggle('pinned', pins.includes(value));
    return { element, image, value };
  }

  let drawn = '';
  function list() {
    const { network, psi, class: label, blend } = store.state;
    const wanted = JSON.stringify([listed(), pins, network, psi, label, blend]);
    if (wanted === drawn) return mark();
    drawn = wanted;
    const cells = listed().map(cell);
    refill(strip, cells.map(({ element }) => element));
    const plain = { network, psi, class: label, blend, seed: 0, latents: null, row: 0, psis: [], mixes: [], moves: [], bends: [], translate: [0, 0], rotate: 0, noise: 'official', noise_seed: 0 };
    thumbs.show('seeds', cells.map(({ image, value }) => ({ image, state: { ...plain, seed: value } })));
    mark();
  }

  function mark() {
    const { latents, seed: current } = store.state;
    let any = false;
    for (const each of strip.children) {
      const selected = latents === null && Number(each.dataset.seed) === current;
      each.setAttribute('aria-selected', selected);
      each.tabIndex = selected ? 0 : -1;
      any ||= selected;
    }
    if (!any && strip.firstChild) strip.firstChild.tabIndex = 0;
    pin.setAttribute('aria-pressed', pins.includes(current));
    pin.disabled = pins.length >= MOST_PINS && !pins.includes(current);
  }

  function update() {
    const { seed: current, latents } = store.state;
    put(seed, current);
    put(row, store.state.row);
    if (latents === null && Number.isInteger(current) && current >= 0 && current <= LAST && !listed().includes(current)) {
      start = Math.max(0, current - 2);
      strip.scrollLeft = 0;
      list();
    }
    brought.hidden = latents === null;
    const about = studio.brought(latents);
    if (latents !== null) {
      brought.replaceChildren(`begins with ${about?.name.split('/').at(-1) ?? 'latents'} `, ...(about?.rows > 1 ? [rowField] : []),
        make('button', { className: 'quiet icon', 'aria-label': 'Begin with the seed again', onclick: () => pick(store.state.seed) }, '×'));
    }
    mark();
  }

  const page = (step) => {
    start = Math.min(LAST, Math.max(0, start + step * SHOWN));
    strip.scrollLeft = 0;
    list();
  };
  seed.addEventListener('input', () => pick(seed.value === '' ? null : seed.valueAsNumber));
  row.addEventListener('input', () => store.change({ row: row.value === '' ? null : row.valueAsNumber }));
  back.addEventListener('click', () => page(-1));
  on.addEventListener('click', () => page(1));
  pin.addEventListener('click', () => {
    const { seed: current } = store.state;
    const others = recall(key, pins).filter((each) => each !== current); // with those of another page
    pins = (pins.includes(current) ? others : [...others, current]).slice(0, MOST_PINS);
    remember(key, pins);
    list();
  });
  list();
  return { update, settled: list, step: (by) => pick(Math.min(LAST, Math.max(0, store.state.seed + by))) };
}
