/** PNG files that say how they were made (PNG specification, third edition). */
import { crc32, joined, through } from './bytes.js';

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const COLOURS = { 1: 0, 2: 4, 3: 2, 4: 6 };
/** Types of colour by the number of channels. */
const SUB = 1;
/** The filter that stores each value less that of the pixel to the left. */

function chunk(kind, content) {
  const named = joined(kind, content);
  return joined(named.length - 4, named, crc32(named));
}

const ascii = (text) => text.replace(/[^\x20-\x7e]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Return a picture [height, width, channels] of 8-bit values as a file, with texts by their keywords and XMP. */
export async function pngOf({ width, height, channels, values }, texts, xmp) {
  const stride = width * channels;
  const rows = new Uint8Array(height * (stride + 1));
  for (let y = 0; y < height; y += 1) {
    const to = y * (stride + 1);
    const from = y * stride;
    rows[to] = SUB;
    for (let i = 0; i < stride; i += 1) rows[to + 1 + i] = values[from + i] - (i < channels ? 0 : values[from + i - channels]);
  }
  return joined(
    SIGNATURE,
    chunk('IHDR', joined(width, height, Uint8Array.of(8, COLOURS[channels], 0, 0, 0))),
    ...Object.entries(texts).map(([key, text]) => chunk('tEXt', joined(`${key}\0`, ascii(text)))),
    chunk('iTXt', joined('XML:com.adobe.xmp\0\0\0\0\0', xmp)),
    chunk('IDAT', await through(new CompressionStream('deflate'), rows)),
    chunk('IEND', new Uint8Array()),
  );
}
