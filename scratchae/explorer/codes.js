// The codes and their places: code = centre + place[0] axes[0] + place[1] axes[1] + ... Places with
// three coordinates are rotated before they are drawn; places with one or two are drawn as they are.

class Codes {
  constructor(data) {
    Object.assign(this, data);
    this.width = data.centre.length;
    this.values = Float32Array.from(data.codes, (q, i) => q * data.scale[i % this.width]);
    this.count = this.values.length / this.width;
    this.places = Array.from({ length: this.count }, (_, i) => this.placeOf(this.code(i), i));
  }

  code(i) {
    return this.values.slice(i * this.width, (i + 1) * this.width);
  }

  label(i) {
    return this.labels ? this.labels[i] : null;
  }

  /** The place [x, y, z] of a code. If codes have one dimension, y is a row for each digit. */
  placeOf(code, i = -1) {
    const place = this.axes.map((axis) => {
      const length = axis.reduce((sum, a) => sum + a * a, 0);
      return length && axis.reduce((sum, a, d) => sum + a * (code[d] - this.centre[d]), 0) / length;
    });
    if (place.length === 1) place.push(i < 0 || !this.labels ? 0 : (4.5 - this.labels[i]) / 3);
    return [...place, 0, 0].slice(0, 3);
  }

  codeOf(place) {
    const part = (d) => this.axes.reduce((sum, axis, k) => sum + place[k] * axis[d], 0);
    return Float32Array.from(this.centre, (middle, d) => middle + part(d));
  }

  /** The index of the nearest code. */
  nearest(code) {
    let [best, least] = [0, Infinity];
    for (let i = 0; i < this.count; i++) {
      let sum = 0;
      for (let d = 0; d < this.width; d++) sum += (code[d] - this.values[i * this.width + d]) ** 2;
      if (sum < least) [best, least] = [i, sum];
    }
    return best;
  }

  /** The variance of each number of the code. */
  variances() {
    return this.centre.map((middle, d) => {
      let sum = 0;
      for (let i = d; i < this.values.length; i += this.width) sum += (this.values[i] - middle) ** 2;
      return sum / this.count;
    });
  }

  /** The median place of each digit: [[digit, place], ...]. */
  middles() {
    const found = [];
    for (const digit of new Set(this.labels ? [...this.labels].sort() : [])) {
      const own = this.places.filter((_, i) => this.labels[i] === digit);
      const median = (k) => quantile(own.map((place) => place[k]), 0.5);
      found.push([digit, [0, 1, 2].map(median)]);
    }
    return found;
  }
}

const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))];
