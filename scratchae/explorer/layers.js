// Layer by layer: the activations of every stage of a network for one digit. A stage is a layer with
// weights, such as a Conv2d, and the layers that follow it, such as BatchNorm2d → ReLU. Pointing at a
// pixel of a map shows what it is connected with through the convolutions before and after it.

/** Group the layers into stages. Layers before the first weights are a stage of their own. */
function stagesOf(network) {
  const stages = [];
  for (const layer of network.layers) {
    const resized = isMaps(layer.shape) && isMaps(layer.inShape) && layer.shape[1] !== layer.inShape[1];
    if (!stages.length || layer.scale || layer.body || resized) stages.push([]);
    stages.at(-1).push(layer);
  }
  return stages;
}

const isMaps = (shape) => shape.length === 3;
const isConvolution = ({ kind }) => kind === 'Conv2d' || kind === 'ConvTranspose2d';

/** A list of pictures in `parent`, one per stage. `draw` shows the result of the last forward pass. */
class LayerView {
  constructor(network, parent) {
    Object.assign(this, { parent, network, chosen: null });
    const stages = stagesOf(network);
    const first = network.layers[0];
    this.views = stages.map((stage) => this.view(stage));
    if (first && isConvolution(first)) this.views.unshift(this.view([], { kind: 'input', shape: first.inShape }));
    parent.append(...this.views.map(({ figure }) => figure));
    this.views.forEach((view, i) => this.connect(view, this.views[i - 1]));
    this.box = document.createElement('div');
    this.box.className = 'links';
    this.box.setAttribute('role', 'status');
    this.box.hidden = true;
    parent.append(this.box);
  }

  view(stage, layer = stage.findLast(({ kind }) => kind !== 'Flatten') ?? stage.at(-1)) {
    const figure = document.createElement('figure');
    const caption = document.createElement('figcaption');
    const canvas = document.createElement('canvas');
    canvas.setAttribute('role', 'img');
    figure.append(caption, canvas);
    const names = stage.length ? stage.map(({ kind }) => kind) : ['input'];
    return { figure, caption, canvas, layer, names, first: stage[0] };
  }

  /** If a convolution leads from the view before to this one, their pixels can be followed. */
  connect(view, before) {
    if (!before || !view.first || !isConvolution(view.first)) return;
    const same = (a, b) => a.length === 3 && a.every((n, i) => n === b[i]);
    if (!same(before.layer.shape, view.first.inShape) || !same(view.layer.shape, view.first.shape)) return;
    view.from = { conv: view.first, other: before };
    before.to = { conv: view.first, other: view };
    for (const one of [before, view]) if (!one.live) this.listen(one);
  }

  listen(view) {
    const { canvas } = view;
    Object.assign(view, { live: true });
    canvas.tabIndex = 0;
    canvas.classList.add('live');
    canvas.setAttribute('role', 'application');
    const point = (event) => this.choose(view, cellAt(view, event.offsetX, event.offsetY));
    canvas.addEventListener('pointermove', point);
    canvas.addEventListener('pointerdown', point);
    canvas.addEventListener('focus', () => this.chosen?.view !== view && this.choose(view, [0, 0, 0]));
    canvas.addEventListener('pointerleave', ({ pointerType }) => pointerType === 'mouse' && document.activeElement !== canvas && this.choose(null));
    canvas.addEventListener('blur', () => this.choose(null));
    canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      const cell = (this.chosen?.view === view ? this.chosen.cell : [0, 0, 0]).map((n, i) => n + step[i]);
      this.choose(view, cell.map((n, i) => Math.max(0, Math.min(view.layer.shape[i] - 1, n))));
    });
  }

  /** Follow the connections of a cell [map, row, column] of a view, or of none. */
  choose(view, cell) {
    if (view && !cell) return;
    this.chosen = view && { view, cell };
    this.draw();
  }

  draw() {
    const room = Math.max(120, this.parent.clientWidth);
    for (const view of this.views) {
      const { shape } = view.layer;
      const y = valuesOf(view, this.network);
      if (!y) continue;
      const limit = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
      if (shape.length === 3) view.grid = drawMaps(view.canvas, y, shape, limit, room);
      else if (y.length === SIDE * SIDE) drawMaps(view.canvas, y, [1, SIDE, SIDE], limit, room);
      else drawUnits(view.canvas, y, limit, room);
      this.tell(view, y, limit);
    }
    this.drawLinks();
  }

  drawLinks() {
    this.box.hidden = !this.chosen;
    if (!this.chosen) return;
    const { view, cell } = this.chosen;
    outline(view, [cell], theme.text);
    this.box.replaceChildren();
    for (const [link, forward] of [[view.from, false], [view.to, true]]) {
      if (!link) continue;
      const { channels, links } = follow(link.conv, cell, forward);
      outline(link.other, channels.flatMap((map) => links.map(({ place }) => [map, ...place])), theme.text);
      const x = valuesOf(forward ? view : link.other, this.network);
      this.box.append(...sentence(link.conv, (forward ? stampInWords : windowInWords)(link.conv, cell, x)));
    }
  }

  /** Describe the canvas in words, as its caption and for screen readers. */
  tell(view, y, limit) {
    const { shape } = view.layer;
    const what = shape.length === 3 ? `${shape[0]} map${shape[0] > 1 ? 's' : ''} of ${shape[1]} × ${shape[2]}` : `${y.length} unit${y.length > 1 ? 's' : ''}`;
    const zero = y.reduce((count, value) => count + (value === 0), 0);
    const few = y.length <= 8 ? Array.from(y, (value) => number(value)).join(', ') : '';
    const silent = zero ? `, ${Math.round((100 * zero) / y.length)} % at 0` : '';
    const words = few ? `values ${few}` : `largest ${number(limit)}${silent}`;
    view.caption.textContent = `${view.names.join(' → ')} · ${what} · ${words}`;
    const keys = view.live ? '. Arrow keys move, Page up and down change the map' : '';
    view.canvas.setAttribute('aria-label', `${view.names[0]}: ${what}, ${words}${keys}`);
  }
}

/** The numbers of a view: the output of its layer, or the input of the network. */
const valuesOf = (view, network) => view.layer.y ?? network.x;
