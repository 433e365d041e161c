/** What a picture file says of itself. */

import { isState } from './state.js';

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** Return the text fields of a PNG, by keyword. */
export function textsOfPng(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  if (!SIGNATURE.every((each, i) => bytes[i] === each)) return {};
  const texts = {};
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) break;
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind !== 'tEXt') continue;
    const content = bytes.subarray(at + 8, at + 8 + length);
    const end = content.indexOf(0);
    const read = new TextDecoder('latin1');
    texts[read.decode(content.subarray(0, end))] = read.decode(content.subarray(end + 1));
  }
  return texts;
}

/** Return the page's state in a picture file; null if it has none. */
export async function stateOfPicture(file) {
  try {
    const { state } = JSON.parse(textsOfPng(await file.arrayBuffer())['stylegan-torch']);
    return isState(state) ? state : null;
  } catch {
    return null;
  }
}
