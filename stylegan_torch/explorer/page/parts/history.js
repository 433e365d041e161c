/** What was drawn, in local storage: it is there again when the page is. */
import { fold, make, recall, refill, remember, save } from '../dom.js';
import { compact, complete, written } from '../state.js';
import { describe } from './stage.js';

const KEY = 'studio-history';
const KEPT = 60;

export function historyPart(studio, section) {
  const { store } = studio;
  let kept = recall(KEY, []);
  /** [{state, picture}], the newest first. */
  const list = make('div', { className: 'history', role: 'list' });
  const empty = make('p', { className: 'note' }, 'Pictures that you stay with for a moment are kept here, in this browser.');
  const take = make('button', { className: 'quiet', onclick: () => save('history.json', new Blob([JSON.stringify(kept.map(({ state }) => state), null, 1)], { type: 'application/json' })) }, 'Export');
  const clear = make('button', { className: 'quiet', onclick: () => ((kept = []), remember(KEY, kept), show()) }, 'Clear');
  fold(section, 'History', '', empty, list, make('div', { className: 'line' }, make('span', { className: 'push' }), take, clear));

  function show() {
    refill(list, kept.map(({ state, picture }) => make('div', { role: 'listitem' },
      make('button', { 'data-key': written(complete(state)), 'aria-label': `Back to the ${describe(complete(state)).replace('Picture', 'picture')}`, title: describe(complete(state)), onclick: () => store.change(complete(state)) },
        make('img', { src: picture, alt: '' })))));
    empty.hidden = kept.length > 0;
    take.disabled = clear.disabled = !kept.length;
  }

  /** Keep what is on the screen, beside what other pages kept meanwhile. */
  function keep(state, picture) {
    const text = written(state);
    kept = [{ state: compact(state), picture }, ...recall(KEY, kept).filter((each) => written(complete(each.state)) !== text)].slice(0, KEPT);
    let count = kept.length;
    while (count && !remember(KEY, kept.slice(0, count))) count -= 1;
    if (!count) remember(KEY, kept); // nothing can be stored: until the page is left
    show();
  }
  show();
  return { keep };
}
