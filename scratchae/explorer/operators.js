// Run a layer that network.js does not know by name: the operators of its forward pass (operators.py).

const MAPS = {
  neg: (a) => -a,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  rsqrt: (a) => 1 / Math.sqrt(a),
  reciprocal: (a) => 1 / a,
  sign: Math.sign,
  tanh: Math.tanh,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  erf,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: Math.pow,
  maximum: Math.max,
  minimum: Math.min,
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  where: (condition, a, b) => (condition ? a : b),
};

const ROWS = {
  sum: (row) => row.reduce((sum, value) => sum + value, 0),
  mean: (row) => row.reduce((sum, value) => sum + value, 0) / row.length,
  amax: (row) => row.reduce((most, value) => Math.max(most, value), -Infinity),
  amin: (row) => row.reduce((least, value) => Math.min(least, value), Infinity),
};

/** The error function: its power series near 0, and a continued fraction farther out. */
function erf(x) {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let [term, sum] = [a, a];
    for (let n = 1; n < 40; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * Math.sign(x) * sum;
  }
  let fraction = a;
  for (let n = 30; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

/** Each function fills y from one, two or three arrays. */
const STEPS = {
  view({ shape, strides, offset }, y, x) {
    const index = shape.map(() => 0);
    for (let i = 0, at = offset; i < y.length; i++) {
      y[i] = x[at];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += strides[axis];
        if (++index[axis] < shape[axis]) break;
        at -= strides[axis] * shape[axis];
        index[axis] = 0;
      }
    }
  },
  map({ name }, y, a, b, c) {
    const f = MAPS[name];
    if (c) for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i], c[i]);
    else if (b) for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
    else for (let i = 0; i < y.length; i++) y[i] = f(a[i]);
  },
  rows({ name, length }, y, x) {
    for (let i = 0; i < y.length; i++) y[i] = ROWS[name](x.subarray(i * length, (i + 1) * length));
  },
  gather({ index }, y, x) {
    for (let i = 0; i < y.length; i++) y[i] = x[index[i]];
  },
  cat({ lengths }, y, ...parts) {
    for (let at = 0, row = 0; at < y.length; row++) {
      parts.forEach((part, i) => {
        y.set(part.subarray(row * lengths[i], (row + 1) * lengths[i]), at);
        at += lengths[i];
      });
    }
  },
  matmul({ N, K, M }, y, a, b) {
    for (let i = 0; i < y.length; i++) {
      const row = Math.floor(i / M); // counted over all batches
      const first = Math.floor(row / N) * K * M + (i % M);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[row * K + k] * b[first + k * M];
      y[i] = sum;
    }
  },
};

/** Return a function that runs the steps in order. `result` is the slot of the output. */
function operators({ steps, result }) {
  const slots = [null, ...steps.map((step) => (step.op === 'constant' ? step.values : new Float32Array(step.size)))];
  return (x, y) => {
    slots[0] = x;
    steps.forEach((step, i) => {
      if (step.op !== 'constant') STEPS[step.op](step, slots[i + 1], ...step.of.map((slot) => slots[slot]));
    });
    y.set(slots[result]);
  };
}
