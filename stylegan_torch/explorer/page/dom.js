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

/** Put other children into an element; what has the focus keeps it, if a new one has the same data-key. */
export function refill(element, children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children);
  if (key !== undefined) refocus(element, key);
}

/** Give the focus to what has a data-key in an element; returns whether there is such. */
export function refocus(element, key) {
  const found = [...element.querySelectorAll('[data-key]')].find((each) => each.dataset.key === key);
  found?.focus({ preventScroll: true });
  return Boolean(found);
}

const unwritten = new Map();
/** What local storage has no room for, or is denied: it is kept as long as the page. */

/** Read from local storage; what cannot be read, or is of another kind, is as if it were not there. */
export function recall(key, otherwise) {
  const alike = (value) => typeof value === typeof otherwise && Array.isArray(value) === Array.isArray(otherwise);
  try {
    const value = unwritten.get(key) ?? JSON.parse(localStorage.getItem(key));
    return value !== null && alike(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}

/** Write to local storage; returns whether there was room. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    unwritten.delete(key);
    return true;
  } catch {
    unwritten.set(key, value);
    return false;
  }
}

/** Put a number into a field, unless it says just that already: somebody may be typing. */
export function put(input, value) {
  const said = input.value === '' ? null : input.valueAsNumber;
  if (said !== value && !(Number.isNaN(said) && document.activeElement === input)) input.value = value ?? '';
}

/** Put a text where it stands, unless it is there: in WebKit a press on what was changed under it is no click. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const round = (value, digits = 2) => Number(value.toFixed(digits));

/** Let the browser save a file. */
export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
