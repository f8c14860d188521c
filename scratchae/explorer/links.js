// What one pixel of a map is connected with. Conv2d: an output is made of a window of the inputs.
// ConvTranspose2d: an input stamps the kernel on the outputs. Both have the same links: pixel
// h = stride · p + dilation · i − padding of the large side, position p of the small side, tap i.

/** The links of the cell (row, column) on one side of a convolution: [{place, tap}, ...]. */
function linksOf(layer, large, [row, column], [, height, width]) {
  const { kernel, stride, padding, dilation } = layer;
  const along = (at, axis, most) => {
    const found = [];
    for (let tap = 0; tap < kernel[axis]; tap++) {
      const offset = dilation[axis] * tap - padding[axis];
      const other = large ? (at - offset) / stride[axis] : stride[axis] * at + offset;
      if (Number.isInteger(other) && other >= 0 && other < most) found.push([other, tap]);
    }
    return found;
  };
  const columns = along(column, 1, width);
  return along(row, 0, height).flatMap(([p, i]) => columns.map(([q, j]) => ({ place: [p, q], tap: [i, j] })));
}

/** The weight between channel o of the small side and channel c of the large side at a tap. */
function weightAt(layer, o, c, [i, j], channels) {
  layer.w ??= weights(layer);
  const perGroup = channels / layer.groups; // of the large side
  const [kH, kW] = layer.kernel;
  return layer.w[((o * perGroup + (c % perGroup)) * kH + i) * kW + j];
}

/**
 * Follow a cell [channel, row, column] of the input (`forward`) or the output of a convolution.
 * Returns {shape, channels, links}: the shape of the other side, its channels in the same group, and links.
 */
function follow(conv, [channel, ...cell], forward) {
  const back = conv.kind === 'ConvTranspose2d';
  const [from, to] = forward ? [conv.inShape, conv.shape] : [conv.shape, conv.inShape];
  const group = Math.floor(channel / (from[0] / conv.groups));
  const together = to[0] / conv.groups;
  const channels = Array.from({ length: together }, (_, i) => group * together + i);
  const large = forward !== back; // the cell is on the large side
  const channelsLarge = back ? conv.shape[0] : conv.inShape[0];
  const links = linksOf(conv, large, cell, to);
  const weight = (other, tap) =>
    large ? weightAt(conv, other, channel, tap, channelsLarge) : weightAt(conv, channel, other, tap, channelsLarge);
  return { to, channels, links, weight };
}

/** In words and numbers: what the input cell stamps, on the map with the largest weights. */
function stampInWords(conv, cell, x) {
  const { channels, links, weight } = follow(conv, cell, true);
  if (!links.length) return { words: 'No output depends on this pixel.', rows: [] };
  const strength = (map) => links.reduce((sum, { tap }) => sum + Math.abs(weight(map, tap)), 0);
  const map = channels.reduce((best, one) => (strength(one) > strength(best) ? one : best));
  const value = x[(cell[0] * conv.inShape[1] + cell[1]) * conv.inShape[2] + cell[2]];
  const verb = conv.kind === 'ConvTranspose2d' ? 'stamps' : 'adds';
  const words = `The input ${at(cell)} is ${number(value)}. It ${verb} ${number(value)} · w to ${links.length} pixels of ${maps(channels)}, most to map ${map}:`;
  return { words, rows: table(links, (link) => `${number(value)} · ${bracketed(weight(map, link.tap))}`, (link) => number(value * weight(map, link.tap))) };
}

/** In words and numbers: what feeds the output cell, from the map that gives most. */
function windowInWords(conv, cell, x) {
  const { to, channels, links, weight } = follow(conv, cell, false);
  const value = (map, { place: [r, c] }) => x[(map * to[1] + r) * to[2] + c];
  const part = (map) => links.reduce((sum, link) => sum + value(map, link) * weight(map, link.tap), 0);
  const map = channels.reduce((best, one) => (Math.abs(part(one)) > Math.abs(part(best)) ? one : best));
  const all = channels.reduce((sum, one) => sum + part(one), 0);
  const bias = conv.bias ? conv.bias[cell[0]] : 0;
  const words = `The output ${at(cell)} is fed by ${links.length} pixels of ${maps(channels)}. Map ${map} gives most, ${number(part(map))}; all maps ${number(all)}, with the bias ${number(all + bias)}:`;
  return { words, rows: table(links, (link) => `${number(value(map, link))} · ${bracketed(weight(map, link.tap))}`, (link) => number(value(map, link) * weight(map, link.tap))) };
}

const at = ([channel, row, column]) => `in row ${row}, column ${column} of map ${channel}`;
const maps = (channels) => (channels.length === 1 ? '1 map' : `each of ${channels.length} maps`);

/** Rows of cells in the order of the places: [[{product, result}, ...], ...]. */
function table(links, product, result) {
  const rows = new Map();
  for (const link of links) {
    if (!rows.has(link.place[0])) rows.set(link.place[0], []);
    rows.get(link.place[0]).push({ product: product(link), result: result(link) });
  }
  return [...rows.values()];
}
