// The cloud of codes on its canvas: rotated, projected, and drawn from back to front.

class Cloud {
  constructor(canvas, codes) {
    Object.assign(this, { canvas, codes, turn: 0.6, tilt: 0.35, depth: 0 });
    this.solid = codes.axes.length === 3;
    this.shown = new Set(); // digits to highlight; if empty, all are
    this.marks = []; // {code, text, sigma, dot}, drawn as rings; with sigma, as ellipses; or as dots
    this.plane = null; // decoded images behind the points
    this.line = null; // [code, code]
    this.middles = codes.middles();
    this.middle = [0, 1, 2].map((k) => {
      const [low, high] = [0.02, 0.98].map((share) => quantile(codes.places.map((p) => p[k]), share));
      return (low + high) / 2;
    });
    const radii = codes.places.map((place) => Math.hypot(...place.map((v, k) => v - this.middle[k])));
    this.radius = quantile(radii, 0.98) || 1; // ignore a few outliers, or all other points would be small
    this.redraw = onceAFrame(() => this.draw());
  }

  /** The axes of the screen after the rotation: right, up, and towards the reader. */
  basis() {
    if (!this.solid) return [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    const [a, b] = [Math.cos(this.turn), Math.sin(this.turn)];
    const [e, f] = [Math.cos(this.tilt), Math.sin(this.tilt)];
    return [[a, 0, b], [b * f, e, -a * f], [-b * e, f, a * e]];
  }

  resize() {
    const width = this.canvas.clientWidth;
    const height = Math.max(260, Math.min(width, 0.62 * window.innerHeight));
    Object.assign(this, { w: width, h: height, unit: (0.46 * Math.min(width, height)) / this.radius });
    this.context = fit(this.canvas, width, height);
    this.cursor ??= [width / 2, height / 2];
    this.draw();
  }

  /** [x, y, nearness] of a place on the screen. */
  project(place, basis = this.basis()) {
    const [u, v, near] = basis.map((axis) =>
      axis.reduce((sum, a, k) => sum + a * (place[k] - this.middle[k]), 0),
    );
    return [this.w / 2 + this.unit * u, this.h / 2 - this.unit * v, near];
  }

  /** The code at a point of the screen, in the plane at `depth`. */
  codeAt(x, y, depth = this.depth) {
    const [right, up, near] = this.basis();
    const [u, v] = [(x - this.w / 2) / this.unit, (this.h / 2 - y) / this.unit];
    const way = (k) => u * right[k] + v * up[k] + depth * near[k];
    return this.codes.codeOf(this.middle.map((start, k) => start + way(k)));
  }

  /** The index of the code nearest to a point of the screen, or -1 if none is near. */
  pointAt(x, y) {
    const basis = this.basis();
    let [best, least] = [-1, 24];
    this.codes.places.forEach((place, i) => {
      if (this.shown.size && !this.shown.has(this.codes.label(i))) return;
      const [px, py] = this.project(place, basis);
      const distance = Math.hypot(px - x, py - y);
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }

  draw() {
    const { context, codes } = this;
    const basis = this.basis();
    const points = codes.places.map((place, i) => [...this.project(place, basis), codes.label(i)]);
    points.sort((a, b) => a[2] - b[2]);
    context.clearRect(0, 0, this.w, this.h);
    this.plane?.paint(context);
    for (const [x, y, near, label] of points) {
      const out = !this.shown.size || this.shown.has(label);
      const front = this.solid ? near / this.radius : 1; // from -1 (far) to 1 (near)
      context.globalAlpha = out ? 0.7 + 0.25 * Math.max(-1, Math.min(1, front)) : 0.12;
      context.fillStyle = label === null ? theme.accent : theme.digits[label];
      context.beginPath();
      context.arc(x, y, 2.6 + 0.8 * Math.max(-1, Math.min(1, front)), 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    const names = this.middles.filter(([digit]) => !this.shown.size || this.shown.has(digit));
    const places = apart(names.map(([, place]) => this.project(place, basis)), 18);
    names.forEach(([digit], i) => this.write(digit, places[i], 17));
    this.drawMarks(basis);
  }

  drawMarks(basis) {
    const { context } = this;
    const at = (code) => this.project(this.codes.placeOf(code), basis);
    context.beginPath();
    if (this.line) {
      context.moveTo(...at(this.line[0]).slice(0, 2));
      context.lineTo(...at(this.line[1]).slice(0, 2));
    }
    const [cx, cy] = this.cursor;
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(cx + 4 * dx, cy + 4 * dy);
      context.lineTo(cx + 12 * dx, cy + 12 * dy);
    }
    this.stroke();
    for (const { code, text, sigma, dot } of this.marks) {
      const [x, y] = at(code);
      context.beginPath();
      context.arc(x, y, dot ? 4 : sigma ? 1 : 7, 0, 7);
      this.stroke();
      context.fillStyle = theme.positive;
      if (dot) context.fill();
      if (sigma) this.ellipse(code, sigma, basis);
      if (text) this.write(text, [x, y + (dot ? 17 : -17)], 13);
    }
  }

  /**
   * The projection of an ellipsoid with half-axes σ around a code. If the screen is a linear map M of the
   * code, the squares of the ellipse's half-axes are the eigenvalues of M S² Mᵀ with S = diag(σ).
   */
  ellipse(code, sigma, basis) {
    const at = (one) => this.project(this.codes.placeOf(one), basis);
    const [cx, cy] = at(code);
    let [a, b, c] = [0, 0, 0]; // M S² Mᵀ = [[a, b], [b, c]]
    sigma.forEach((value, d) => {
      const moved = code.slice();
      moved[d] += 1;
      const [x, y] = at(moved);
      const [u, v] = [(x - cx) * value, (y - cy) * value];
      [a, b, c] = [a + u * u, b + u * v, c + v * v];
    });
    const [mean, half] = [(a + c) / 2, Math.hypot((a - c) / 2, b)];
    const radii = [mean + half, mean - half].map((square) => Math.sqrt(Math.max(0, square)));
    this.context.beginPath();
    this.context.ellipse(cx, cy, ...radii, Math.atan2(2 * b, a - c) / 2, 0, 2 * Math.PI);
    this.stroke();
  }

  /** Draw the current path with an outline in the panel's colour, so that it is visible on all points. */
  stroke() {
    const { context } = this;
    for (const [colour, width] of [[theme.panel, 5], [theme.text, 2]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.stroke();
    }
  }

  /** Write text with an outline in the panel's colour, so that it is readable on all points. */
  write(text, [x, y], pixels) {
    const { context } = this;
    context.font = `bold ${pixels}px system-ui, sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineJoin = 'round';
    context.strokeStyle = theme.panel;
    context.lineWidth = 4;
    context.strokeText(text, x, y);
    context.fillStyle = theme.text;
    context.fillText(text, x, y);
  }
}

/** Push places on the screen apart until their distances are at least `gap`, or nearly. */
function apart(places, gap) {
  const moved = places.map(([x, y], i) => [x + 0.01 * i, y]); // no two are exactly equal
  for (let round = 0; round < 30; round++) {
    moved.forEach((one, i) => {
      for (const other of moved.slice(i + 1)) {
        const [dx, dy] = [other[0] - one[0], other[1] - one[1]];
        const distance = Math.hypot(dx, dy);
        if (distance >= gap) continue;
        const push = (gap - distance) / 2 / distance;
        one[0] -= push * dx;
        one[1] -= push * dy;
        other[0] += push * dx;
        other[1] += push * dy;
      }
    });
  }
  return moved;
}
