'use strict';
// What the page says in words and numbers about the links of the chosen cell.

/** The stamp in words: x times the kernel, one product for each output. */
function tellStamp(_, cell, links, all) {
  const value = state.x[cell[0]][cell[1]];
  const x = bracket(value);
  const outputs = `${links.length} output${links.length === 1 ? '' : 's'}`;
  $('what').textContent = `Input x${at(cell)} is ${text(value)}: it stamps ${x} · w on ${outputs}.`;
  const product = (link) => `${x}·${bracket(KERNEL[link.tap[0]][link.tap[1]])} = ${text(added(link))}`;
  $('sum').textContent = links.map((link) => `y${at(link[side('y')])} gets ${product(link)}`).join('; ');
  const beyond = all - links.length;
  const rim = beyond ? ` Taps beyond the border: ${beyond}.` : '';
  $('hint').textContent = `This is the forward pass: where stamps overlap, they are added.${rim}`;
}

/** The sum in words: y is made of x, dx is made of dy. */
function tell(name, cell, links, all) {
  const source = name === 'y' ? 'x' : 'dy';
  const numbers = name === 'y' ? state.x : state.dy;
  const end = side(name === 'y' ? 'x' : 'y');
  const few = (n, word) => `${n || 'no'} ${word}${n === 1 ? '' : 's'}`;
  $('what').textContent =
    name === 'y'
      ? `Output y${at(cell)} is made of ${few(links.length, 'input')}.`
      : `Input x${at(cell)} is felt by ${few(links.length, 'output')}, so its gradient collects from there.`;
  const symbols = links.map(({ tap, [end]: place }) => `w${at(tap)}·${source}${at(place)}`);
  const terms = links.map(({ tap, [end]: [r, c] }) => `${bracket(KERNEL[tap[0]][tap[1]])}·${bracket(numbers[r][c])}`);
  const result = text(total(links, name === 'y' ? 'x' : 'dy'));
  const left = name === 'y' ? `y${at(cell)}` : `dx${at(cell)}`;
  $('sum').textContent = links.length
    ? `${left} = ${symbols.join(' + ')} = ${terms.join(' + ')} = ${result}`
    : `${left} = 0`;
  const beyond = all - links.length;
  const rim =
    name === 'y' ? `Taps on the padding, which is 0: ${beyond}.` : `Taps beyond the border: ${beyond}.`;
  const pass =
    name === 'y'
      ? 'This is the forward pass.'
      : 'This is the backward pass: dy is the gradient of y, here some whole numbers.';
  $('hint').textContent = beyond ? `${pass} ${rim}` : pass;
}

const bracket = (n) => (n < 0 ? `(${text(n)})` : text(n));
