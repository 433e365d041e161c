/** Arrays in files as numpy has them: .npy, and .npz, a ZIP archive of these (numpy.lib.format, APPNOTE 6.3). */
import { crc32, joined, through, utf8 } from './bytes.js';

const TYPES = { '<f4': Float32Array, '<f8': Float64Array, '<i4': Int32Array, '<i8': BigInt64Array, '<u4': Uint32Array, '|u1': Uint8Array };
const MOST = 50_000_000;
/** Bytes to which an entry may unpack. */

const little = (size, ...numbers) => joined(...numbers.map((each) => Uint8Array.from({ length: size }, (_, i) => each / 2 ** (8 * i))));
const text = (bytes) => new TextDecoder().decode(bytes);

/** Return an array {type, shape, values} as an .npy file; values are a typed array, or a text of type <U. */
function npy({ type, shape, values }) {
  const written = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const head = `${written.padEnd(Math.ceil((written.length + 11) / 64) * 64 - 11)}\n`;
  const content = typeof values === 'string' ? little(4, ...[...values].map((sign) => sign.codePointAt(0))) : new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return joined(Uint8Array.of(0x93), 'NUMPY', Uint8Array.of(1, 0), little(2, head.length), head, content);
}

/** Return arrays by their names as an .npz file, not packed. */
export function npzOf(arrays) {
  const entries = [];
  const list = [];
  let at = 0;
  for (const [name, array] of Object.entries(arrays)) {
    const content = npy(array);
    const path = utf8(`${name}.npy`);
    const about = joined(little(2, 20, 0, 0, 0, 33), little(4, crc32(content), content.length, content.length), little(2, path.length, 0));
    const entry = joined('PK\x03\x04', about, path, content);
    list.push(joined('PK\x01\x02', little(2, 20), about, little(2, 0, 0, 0), little(4, 0, at), path));
    entries.push(entry);
    at += entry.length;
  }
  const directory = joined(...list);
  return joined(...entries, directory, 'PK\x05\x06', little(2, 0, 0, list.length, list.length), little(4, directory.length, at), little(2, 0));
}

/** Return the array of an .npy file; its values are null if they are of a type that cannot be read here. */
function ofNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wide = bytes[6] > 1;
  const start = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const head = text(bytes.subarray(wide ? 12 : 10, start));
  const order = head.includes("'fortran_order': True") ? ' in Fortran order' : '';
  const type = (/'descr': '([^']+)'/.exec(head)?.[1] ?? 'records') + order;
  const shape = /'shape': \(([^)]*)\)/.exec(head)[1].split(',').filter((each) => each.trim()).map(Number);
  if (!Object.hasOwn(TYPES, type)) return { type, shape, values: null };
  const count = shape.reduce((product, each) => product * each, 1);
  return { type, shape, values: new TYPES[type](bytes.slice(start).buffer, 0, count) };
}

/**
 * Return the arrays of an .npz file by their names, or that of an .npy file as "ws"; an error for anything else.
 * Those whose names are not wanted are not read: null.
 */
export async function arraysOf(bytes, wanted) {
  if (bytes[0] === 0x93 && text(bytes.subarray(1, 6)) === 'NUMPY') return { ws: ofNpy(bytes) };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end -= 1;
  let at = view.getUint32(end + 16, true);
  const arrays = {};
  for (let left = view.getUint16(end + 10, true); left; left -= 1) {
    const method = view.getUint16(at + 10, true);
    const [packed, size] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
    const [path, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const name = text(bytes.subarray(at + 46, at + 46 + path)).replace(/\.npy$/, '');
    at += 46 + path + extra + comment;
    arrays[name] = null;
    if (!wanted(name)) continue;
    if (size > MOST) throw new RangeError(name);
    const content = bytes.slice(start, start + packed);
    arrays[name] = ofNpy(method ? await through(new DecompressionStream('deflate-raw'), content) : content);
  }
  return arrays;
}
