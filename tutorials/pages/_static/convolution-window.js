'use strict';
// A kernel w links a pixel h of the large side with a position p of the small side through a tap i:
//   h = stride · p + i − padding, along each of the two axes.
// A Conv2d carries numbers from the large side to the small one, a ConvTranspose2d back. Whatever
// is pointed at, the page shows the links of that cell, and adds up what goes through them. An input
// can also show its stamp: what it adds to each output, x · w.

const $ = (id) => document.getElementById(id);
const KERNEL = [[1, 0, -1, 2], [2, 1, 0, -1], [0, -2, 1, 1], [1, 0, 2, -1]]; // its first rows and columns
const LARGE = 6; // pixels of a Conv2d's input, along an axis
const SMALL = 3; // and of a ConvTranspose2d's
const state = { links: [], grids: {}, chosen: null };

/** Small whole numbers that look like nothing in particular. */
const value = (row, column, seed) => (((10 * row + column + seed) ** 2 * 37) % 101 % 7) - 2;
const table = (size, seed) =>
  Array.from({ length: size }, (_, row) => Array.from({ length: size }, (_, c) => value(row, c, seed)));
const text = (n) => String(n).replace('-', '−');
const at = ([row, column]) => `[${row},${column}]`;

/** Every link {large, small, tap, inside} of these settings; not inside: the pixel is padding. */
function linksOf(large, small, { kernel, stride, padding }) {
  const links = [];
  for (let p = 0; p < small; p++)
    for (let q = 0; q < small; q++)
      for (let i = 0; i < kernel; i++)
        for (let j = 0; j < kernel; j++) {
          const [h, w] = [stride * p + i - padding, stride * q + j - padding];
          const inside = h >= 0 && w >= 0 && h < large && w < large;
          links.push({ large: [h, w], small: [p, q], tap: [i, j], inside });
        }
  return links;
}

/** Set everything up for the settings of now. */
function build() {
  const [kernel, stride, padding] = ['kernel', 'stride', 'padding'].map((id) => Number($(id).value));
  const back = $('layer').value === 'back';
  const small = back ? SMALL : Math.floor((LARGE + 2 * padding - kernel) / stride) + 1;
  const large = back ? stride * (SMALL - 1) - 2 * padding + kernel : LARGE;
  Object.assign(state, { kernel, stride, padding, back, small, large, chosen: null });
  state.links = linksOf(large, small, state);
  const [xSize, ySize] = back ? [small, large] : [large, small];
  state.x = table(xSize, 2);
  state.dy = table(ySize, 23);
  state.y = table(ySize, 0).map((row, r) => row.map((_, c) => total(feeding([r, c]), 'x')));
  drawGrid('x', xSize, back ? 0 : padding);
  drawGrid('y', ySize, back ? padding : 0);
  drawKernel();
  $('x-size').textContent = `${xSize} × ${xSize}`;
  $('y-size').textContent = `${ySize} × ${ySize}`;
  choose('y', [Math.min(1, ySize - 1), Math.min(1, ySize - 1)]);
}

const same = (a, b) => a[0] === b[0] && a[1] === b[1];
const side = (name) => ((name === 'x') === state.back ? 'small' : 'large');
const linksAt = (name, cell) => state.links.filter((link) => same(link[side(name)], cell));
const feeding = (cell) => linksAt('y', cell);

/** Σ w · x over links, or Σ w · dy. */
function total(links, name) {
  const numbers = name === 'x' ? state.x : state.dy;
  const end = side(name === 'x' ? 'x' : 'y');
  return links
    .filter((link) => link.inside)
    .reduce((sum, { tap, [end]: [r, c] }) => sum + KERNEL[tap[0]][tap[1]] * numbers[r][c], 0);
}

