'use strict';
// The layers, for one image at a time. A tensor is one flat Float32Array in row-major order, as in
// torch: element (c, h, w) of an image (C, H, W) is element (c H + h) W + w of the array.
// To add a layer, write a maker: it gets the layer's description (see network.py) and the shape of its
// input, and returns a function that reads the input x and fills the output y. Then list it in MAKERS.

/** Decode a base64 text to an array of the given kind. */
function numbers(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

/** A tensor of a layer, or undefined if the layer does not have it. */
function tensor(layer, name) {
  const packed = layer.tensors[name];
  if (packed === undefined) return undefined;
  if (typeof packed === 'string') return numbers(packed, Float32Array);
  // Quantised: w = scale q, with integers q and one float32 scale for each row.
  const q = numbers(packed.values, packed.bits === 16 ? Int16Array : Int8Array);
  const scale = numbers(packed.scale, Float32Array);
  const length = q.length / scale.length;
  return Float32Array.from(q, (value, i) => value * scale[Math.floor(i / length)]);
}

const size = (shape) => shape.reduce((product, n) => product * n, 1);

/** y = x Wᵀ + b for each row of x. */
function linear(layer, inShape) {
  const W = tensor(layer, 'weight');
  const bias = tensor(layer, 'bias');
  const I = inShape.at(-1);
  const O = layer.shape.at(-1);
  return (x, y) => {
    for (let row = 0; row < x.length / I; row++) {
      for (let o = 0; o < O; o++) {
        let sum = bias ? bias[o] : 0;
        for (let i = 0; i < I; i++) sum += W[o * I + i] * x[row * I + i];
        y[row * O + o] = sum;
      }
    }
  };
}

/** An argument that is one number for both axes, or a pair. */
const pair = (value) => (Array.isArray(value) ? value : [value, value]);

/** The padding above and to the left of an image. */
function paddingOf(padding, kernel, dilation) {
  if (padding === 'valid') return [0, 0];
  if (padding === 'same') return kernel.map((k, axis) => Math.floor((dilation[axis] * (k - 1)) / 2));
  return pair(padding);
}

/**
 * A kernel w (O, C/G, kH, kW) connects pixel (c, s p + d i − pad, s q + d j − pad) of an image
 * (C, H, W) with position (o, p, q). Conv2d goes from the image to the positions. ConvTranspose2d
 * goes from the positions back to the image (`back`): the loops are the same.
 */
function convolution(layer, inShape, back) {
  const w = tensor(layer, 'weight');
  const bias = tensor(layer, 'bias');
  const [C, H, W] = back ? layer.shape : inShape;
  const [O, P, Q] = back ? inShape : layer.shape;
  const given = layer.arguments;
  const [kernel, stride, dilation] = [given.kernel_size, given.stride, given.dilation].map(pair);
  const padding = paddingOf(given.padding, kernel, dilation);
  const [perGroup, together] = [C / given.groups, O / given.groups];
  const rows = Array.from({ length: kernel[0] }, (_, i) => inside(i, P, H, 0));
  const columns = Array.from({ length: kernel[1] }, (_, j) => inside(j, Q, W, 1));
  const step = stride[1];
  return (x, y) => {
    const each = y.length / layer.shape[0];
    for (let c = 0; c < layer.shape[0]; c++) y.fill(bias ? bias[c] : 0, c * each, (c + 1) * each);
    let tap = 0;
    for (let o = 0; o < O; o++) {
      const first = Math.floor(o / together) * perGroup; // the first channel of o's group
      for (let c = first; c < first + perGroup; c++) {
        for (const { offset: top, from: p0, to: p1 } of rows) {
          for (const { offset: left, from: q0, to: q1 } of columns) {
            const value = w[tap++];
            for (let p = p0; p < p1; p++) {
              let pixel = (c * H + stride[0] * p + top) * W + step * q0 + left;
              const place = (o * P + p) * Q;
              if (back) {
                for (let q = place + q0; q < place + q1; q++, pixel += step) y[pixel] += value * x[q];
              } else {
                for (let q = place + q0; q < place + q1; q++, pixel += step) y[q] += value * x[pixel];
              }
            }
          }
        }
      }
    }
  };

  /** The positions from <= p < to at which this tap of the kernel is inside the image. */
  function inside(tap, positions, pixels, axis) {
    const offset = dilation[axis] * tap - padding[axis];
    const from = Math.max(0, Math.ceil(-offset / stride[axis]));
    return { offset, from, to: Math.min(positions, Math.ceil((pixels - offset) / stride[axis])) };
  }
}

/** In evaluation mode y = w (x − μ) / √(σ² + ε) + b is one factor and one shift per channel. */
function batchnorm(layer) {
  const [mean, variance] = [tensor(layer, 'running_mean'), tensor(layer, 'running_var')];
  const [weight, bias] = [tensor(layer, 'weight'), tensor(layer, 'bias')];
  const factor = Array.from(variance, (v, c) => (weight ? weight[c] : 1) / Math.sqrt(v + layer.arguments.eps));
  const shift = Array.from(mean, (m, c) => (bias ? bias[c] : 0) - m * factor[c]);
  const each = size(layer.shape.slice(1));
  return (x, y) => {
    for (let c = 0, at = 0; c < factor.length; c++) {
      for (let i = 0; i < each; i++, at++) y[at] = factor[c] * x[at] + shift[c];
    }
  };
}

const elementwise = (f) => () => (x, y) => {
  for (let i = 0; i < y.length; i++) y[i] = f(x[i]);
};

const MAKERS = {
  Linear: linear,
  Conv2d: (layer, inShape) => convolution(layer, inShape, false),
  ConvTranspose2d: (layer, inShape) => convolution(layer, inShape, true),
  BatchNorm1d: batchnorm,
  BatchNorm2d: batchnorm,
  ReLU: elementwise((x) => Math.max(x, 0)),
  LeakyReLU: (layer) => elementwise((x) => (x > 0 ? x : layer.arguments.negative_slope * x))(),
  Tanh: elementwise(Math.tanh),
  Sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x))),
  Flatten: elementwise((x) => x), // the same numbers in another shape
  Unflatten: elementwise((x) => x),
};

/** A sequence of layers. After `forward`, the output of each layer is in its `y`. */
class Network {
  constructor(layers, inputShape) {
    let shape = inputShape;
    this.layers = layers.map((layer) => {
      const run = MAKERS[layer.kind](layer, shape);
      shape = layer.shape;
      return { ...layer, run, y: new Float32Array(size(shape)) };
    });
  }

  /** Return the output of the last layer. The next call overwrites it. */
  forward(x) {
    for (const layer of this.layers) {
      layer.run(x, layer.y);
      x = layer.y;
    }
    return x;
  }
}
