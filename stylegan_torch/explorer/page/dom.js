/** Small helpers for elements. */

/** Make an element: `on…` are listeners, names with a dash and `role` are attributes, all else are properties. */
export function make(tag, about = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A part of the panel, with a heading, that can be folded; it stays as it was left. */
export function fold(section, title, note, ...children) {
  const key = `studio-fold-${section.id}`;
  const details = make('details', { open: recall(key, section.dataset.folded === undefined) },
    make('summary', {}, make('h2', {}, title), make('span', { className: 'note' }, note ?? '')), ...children);
  details.addEventListener('toggle', () => remember(key, details.open));
  section.replaceChildren(details);
  return details;
}

/** Read from local storage; what cannot be read is as if it were not there. */
export function recall(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Write to local storage; returns whether there was room. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Put a number into a field, unless it says just that already: somebody may be typing. */
export function put(input, value) {
  const said = input.value === '' ? null : input.valueAsNumber;
  if (said !== value && !(Number.isNaN(said) && document.activeElement === input)) input.value = value ?? '';
}

export const round = (value, digits = 2) => Number(value.toFixed(digits));

/** Let the browser save a file. */
export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
