// Draw the activations of one layer: units as squares, channels as maps.

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

/** Draw channels (C, H, W) as images in rows, all on one scale. Returns the layout. */
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
  return { columns, side, height, gap, width };
}

/** The cell [map, row, column] at a point of a view's canvas, or null between the maps. */
function cellAt({ canvas, grid, layer }, x, y) {
  const [C, H, W] = layer.shape;
  const k = grid.width / (canvas.clientWidth || grid.width); // the canvas may be shown smaller
  const [column, left] = parts(x * k, grid.side + grid.gap);
  const [row, top] = parts(y * k, grid.height + grid.gap);
  const map = row * grid.columns + column;
  if (map >= C || column >= grid.columns || left >= grid.side || top >= grid.height) return null;
  return [map, Math.floor((top * H) / grid.height), Math.floor((left * W) / grid.side)];
}

/** [how often `unit` fits, what is left], not below 0. */
const parts = (value, unit) => [Math.max(0, Math.floor(value / unit)), Math.max(0, value) % unit];

/** Draw a frame around cells of a view. */
function outline({ canvas, grid, layer }, cells, colour) {
  const [, H, W] = layer.shape;
  const context = canvas.getContext('2d');
  const [width, height] = [grid.side / W, grid.height / H];
  context.strokeStyle = colour;
  context.lineWidth = Math.min(2, width / 3);
  for (const [map, row, column] of cells) {
    const x = (map % grid.columns) * (grid.side + grid.gap) + column * width;
    const y = Math.floor(map / grid.columns) * (grid.height + grid.gap) + row * height;
    context.strokeRect(x, y, width, height);
  }
}

/** A sentence about a convolution, and its products as a small table. */
function sentence(conv, { words, rows }) {
  const paragraph = document.createElement('p');
  paragraph.append(Object.assign(document.createElement('b'), { textContent: conv.kind }), ` ${words}`);
  const products = document.createElement('table');
  for (const row of rows) {
    const line = products.insertRow();
    for (const { product, result } of row) line.insertCell().append(product, document.createElement('br'), `= ${result}`);
  }
  return [paragraph, products];
}
