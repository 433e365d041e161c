/** Blending: layers from a resolution on are another network's. */
import { fold, make } from '../dom.js';

export function blendPart(studio, section) {
  const { store, facts, engine } = studio;
  const { networks, sides } = facts.blends ?? { networks: [], sides: [] };
  section.hidden = !engine.can.blend || !networks.length || !sides.length;
  const usual = sides[Math.floor(sides.length / 2)];
  const choice = make('select', { id: 'blend-with', onchange: () => change({ network: choice.value }) },
    make('option', { value: '' }, 'nothing'), ...networks.map((name) => make('option', { value: name }, name)));
  const at = make('input', { type: 'range', id: 'blend-at', min: 0, max: sides.length - 1, step: 1, oninput: () => change({ at: sides[at.valueAsNumber] }) });
  const side = make('output', { for: 'blend-at', className: 'clock' });
  const soft = make('input', { type: 'checkbox', id: 'blend-soft', onchange: () => change({ soft: soft.checked }) });
  const more = make('div', {},
    make('div', { className: 'line blend-at', 'data-field': 'Blend resolution' }, make('label', { for: 'blend-at' }, 'from'), at, side),
    make('div', { className: 'line' }, soft, make('label', { for: 'blend-soft' }, 'softly, over four resolutions')));
  fold(section, 'Blend', 'finer layers of another network',
    make('div', { className: 'line', 'data-field': 'Blend' }, make('label', { for: 'blend-with' }, 'With'), choice), more);

  const blend = () => ({ network: '', at: usual, soft: false, ...store.state.blend });
  function change(fields) {
    const next = { ...blend(), ...fields };
    store.change({ blend: next.network ? next : null });
  }
  function update() {
    const { network, at: now, soft: softly } = blend();
    choice.value = networks.includes(network) ? network : '';
    at.value = Math.max(0, sides.indexOf(now));
    side.textContent = `${now}² on`;
    at.setAttribute('aria-valuetext', `${now} pixels`);
    soft.checked = softly;
    more.hidden = !store.state.blend;
  }
  update();
  return { update };
}
