/** Bytes put together, and their checksum. */

const TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Return the CRC-32 of bytes, as PNG and ZIP have it. */
export function crc32(bytes) {
  let value = ~0;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

export const utf8 = (text) => new TextEncoder().encode(text);

/** Return pieces one after the other: texts, numbers as 32 bits with the highest first, or bytes. */
export function joined(...pieces) {
  const parts = pieces.map((each) => {
    if (typeof each === 'string') return utf8(each);
    if (typeof each !== 'number') return each;
    return Uint8Array.of(each >>> 24, each >>> 16, each >>> 8, each);
  });
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Pack or unpack bytes by a stream of the browser's. */
export async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
