/** The command line that makes the picture again. */
import { fold, make } from '../dom.js';

export function againPart(studio, section) {
  const line = make('pre', { id: 'commands', tabIndex: 0, 'aria-label': 'The command line that makes this picture again' });
  const copy = make('button', { className: 'quiet', disabled: true, onclick: () => studio.copy(line.textContent, 'The command line is copied.') }, 'Copy');
  fold(section, 'Make it again', studio.engine.again, line, make('div', { className: 'line' }, make('span', { className: 'push' }), copy));
  return {
    show: (text) => {
      line.textContent = text;
      copy.disabled = !text;
    },
  };
}
