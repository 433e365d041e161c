/** A film of what is shown, made by the browser as time goes by. */
import { make } from './dom.js';

const KINDS = ['video/webm;codecs=vp9', 'video/webm;codecs=vp8', 'video/webm', 'video/mp4'];
const BITS = 12_000_000;
const LEAST = 256;
/** Pixels a side; what is smaller is drawn larger, as films of few pixels look bad and some encoders refuse them. */

const kind = () => KINDS.find((each) => globalThis.MediaRecorder?.isTypeSupported(each));

export const canRecord = () => Boolean(kind() && HTMLCanvasElement.prototype.captureStream);

export class Recorder {
  #canvas;
  #recorder;
  #parts = [];

  /** Begin with what is in a canvas; the film stays as large, whatever comes. */
  constructor(canvas) {
    const scale = Math.ceil(LEAST / Math.max(LEAST / 8, Math.min(canvas.width, canvas.height)));
    const even = (side) => Math.max(2, 2 * Math.round(side * scale / 2));
    this.#canvas = make('canvas', { width: even(canvas.width), height: even(canvas.height) });
    this.add(canvas);
    this.#recorder = new MediaRecorder(this.#canvas.captureStream(30), { mimeType: kind(), videoBitsPerSecond: BITS });
    this.#recorder.addEventListener('dataavailable', ({ data }) => this.#parts.push(data));
    this.#recorder.start(1000);
  }

  /** Show the next picture. */
  add(canvas) {
    const context = this.#canvas.getContext('2d');
    context.imageSmoothingEnabled = canvas.width > this.#canvas.width / 2;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height); // on which transparent pictures are laid
    context.drawImage(canvas, 0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** End, and give the film; null if the browser makes none after all. */
  async stop() {
    const ended = new Promise((resolve) => this.#recorder.addEventListener('stop', resolve));
    this.#recorder.stop();
    await ended;
    const type = this.#recorder.mimeType;
    const blob = new Blob(this.#parts, { type });
    return blob.size ? { blob, suffix: type.includes('mp4') ? '.mp4' : '.webm' } : null;
  }
}
