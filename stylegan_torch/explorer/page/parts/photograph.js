/** A photograph, projected: the latents whose picture is most like it. */
import { fold, make } from '../dom.js';

const WORDS = { crop: 'crop', pad: 'pad', align: 'align the face' };

export function photographPart(studio, section) {
  const { store, facts, engine } = studio;
  let file = null;
  let running = null;
  const chooser = make('input', { type: 'file', id: 'photograph-file', accept: 'image/*', className: 'unseen', onchange: () => take(chooser.files[0]) });
  const label = make('label', { for: 'photograph-file', className: 'button' }, 'Choose a photograph');
  const options = (values, words = {}) => values.map((value) => make('option', { value }, words[value] ?? value));
  const fit = make('select', { id: 'fit' }, ...options(facts.fits, WORDS));
  const space = make('select', { id: 'space' }, ...options(facts.spaces));
  const steps = make('input', { type: 'number', id: 'steps', min: 1, max: facts.most_steps, step: 1, value: 300 });
  const start = make('button', { className: 'primary', id: 'project', disabled: true, onclick: () => (running ? running.abort() : project()) }, 'Project');
  const bar = make('progress', { max: 1, value: 0, 'aria-label': 'How far the projection is' });
  const step = make('p', { className: 'note', 'aria-hidden': 'true' }); // as the bar says it
  const progress = make('div', { id: 'progress', hidden: true }, bar, step);
  const line = make('p', { className: 'note', id: 'projection', role: 'status' }, 'Choose a photograph, or drop one anywhere.');
  const [aim, now] = ['What is aimed at', 'How near it is'].map((alt) => make('img', { alt, hidden: true }));
  const field = (name, text, input) => make('div', { 'data-field': name }, make('label', { for: input.id }, text), input);
  const details = fold(section, 'Photograph', 'find it in the network', make('div', { className: 'line' }, chooser, label, start),
    make('div', { className: 'fields' }, field('Fit', 'Fit', fit), field('Space', 'Space', space), field('Steps', 'Steps', steps)),
    progress, line, make('div', { className: 'pair' }, aim, now));

  function take(chosen) {
    if (!chosen) return;
    file = chosen;
    details.open = true;
    start.disabled = false;
    line.textContent = file.name;
  }

  function show({ kind, line: said, share, blob }) {
    if (kind === 'target') line.textContent = said;
    else {
      bar.value = share;
      bar.setAttribute('aria-valuetext', (step.textContent = said));
    }
    if (!blob.size) return;
    const image = kind === 'target' ? aim : now;
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
    image.hidden = false;
  }

  async function project() {
    const { network, class: label_ } = store.state;
    running = new AbortController();
    start.textContent = 'Stop';
    progress.hidden = false;
    bar.value = 0;
    step.textContent = '';
    now.hidden = true;
    try {
      const asked = { network, class: label_, fit: fit.value, space: space.value, steps: steps.value };
      const found = await engine.project(file, asked, show, running.signal);
      line.textContent = found.line;
      studio.begin(found, network);
    } catch (error) {
      const stopped = error.name === 'AbortError';
      line.textContent = stopped ? 'Stopped.' : error.message;
      if (!stopped) studio.tell(error.message, error.field);
    } finally {
      running = null;
      start.textContent = 'Project';
      progress.hidden = true;
    }
  }
  return { update: () => {}, take, close: () => running?.abort() };
}
