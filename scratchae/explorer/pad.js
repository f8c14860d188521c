// A pad to draw on. The drawing is converted to the form of MNIST's digits: scaled so that its longer
// side has 20 pixels, with its centre of mass in the middle of 28 x 28 pixels (LeCun et al. 1998).

const SCALE = 8; // pixels of the pad for one pixel of a digit
const PEN = 2.4 * SCALE;
const BOX = 20;

class Pad {
  /** Calls changed(ink) after every stroke with 784 numbers in [0, 1], or null if it is cleared. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = onceAFrame(changed);
    canvas.width = canvas.height = SIDE * SCALE;
    this.context = canvas.getContext('2d', { willReadFrequently: true });
    this.pen = { x: canvas.width / 2, y: canvas.height / 2, down: false };
    this.clear();
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.lift();
      this.to(...this.place(event), true);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.to(...this.place(one), true);
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    canvas.addEventListener('blur', () => this.lift());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const k = this.canvas.width / box.width;
    return [(event.clientX - box.left) * k, (event.clientY - box.top) * k];
  }

  /** Arrow keys move the pen, the space bar puts it down or lifts it, Delete clears the pad. */
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (step) {
      const limit = (value) => Math.min(this.canvas.width, Math.max(0, value));
      const [x, y] = [this.pen.x + step[0] * SCALE, this.pen.y + step[1] * SCALE].map(limit);
      this.to(x, y, this.pen.down);
    } else if (event.key === ' ') {
      if (this.pen.down) this.lift();
      else this.to(this.pen.x, this.pen.y, true);
    } else if (event.key === 'Delete' || event.key === 'Backspace') this.clear(true);
    else return;
    event.preventDefault();
    this.mark();
  }

  /** Move the pen to (x, y), and draw a line if it is down. */
  to(x, y, down) {
    const { context, pen } = this;
    if (down) {
      context.strokeStyle = 'white';
      context.lineWidth = PEN;
      context.lineCap = context.lineJoin = 'round';
      context.beginPath();
      context.moveTo(pen.down ? pen.x : x, pen.down ? pen.y : y);
      context.lineTo(x, y);
      context.stroke();
      this.changed(this.digit());
    }
    this.pen = { x, y, down };
    this.mark();
  }

  lift() {
    this.pen.down = false;
    this.mark();
  }

  /** Show the position of the keyboard's pen as a dot. */
  mark() {
    const share = (value) => `${(100 * value) / this.canvas.width}%`;
    const { style, dataset } = this.canvas.parentElement;
    style.setProperty('--pen-x', share(this.pen.x));
    style.setProperty('--pen-y', share(this.pen.y));
    dataset.pen = this.pen.down ? 'down' : 'up';
  }

  /** Clear the pad, and report it if `tell` is true. */
  clear(tell = false) {
    this.context.fillStyle = 'black';
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.lift();
    if (tell) this.changed(null);
  }

  /** Show a digit as if it had been drawn. */
  show(ink) {
    this.clear();
    this.context.imageSmoothingEnabled = true;
    this.context.drawImage(digitCanvas(ink), 0, 0, this.canvas.width, this.canvas.height);
  }

  digit() {
    const side = this.canvas.width;
    const { data } = this.context.getImageData(0, 0, side, side);
    return centred(Float32Array.from({ length: side * side }, (_, i) => data[4 * i] / 255), side);
  }
}

/** Bring ink (side, side) to the form of MNIST, 784 numbers in [0, 1]; null if there is no ink. */
function centred(ink, side) {
  let [left, right, top, bottom, mass, x, y] = [side, -1, side, -1, 0, 0, 0];
  ink.forEach((value, i) => {
    const [column, row] = [i % side, Math.floor(i / side)];
    mass += value;
    x += value * (column + 0.5);
    y += value * (row + 0.5);
    if (value < 0.3) return; // ignore the faint edge of a stroke
    [left, right] = [Math.min(left, column), Math.max(right, column)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
  });
  if (right < 0) return null;
  const unit = Math.max(right - left + 1, bottom - top + 1) / BOX; // pixels of the pad per pixel of the digit
  const middle = (centre, first, last) => // start of the 28 x 28 window; all ink stays inside
    Math.max(last + 1 - SIDE * unit, Math.min(first, centre - 14.5 * unit));
  const origin = [middle(x / mass, left, right), middle(y / mass, top, bottom)];
  const fine = 4; // samples per side of a pixel
  return Float32Array.from({ length: SIDE * SIDE }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < fine * fine; k++) {
      const column = Math.floor(origin[0] + (i % SIDE + ((k % fine) + 0.5) / fine) * unit);
      const row = Math.floor(origin[1] + (Math.floor(i / SIDE) + (Math.floor(k / fine) + 0.5) / fine) * unit);
      if (column >= 0 && row >= 0 && column < side && row < side) sum += ink[row * side + column];
    }
    return sum / fine ** 2;
  });
}
