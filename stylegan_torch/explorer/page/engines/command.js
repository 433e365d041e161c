/** The command line that makes a picture again. */

const real = (value) => (Number.isInteger(value) ? `${value}.0` : String(value));

/** Return a word as a shell takes it. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

function argumentsOf(picture) {
  const at = (layers) => (layers ? `@${layers}` : '');
  const words = picture.base ? ['--latents', picture.base.name] : ['--seeds', String(picture.seed)];
  if (picture.row !== null) words.push('--row', String(picture.row));
  words.push('--truncation', real(picture.psi));
  for (const { psi, layers } of picture.psis) words.push('--truncation', real(psi) + at(layers));
  if (picture.label !== null) words.push('--class', String(picture.label));
  for (const { seed, layers } of picture.mixes) words.push('--mix', `${seed}${at(layers)}`);
  for (const { directions, index, strength, layers } of picture.moves) words.push('--move', `${directions}:${index}=${real(strength)}${at(layers)}`);
  if (picture.noise !== 'official') words.push('--noise', picture.noise);
  if (picture.noise === 'random') words.push('--noise-seed', String(picture.noiseSeed));
  return words;
}

/** Return a picture's line, without the files that it writes. */
export const lineOf = (picture, about) => ['stylegan', 'draw', ...about.options, ...argumentsOf(picture)].map(quoted).join(' ');

/** Return all lines that it takes, whose files have this name. */
export function commandsOf(picture, about, stem) {
  const files = ['--out', `${stem}.png`, '--save-latents', `${stem}.npz`].map(quoted).join(' ');
  return [...about.story, `${lineOf(picture, about)} ${files}`].join('\n');
}
