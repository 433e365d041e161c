/** What may move: painted by strokes, or by arrow keys and space; what is not painted lies under a veil. */
import { make } from '../dom.js';

export function maskOf({ width, height, changed }) {
  const painted = make('canvas', { width, height });
  const veil = make('canvas', { width, height, className: 'veil', tabIndex: 0, role: 'img', 'aria-label': 'Mask: arrow keys move the brush, space paints' });
  const ring = { place: [width / 2, height / 2], shown: false };
  const range = make('input', { type: 'range', id: 'brush-size', min: 1, max: 40, value: 12, oninput: show });
  const size = make('span', { className: 'brush' }, make('label', { for: 'brush-size', className: 'note' }, 'Brush'), range);
  const brush = painted.getContext('2d');
  let tool = 'off';
  let last = null;
  const radius = () => Number(range.value) / 100 * Math.max(width, height) / 2;
  const mask = {
    veil, size, empty: true,
    use(value) {
      tool = value;
      veil.tabIndex = tool === 'brush' || tool === 'eraser' ? 0 : -1;
      show();
    },
    begin: (place) => stroke(place, place),
    move(place) {
      ring.place = place;
      if (last) stroke(last, place);
      else show();
    },
    end: () => (last = null),
    clear() {
      brush.clearRect(0, 0, width, height);
      done();
    },
    /** A picture: white is what may move. As a file, and as a text in base64. */
    async file() {
      const canvas = make('canvas', { width, height });
      const context = canvas.getContext('2d');
      context.fillStyle = '#000';
      context.fillRect(0, 0, width, height);
      context.drawImage(painted, 0, 0);
      const blob = await new Promise((done_) => canvas.toBlob(done_, 'image/png'));
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const digest = globalThis.crypto.subtle ? new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)) : [];
      const hex = [...digest].slice(0, 3).map((each) => each.toString(16).padStart(2, '0')).join('');
      return { blob, name: hex ? `mask-${hex}.png` : 'mask.png', text: btoa([...bytes].map((each) => String.fromCharCode(each)).join('')) };
    },
  };

  function stroke(from, to) {
    if (tool !== 'brush' && tool !== 'eraser') return;
    last = to;
    brush.globalCompositeOperation = tool === 'brush' ? 'source-over' : 'destination-out';
    Object.assign(brush, { strokeStyle: '#fff', lineCap: 'round', lineWidth: 2 * radius() });
    brush.beginPath();
    brush.moveTo(from[0] + 0.5, from[1] + 0.5);
    brush.lineTo(to[0] + 0.5, to[1] + 0.5);
    brush.stroke();
    ring.place = to;
    done();
  }
  function done() {
    mask.empty = !brush.getImageData(0, 0, width, height).data.some((each) => each);
    show();
    changed();
  }
  function show() {
    const context = veil.getContext('2d');
    context.clearRect(0, 0, width, height);
    if (!mask.empty) {
      context.fillStyle = 'rgb(12 11 10 / 0.55)';
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = 'destination-out';
      context.drawImage(painted, 0, 0);
      context.globalCompositeOperation = 'source-over';
    }
    if (tool !== 'brush' && tool !== 'eraser') return;
    Object.assign(context, { strokeStyle: '#fff', lineWidth: Math.max(width / 200, 0.4) });
    context.beginPath();
    context.arc(ring.place[0] + 0.5, ring.place[1] + 0.5, radius(), 0, 2 * Math.PI);
    context.stroke();
  }
  veil.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way && event.key !== ' ') return;
    event.preventDefault();
    event.stopPropagation();
    const far = Math.max(1, Math.round(radius() / 2));
    const [x, y] = ring.place;
    const next = way ? [Math.min(width - 1, Math.max(0, x + way[0] * far)), Math.min(height - 1, Math.max(0, y + way[1] * far))] : [x, y];
    if (!way || event.shiftKey) stroke([x, y], next);
    mask.move(next);
    last = null;
  });
  return mask;
}