/** A grid of buttons, with `frame` rows of padding around it. */
function drawGrid(name, size, frame) {
  const grid = $(name);
  grid.replaceChildren();
  grid.style.setProperty('--columns', size + 2 * frame);
  state.grids[name] = new Map();
  for (let row = -frame; row < size + frame; row++) {
    const line = document.createElement('div');
    line.setAttribute('role', 'row');
    line.style.display = 'contents';
    for (let column = -frame; column < size + frame; column++) {
      const inside = row >= 0 && column >= 0 && row < size && column < size;
      const cell = document.createElement(inside ? 'button' : 'span');
      cell.className = inside ? 'cell' : 'cell padding';
      cell.setAttribute('role', 'gridcell');
      if (inside) {
        cell.type = 'button';
        cell.tabIndex = -1;
        cell.addEventListener('pointerenter', () => choose(name, [row, column]));
        cell.addEventListener('click', () => choose(name, [row, column]));
        cell.addEventListener('focus', () => choose(name, [row, column]));
        cell.addEventListener('keydown', (event) => walk(event, name, [row, column], size));
      } else cell.setAttribute('aria-hidden', 'true');
      state.grids[name].set(`${row},${column}`, cell);
      line.append(cell);
    }
    grid.append(line);
  }
}

function drawKernel() {
  $('w').replaceChildren();
  $('w').style.setProperty('--columns', state.kernel);
  state.grids.w = new Map();
  for (let i = 0; i < state.kernel; i++)
    for (let j = 0; j < state.kernel; j++) {
      const cell = document.createElement('span');
      cell.className = 'cell';
      cell.textContent = text(KERNEL[i][j]);
      state.grids.w.set(`${i},${j}`, cell);
      $('w').append(cell);
    }
}

/** Arrow keys go from cell to cell. */
function walk(event, name, [row, column], size) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = [row + step[0], column + step[1]];
  if (Math.min(...next) >= 0 && Math.max(...next) < size) state.grids[name].get(String(next)).focus();
}

/** Show the links of one cell of x or y. */
function choose(name, cell) {
  state.chosen = { name, cell };
  const other = name === 'x' ? 'y' : 'x';
  const links = linksAt(name, cell);
  const counted = $('counts').checked;
  const stamp = name === 'x' && $('shows').value === 'stamp';
  const gradient = name === 'x' && !stamp;
  const shown = { x: state.x, y: gradient ? state.dy : state.y }; // what the sum is made of
  $('y-name').textContent = gradient ? "dy, the output's gradient" : stamp ? 'stamp on the output y' : 'output y';
  for (const grid of ['x', 'y']) {
    for (const [key, element] of state.grids[grid]) {
      const place = key.split(',').map(Number);
      const padding = element.classList.contains('padding');
      const own = grid === name && same(place, cell);
      const link = grid === other && links.find((one) => same(one[side(grid)], place));
      element.classList.toggle('chosen', own);
      element.classList.toggle('linked', Boolean(link));
      const stamped = stamp && grid === 'y';
      const number = padding ? 0 : stamped ? (link ? added(link) : 0) : shown[grid][place[0]][place[1]];
      const count = linksAt(grid, place).filter((one) => one.inside).length;
      const empty = stamped ? !link && !counted : padding && grid === 'y';
      element.textContent = empty ? '' : text(counted && !padding ? count : number);
      if (link) element.append(Object.assign(document.createElement('small'), { textContent: link.tap }));
      if (!padding) {
        element.tabIndex = own || (grid === other && key === '0,0') ? 0 : -1;
        const label = `${grid === 'y' && gradient ? 'dy' : grid}${at(place)}`;
        element.setAttribute('aria-label', `${label} ${stamped ? 'gets' : 'is'} ${number}`);
      }
    }
  }
  for (const [key, element] of state.grids.w) {
    element.classList.toggle('linked', links.some((link) => link.inside && String(link.tap) === key));
  }
  $('words').classList.toggle('stamp', stamp);
  (stamp ? tellStamp : tell)(name, cell, links.filter((link) => link.inside), links.length);
}

/** What x adds to an output through one link. */
const added = ({ tap: [i, j], [side('x')]: [row, column] }) => KERNEL[i][j] * state.x[row][column];

$('settings').addEventListener('change', (event) => {
  if (event.target.id === 'layer') $('shows').value = event.target.value === 'back' ? 'stamp' : 'gradient';
  if (event.target.id === 'shows') choose('x', state.chosen.name === 'x' ? state.chosen.cell : [0, 0]);
  else if (event.target.id === 'counts') choose(state.chosen.name, state.chosen.cell);
  else build();
});
$('settings').addEventListener('submit', (event) => event.preventDefault());
build();
