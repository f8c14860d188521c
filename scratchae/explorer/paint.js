// Drawing on canvases. The colours come from theme.css.

const SIDE = 28;

/** The element with this id. */
const $ = (id) => document.getElementById(id);

/** A colour of theme.css in the current theme. */
const themeColour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The colours of the theme as numbers. They are read again only if the theme changes. */
const theme = {};
function readTheme() {
  for (const name of ['panel', 'text', 'quiet', 'faint', 'accent', 'positive', 'negative']) {
    theme[name] = themeColour(name);
  }
  theme.digits = Array.from({ length: 10 }, (_, digit) => themeColour(`digit-${digit}`));
  theme.ramp = ['negative', 'panel', 'positive'].map((name) => rgb(theme[name]));
}

/** [r, g, b] of '#rrggbb'. */
const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** [r, g, b] for a number from -1 to 1; 0 has the colour of the panel. */
function signed(share) {
  const [negative, zero, positive] = theme.ramp;
  const end = share < 0 ? negative : positive;
  const part = Math.min(1, Math.sqrt(Math.abs(share))); // the root makes small activations visible
  return zero.map((from, i) => from + part * (end[i] - from));
}

/** Resize a canvas, sharp on any screen, and return its context; all units are CSS pixels. */
function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** Paint ink from 0 (black) to 1 (white) on a canvas of 28 x 28. */
function paintDigit(canvas, ink) {
  const context = canvas.getContext('2d');
  const image = context.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const grey = ink[i] * 255;
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** A new canvas with a digit on it. */
function digitCanvas(ink) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  canvas.className = 'digit';
  if (ink) paintDigit(canvas, ink);
  return canvas;
}

/** A canvas with an image (H, W) of signed numbers; `limit` has the full colour. */
function signedPicture(values, offset, height, width, limit) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    image.data.set([...signed(values[offset + i] / limit), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return a function that calls f at most once per frame, with the last arguments. */
function onceAFrame(f) {
  let waiting = null;
  return (...words) => {
    if (waiting === null) {
      requestAnimationFrame(() => {
        const last = waiting;
        waiting = null;
        f(...last);
      });
    }
    waiting = words;
  };
}

/** Format a number with a typographic minus: 1.5, −1.5. */
const number = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=[0.]*$)/, '').replace('-', '−');

/** 'a 3' or 'an A', or 'a digit' if the label is unknown. `names` are those of the labels. */
let names = [...'0123456789'];
const named = (label) => (label === null || label === undefined ? 'a digit' : withArticle(names[label]));
const withArticle = (name) => `${/^[8AEFHILMNORSX]$/.test(name) ? 'an' : 'a'} ${name}`;
