/** Files of safetensors: arrays by their names. */

const TYPES = { F32: Float32Array, U8: Uint8Array };

/** Return the arrays {shape, values} of a file. */
export function tablesOf(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete head.__metadata__;
  return Object.fromEntries(Object.entries(head).map(([name, { dtype, shape, data_offsets: [start, end] }]) => [
    name, { shape, values: new TYPES[dtype](buffer.slice(8 + length + start, 8 + length + end)) },
  ]));
}
