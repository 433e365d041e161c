/** The picture, what is said of it, and how it was before, beside it. */
import { byId } from '../dom.js';

export class Stage {
  canvas = byId('picture');
  #before = byId('before');
  #number = 0;
  #leaving = false;
  shown = null;
  /** What is on the screen: {state, whole}. */
  held = null;

  constructor() {
    byId('divider').addEventListener('input', () => this.#divide());
    byId('full').addEventListener('click', () => this.full());
    byId('frame').addEventListener('click', ({ target }) => target !== byId('divider') && !document.fullscreenElement && this.full(false));
    document.addEventListener('fullscreenchange', () => this.#changed());
    addEventListener('keydown', ({ key }) => key === 'Escape' && this.full(false));
  }

  /** Put a frame on the screen; one that comes late is left out. */
  async show({ state = null, whole, blob }) {
    const number = ++this.#number;
    const bitmap = await createImageBitmap(blob);
    if (number !== this.#number) {
      bitmap.close();
      return false;
    }
    const { width, height } = bitmap;
    if (whole || !this.shown || this.canvas.width <= width) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext('2d');
    context.clearRect(0, 0, this.canvas.width, this.canvas.height); // what is transparent shows no earlier picture
    context.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    bitmap.close();
    byId('stage').style.setProperty('--ratio', width / height);
    this.canvas.setAttribute('aria-label', describe(state));
    this.shown = { state, whole };
    return true;
  }

  /** Keep the picture as A, beside what comes; or no longer. */
  hold(on) {
    this.held = on ? this.shown : null;
    if (on) {
      Object.assign(this.#before, { width: this.canvas.width, height: this.canvas.height });
      this.#before.getContext('2d').drawImage(this.canvas, 0, 0);
      this.#before.setAttribute('aria-label', `A: ${describe(this.held.state)}`);
    }
    for (const id of ['before', 'divider', 'tag-a', 'tag-b']) byId(id).hidden = !on;
    this.#divide();
  }

  /** Show nothing but the picture, on the whole screen where the browser lets it; Esc, or a tap, leaves. */
  full(on = !document.body.classList.contains('bare')) {
    document.body.classList.toggle('bare', on);
    if (on) byId('stage').requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) {
      this.#leaving = true;
      document.exitFullscreen();
    }
  }

  /** Leave too if the browser left the whole screen by itself; what was asked for may be told after it is on again. */
  #changed() {
    if (document.fullscreenElement) return;
    if (!this.#leaving) this.full(false);
    this.#leaving = false;
  }

  /** Return the picture as a small JPEG, in a text. */
  thumbnail(side = 112) {
    const scale = side / Math.max(this.canvas.width, this.canvas.height);
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: Math.round(this.canvas.width * scale), height: Math.round(this.canvas.height * scale) });
    canvas.getContext('2d').drawImage(this.canvas, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', 0.85);
  }

  #divide() {
    byId('frame').style.setProperty('--divide', `${byId('divider').value}%`);
  }
}

/** Say in words what a picture is. */
export function describe(state) {
  if (!state) return 'A moment of the film';
  const parts = [state.latents ? `row ${state.row} of latents` : `seed ${state.seed}`, `truncation ${state.psi}`];
  if (state.class !== null) parts.push(`class ${state.class}`);
  for (const { seed, layers } of state.mixes) parts.push(`layers ${layers} of seed ${seed}`);
  for (const { directions, index, strength } of state.moves) parts.push(`${directions} ${index} by ${strength}`);
  for (const { layer } of state.bends) parts.push(`${layer} bent`);
  if (state.translate.some((each) => each) || state.rotate) parts.push(`moved by ${state.translate.join(', ')}, turned by ${state.rotate}`);
  if (state.blend) parts.push(`blended with ${state.blend.network} from ${state.blend.at} on`);
  return `Picture of ${parts.join(', ')}`;
}
