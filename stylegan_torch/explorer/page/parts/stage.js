/** The picture, what is said of it, and how it was before, beside it. */
import { byId } from '../dom.js';

export class Stage {
  #picture = byId('picture');
  #before = byId('before');
  #number = 0;
  shown = null;
  /** What is on the screen: {state, whole}. */
  held = null;

  constructor() {
    byId('divider').addEventListener('input', () => this.#divide());
    byId('full').addEventListener('click', () => this.full());
    if (!document.fullscreenEnabled) byId('full').hidden = true;
  }

  /** Put a frame on the screen; one that comes late is left out. */
  async show({ state, whole, blob }) {
    const number = ++this.#number;
    const bitmap = await createImageBitmap(blob);
    if (number !== this.#number) return false;
    const { width, height } = bitmap;
    if (whole || !this.shown || this.#picture.width <= width) Object.assign(this.#picture, { width, height });
    const context = this.#picture.getContext('2d');
    context.clearRect(0, 0, this.#picture.width, this.#picture.height); // what is transparent shows no earlier picture
    context.drawImage(bitmap, 0, 0, this.#picture.width, this.#picture.height);
    bitmap.close();
    byId('stage').style.setProperty('--ratio', width / height);
    this.#picture.setAttribute('aria-label', describe(state));
    this.shown = { state, whole };
    return true;
  }

  /** Keep the picture as A, beside what comes; or no longer. */
  hold(on) {
    this.held = on ? this.shown?.state : null;
    if (on) {
      Object.assign(this.#before, { width: this.#picture.width, height: this.#picture.height });
      this.#before.getContext('2d').drawImage(this.#picture, 0, 0);
      this.#before.setAttribute('aria-label', `A: ${describe(this.held)}`);
    }
    for (const id of ['before', 'divider', 'tag-a', 'tag-b']) byId(id).hidden = !on;
    this.#divide();
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId('frame').requestFullscreen();
  }

  /** Return the picture as a small JPEG, in a text. */
  thumbnail(side = 112) {
    const scale = side / Math.max(this.#picture.width, this.#picture.height);
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: Math.round(this.#picture.width * scale), height: Math.round(this.#picture.height * scale) });
    canvas.getContext('2d').drawImage(this.#picture, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', 0.85);
  }

  #divide() {
    byId('frame').style.setProperty('--divide', `${byId('divider').value}%`);
  }
}

/** Say in words what a picture is. */
export function describe(state) {
  const parts = [state.latents ? `row ${state.row} of latents` : `seed ${state.seed}`, `truncation ${state.psi}`];
  if (state.class !== null) parts.push(`class ${state.class}`);
  for (const { seed, layers } of state.mixes) parts.push(`layers ${layers} of seed ${seed}`);
  for (const { directions, index, strength } of state.moves) parts.push(`${directions} ${index} by ${strength}`);
  for (const { layer } of state.bends) parts.push(`${layer} bent`);
  if (state.translate.some((each) => each) || state.rotate) parts.push(`moved by ${state.translate.join(', ')}, turned by ${state.rotate}`);
  return `Picture of ${parts.join(', ')}`;
}
