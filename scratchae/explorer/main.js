// The page: it creates the two networks and connects the controls with what they show.

const content = JSON.parse($('content').textContent);
const encoder = new Network(content.encoder, content.inputShape);
const decoder = new Network(content.decoder, content.codeShape);
const codes = content.cloud && new Codes(content.cloud);
const digits = digitsOf(content.digits);

readTheme();
const encoderView = new LayerView(encoder, $('encoder'));
const decoderView = new LayerView(decoder, $('decoder'));
const cloud = codes && new Cloud($('cloud'), codes);
const path = new Path(decoder, onPath);
const pad = new Pad($('pad'), (pixels) => (pixels ? take(pixels, 'what you drew') : drawNothing()));
const marks = { input: null, path: null };

/** [{pixels in [-1, 1], label}, ...] from bytes. */
function digitsOf({ count, pixels, labels }) {
  const bytes = numbers(pixels, Uint8Array);
  return Array.from({ length: count }, (_, i) => ({
    label: labels ? labels[i] : null,
    pixels: Float32Array.from(bytes.subarray(i * SIDE ** 2, (i + 1) * SIDE ** 2), (v) => v / 127.5 - 1),
  }));
}

/** Encode and decode a digit, and show the result. */
function take(pixels, words) {
  const code = Float32Array.from(encoder.forward(pixels));
  const back = decoder.forward(code);
  paintDigit($('seen'), pixels);
  paintDigit($('back'), back);
  const error = pixels.reduce((sum, value, i) => sum + (value - back[i]) ** 2, 0) / pixels.length;
  const near = codes ? `; the nearest code is of ${named(codes.label(codes.nearest(code)))}` : '';
  $('error').textContent = `Mean squared error ${number(error, 3)}${near}.`;
  marks.input = { code, text: 'in' };
  encoderView.draw();
  showDecoder(words);
  $('encoder-of').textContent = `of ${words}`;
  drawCloud();
}

function drawNothing() {
  marks.input = null;
  $('error').textContent = 'Draw something.';
  for (const id of ['seen', 'back']) paintDigit($(id), new Float32Array(SIDE * SIDE).fill(-1));
  drawCloud();
}

/** Show the decoder's activations of its last forward pass. */
function showDecoder(words) {
  $('decoder-of').textContent = `of ${words}`;
  decoderView.draw();
}

/** Decode a code of the cloud and show the digit. */
function probe(code) {
  const start = performance.now();
  const pixels = decoder.forward(code);
  times.push(performance.now() - start);
  if (times.length > 20) times.shift();
  paintDigit($('decoded'), pixels);
  const some = Array.from(code.slice(0, 6), (value) => number(value)).join(', ');
  $('code').textContent = code.length > 6 ? `${some}, …` : some;
  const near = named(codes.label(codes.nearest(code)));
  if (codes.labels && $('near').textContent !== near) $('near').textContent = near;
  $('time').textContent = `${number(quantile(times, 0.5), 1)} ms`;
  showDecoder('the code at the pointer');
}
const times = [];

function onPath(code, words) {
  marks.path = { code, text: '' };
  showDecoder(words);
  drawCloud();
}

function drawCloud() {
  if (!cloud?.context) return;
  const ends = path.ends.map(({ code }, i) => ({ code, text: 'AB'[i] }));
  cloud.marks = [...ends, marks.path, marks.input].filter(Boolean);
  cloud.line = path.ends.length === 2 ? path.ends.map(({ code }) => code) : null;
  cloud.redraw();
}

/** Create one button for each digit, with its picture. */
function digitButtons(parent, some, what, chosen) {
  for (const digit of some) {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-label', `${what} ${named(digit.label)}`);
    button.append(digitCanvas(digit.pixels));
    button.addEventListener('click', () => chosen(digit));
    parent.append(button);
  }
}

function legend() {
  for (const [digit] of cloud.middles) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = digit;
    button.setAttribute('aria-pressed', 'false');
    button.setAttribute('aria-label', `Show only digit ${digit}`);
    button.style.setProperty('--own', `var(--digit-${digit})`);
    button.addEventListener('click', () => {
      if (!cloud.shown.delete(digit)) cloud.shown.add(digit);
      button.setAttribute('aria-pressed', cloud.shown.has(digit));
      drawCloud();
    });
    $('legend').append(button);
  }
}

function setUpCloud() {
  const sliders = cloud.solid ? ['turn', 'tilt', 'depth'] : [];
  const turned = () => {
    const angle = ((cloud.turn + Math.PI) % (2 * Math.PI) + 2 * Math.PI) % (2 * Math.PI) - Math.PI;
    const now = { turn: (angle * 180) / Math.PI, tilt: (cloud.tilt * 180) / Math.PI, depth: cloud.depth };
    for (const id of sliders) $(id).value = now[id];
  };
  const look = steer(cloud, { probe, pick: (code, label) => path.pick(code, label), turned });
  for (const id of sliders) {
    $(id).addEventListener('input', () => {
      cloud[id] = id === 'depth' ? Number($(id).value) : ($(id).value * Math.PI) / 180;
      look();
    });
  }
  turned();
  $('sliders').hidden = $('turn-keys').hidden = !cloud.solid;
  $('how').textContent = cloud.solid ? 'Drag, or two fingers, turn the cloud.' : '';
  if (codes.width > 3) {
    $('how').textContent += ` Of ${codes.width} numbers you see the first 3 principal axes, ${Math.round(100 * codes.share)} % of the variance.`;
  } else if (codes.width === 1) $('how').textContent = 'The code lies to the right; each digit has a row.';
  legend();
  cloud.resize();
  probe(cloud.codeAt(...cloud.cursor));
}

function sizeAll() {
  readTheme();
  cloud?.resize();
  encoderView.draw();
  decoderView.draw();
}

function setUp() {
  const shape = content.codeShape.join(' × ');
  $('title').textContent = `Inside a code of ${shape} number${shape === '1' ? '' : 's'}`;
  const error = content.error === null ? '' : `, test error ${content.error}`;
  const epochs = `${content.epochs} epoch${content.epochs === 1 ? '' : 's'}`;
  $('about').textContent = `${content.model}, trained on ${content.data} for ${epochs}${error}.`;
  document.body.classList.toggle('pictures', !cloud);
  const half = Math.ceil(digits.length / 2);
  const encoded = ({ pixels }) => encoder.forward(pixels);
  digitButtons($('samples'), digits.slice(0, half), 'Take', ({ pixels, label }) => {
    pad.show(pixels);
    take(pixels, `${named(label)} from the data`);
  });
  digitButtons($('others'), digits.slice(half), 'Walk to or from', (digit) => {
    path.pick(encoded(digit), digit.label);
    encoderView.draw();
    $('encoder-of').textContent = `of ${named(digit.label)} from the data`;
  });
  $('clear').addEventListener('click', () => pad.clear(true));
  for (const digit of [digits[half] ?? digits[0], digits.at(-1)]) path.pick(encoded(digit), digit.label);
  if (cloud) setUpCloud();
  const first = digits[Math.min(3, digits.length - 1)];
  pad.show(first.pixels);
  take(first.pixels, `${named(first.label)} from the data`);
  window.addEventListener('resize', onceAFrame(sizeAll));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', sizeAll);
}

setUp();
