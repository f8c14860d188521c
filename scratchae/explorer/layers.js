// Layer by layer: the activations of every stage of a network for one digit. A stage is a layer with
// a weight matrix and the layers that follow it, such as Conv2d → BatchNorm2d → ReLU.

/** Group the layers into stages. Layers before the first weight matrix are a stage of their own. */
function stagesOf(network) {
  const stages = [];
  for (const layer of network.layers) {
    if (!stages.length || layer.scale) stages.push([]);
    stages.at(-1).push(layer);
  }
  return stages;
}

/** A list of pictures in `parent`, one per stage. `draw` shows the result of the last forward pass. */
class LayerView {
  constructor(network, parent) {
    this.parent = parent;
    this.views = stagesOf(network).map((stage) => {
      const figure = document.createElement('figure');
      const caption = document.createElement('figcaption');
      const canvas = document.createElement('canvas');
      canvas.setAttribute('role', 'img');
      figure.append(caption, canvas);
      parent.append(figure);
      return { layer: stage.at(-1), names: stage.map((layer) => layer.kind), caption, canvas };
    });
  }

  draw() {
    const room = Math.max(120, this.parent.clientWidth);
    for (const view of this.views) {
      const { y, shape } = view.layer;
      const limit = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
      if (shape.length === 3) drawMaps(view.canvas, y, shape, limit, room);
      else if (y.length === SIDE * SIDE) drawMaps(view.canvas, y, [1, SIDE, SIDE], limit, room);
      else drawUnits(view.canvas, y, limit, room);
      this.tell(view, limit);
    }
  }

  /** Describe the canvas in words, as its caption and for screen readers. */
  tell(view, limit) {
    const { y, shape } = view.layer;
    const what = shape.length === 3 ? `${shape[0]} map${shape[0] > 1 ? 's' : ''} of ${shape[1]} × ${shape[2]}` : `${y.length} unit${y.length > 1 ? 's' : ''}`;
    const zero = y.reduce((count, value) => count + (value === 0), 0);
    const few = y.length <= 8 ? Array.from(y, (value) => number(value)).join(', ') : '';
    const silent = zero ? `, ${Math.round((100 * zero) / y.length)} % at 0` : '';
    const words = few ? `values ${few}` : `largest ${number(limit)}${silent}`;
    const [first, ...rest] = view.names;
    view.caption.textContent = `${[first, ...rest].join(' → ')} · ${what} · ${words}`;
    view.canvas.setAttribute('aria-label', `${first}: ${what}, ${words}`);
  }
}

/** How many of `count` to put in a row, at most `most`, so that all rows have about the same length. */
const evenly = (count, most) => Math.ceil(count / Math.ceil(count / most));

/** Draw units (F,) as squares in rows. */
function drawUnits(canvas, values, limit, room) {
  const cell = values.length <= 16 ? 20 : 11;
  const columns = evenly(values.length, Math.floor(room / cell));
  const width = columns * cell;
  const context = fit(canvas, width, Math.ceil(values.length / columns) * cell);
  canvas.style.width = `${width}px`;
  values.forEach((value, i) => {
    const [x, y] = [(i % columns) * cell, Math.floor(i / columns) * cell];
    context.fillStyle = `rgb(${signed(value / limit).map(Math.round).join(' ')})`;
    context.fillRect(x, y, cell - 1, cell - 1);
    context.strokeStyle = theme.faint;
    context.strokeRect(x + 0.5, y + 0.5, cell - 2, cell - 2);
  });
}

/** Draw channels (C, H, W) as images in rows, all on one scale. */
function drawMaps(canvas, values, [C, H, W], limit, room) {
  const side = C === 1 ? 112 : C <= 16 ? 56 : C <= 32 ? 42 : 32;
  const gap = 3;
  const columns = evenly(C, Math.floor(room / (side + gap)));
  const height = Math.round((side * H) / W);
  const width = columns * (side + gap);
  const context = fit(canvas, width, Math.ceil(C / columns) * (height + gap));
  canvas.style.width = `${width}px`;
  context.imageSmoothingEnabled = false;
  context.strokeStyle = theme.faint;
  for (let c = 0; c < C; c++) {
    const [x, y] = [(c % columns) * (side + gap), Math.floor(c / columns) * (height + gap)];
    context.drawImage(signedPicture(values, c * H * W, H, W, limit), x, y, side, height);
    context.strokeRect(x + 0.5, y + 0.5, side - 1, height - 1);
  }
}
