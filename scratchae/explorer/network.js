'use strict';
// The layers, for one image at a time. A tensor is one flat Float32Array in row-major order, as in
// torch: element (c, h, w) of an image (C, H, W) is element (c H + h) W + w of the array.

/** Replace every packed array in the content by its numbers: deflated, in base64 (quantise.py). */
async function unpack(content) {
  if (content === null || typeof content !== 'object') return content;
  if (content.packed === undefined) {
    const parts = await Promise.all(Object.values(content).map(unpack));
    if (Array.isArray(content)) return parts;
    return Object.fromEntries(Object.keys(content).map((key, i) => [key, parts[i]]));
  }
  const bytes = Uint8Array.from(atob(content.packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const Kind = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array }[content.dtype];
  return new Kind(await new Response(stream).arrayBuffer());
}

/** The weights w = scale q from integers q and one float32 scale for each row. */
function weights({ weight, scale }) {
  const length = weight.length / scale.length;
  return Float32Array.from(weight, (q, i) => q * scale[Math.floor(i / length)]);
}

const size = (shape) => shape.reduce((product, n) => product * n, 1);

/** y = x Wᵀ + b for each row of x. */
function linear(layer, inShape) {
  const W = weights(layer);
  const { bias } = layer;
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

/**
 * A kernel w (O, C/G, kH, kW) connects pixel (c, s p + d i − pad, s q + d j − pad) of an image
 * (C, H, W) with position (o, p, q). Conv2d goes from the image to the positions. ConvTranspose2d
 * goes from the positions back to the image (`back`): the loops are the same.
 */
function convolution(layer, inShape, back) {
  const w = weights(layer);
  const { bias } = layer;
  const [C, H, W] = back ? layer.shape : inShape;
  const [O, P, Q] = back ? inShape : layer.shape;
  const { kernel, stride, padding, dilation, groups } = layer;
  const [perGroup, together] = [C / groups, O / groups];
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

/** In evaluation mode BatchNorm is one factor and one shift per channel. */
function batchnorm(layer) {
  const { factor, shift } = layer;
  const each = size(layer.shape.slice(1));
  return (x, y) => {
    for (let c = 0, at = 0; c < factor.length; c++) {
      for (let i = 0; i < each; i++, at++) y[at] = factor[c] * x[at] + shift[c];
    }
  };
}

/** The largest number of each window of an image, or their average. Padding is never a part of it. */
function pool({ kind, kernel, stride, padding, dilation, share, shape }, [, H, W]) {
  const [C, P, Q] = shape;
  const largest = kind === 'MaxPool2d';
  return (x, y) => {
    for (let at = 0; at < C * P * Q; at++) {
      const [c, p, q] = [Math.floor(at / P / Q), Math.floor(at / Q) % P, at % Q];
      let [most, sum, count] = [-Infinity, 0, 0];
      for (let i = 0; i < kernel[0]; i++) {
        const row = stride[0] * p + dilation[0] * i - padding[0];
        if (row < 0 || row >= H) continue;
        for (let j = 0; j < kernel[1]; j++) {
          const column = stride[1] * q + dilation[1] * j - padding[1];
          if (column < 0 || column >= W) continue;
          const value = x[(c * H + row) * W + column];
          [most, sum, count] = [Math.max(most, value), sum + value, count + 1];
        }
      }
      y[at] = largest ? most : (sum / count) * share[at];
    }
  };
}

/** y = S(x) + F(x): the layers inside, and the shortcut, which may be empty. */
function residual(layer, inShape) {
  const [body, shortcut] = [layer.body, layer.shortcut].map((layers) => new Network(layers, inShape));
  return (x, y) => {
    const [added, skipped] = [body.forward(x), shortcut.forward(x)];
    for (let i = 0; i < y.length; i++) y[i] = skipped[i] + added[i];
  };
}

const MAKERS = {
  Linear: linear,
  Conv2d: (layer, inShape) => convolution(layer, inShape, false),
  ConvTranspose2d: (layer, inShape) => convolution(layer, inShape, true),
  BatchNorm1d: batchnorm,
  BatchNorm2d: batchnorm,
  MaxPool2d: pool,
  AvgPool2d: pool,
  Residual: residual,
  GaussianSampling: () => (x, y) => y.set(x.subarray(0, y.length)), // the means, without noise
};

/** A sequence of layers. After `forward`, the input is in `x`, and the output of each layer in its `y`. */
class Network {
  constructor(layers, inputShape) {
    let shape = inputShape;
    this.layers = layers.map((layer) => {
      const run = layer.program ? operators(layer.program) : MAKERS[layer.kind](layer, shape);
      const inShape = shape;
      shape = layer.shape;
      return { ...layer, inShape, run, y: new Float32Array(size(shape)) };
    });
  }

  /** Return the output of the last layer. The next call overwrites it. */
  forward(x) {
    this.x = x;
    for (const layer of this.layers) {
      layer.run(x, layer.y);
      x = layer.y;
    }
    return x;
  }
}
