// The plane of a code of two numbers: a grid of decoded images behind the cloud.

const CELL = 36; // pixels of the screen for one image
const PATIENCE = 8; // milliseconds of decoding per frame

class Plane {
  constructor(cloud, decode) {
    Object.assign(this, { cloud, decode, shown: true, key: '', cells: [] });
    this.canvas = document.createElement('canvas');
  }

  /** Draw the images that are ready. If the cloud has another size or colours, begin anew. */
  paint(context) {
    const { w, h } = this.cloud;
    if (!this.shown) return;
    const key = [w, h, this.cloud.unit, theme.panel].join();
    if (key !== this.key) this.begin(key, w, h);
    context.drawImage(this.canvas, 0, 0, w, h);
  }

  begin(key, w, h) {
    const columns = Math.max(1, Math.round(w / CELL));
    const rows = Math.max(1, Math.round(h / CELL));
    Object.assign(this.canvas, { width: columns * SIDE, height: rows * SIDE });
    this.key = key;
    this.cells = Array.from({ length: columns * rows }, (_, i) => [i % columns, Math.floor(i / columns)]);
    this.cells.reverse();
    this.size = [w / columns, h / rows];
    this.colours = [rgb(theme.panel), rgb(theme.quiet)];
    this.more();
  }

  /** Decode some images, and go on in the next frame. */
  more() {
    const end = performance.now() + PATIENCE;
    const context = this.canvas.getContext('2d');
    const [width, height] = this.size;
    while (this.cells.length && performance.now() < end) {
      const [column, row] = this.cells.pop();
      const ink = this.decode(this.cloud.codeAt((column + 0.5) * width, (row + 0.5) * height, 0));
      context.putImageData(tinted(ink, this.colours), column * SIDE, row * SIDE);
    }
    clearTimeout(this.waiting);
    if (!this.cells.length) this.cloud.redraw();
    else this.waiting = setTimeout(() => this.more(), 0);
  }
}

/** An image of 28 x 28 whose colours go from one to another with the ink. */
function tinted(ink, [paper, full]) {
  const image = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const share = 0.5 * Math.max(0, Math.min(1, ink[i])); // fainter than the points of the cloud
    image.data.set([...paper.map((from, k) => from + share * (full[k] - from)), 255], 4 * i);
  }
  return image;
}
