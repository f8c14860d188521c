// The reparameterisation: the encoder of a variational autoencoder gives a mean μ and a spread σ for each
// number of the code, and z = μ + s σ ε with noise ε is a code of the image. s is 1 in training.

const DRAWS = 8; // images of the strip
const MOST = 20; // dimensions with a slider
const REACH = 4; // of the axis of the bars

class Posterior {
  constructor(panel) {
    Object.assign(this, { panel, mu: null, sigma: null, eps: new Float32Array(panel.run.codeShape[0]) });
    this.eps.forEach((_, d) => (this.eps[d] = d % 2 ? -1 : 1)); // one spread away from the mean
    this.root = copyOf('noise-of-run', $('noises'));
    this.root.querySelector('.name').textContent = panel.name;
    this.draws = Array.from({ length: DRAWS }, () => digitCanvas());
    this.part('draws').append(...this.draws);
    this.part('spread').addEventListener('input', () => this.show());
    this.part('draw').addEventListener('click', () => this.draw());
    this.part('zero').addEventListener('click', () => this.draw(0));
    this.rows = this.dimensions().map((d) => this.row(d));
    const count = this.eps.length;
    if (count > MOST) this.part('few').textContent = `The ${MOST} numbers of ${count} that vary most.`;
  }

  part(name) {
    return this.root.querySelector(`.${name}`);
  }

  /** The dimensions to show: all, or those whose means vary most. */
  dimensions() {
    const all = [...this.eps.keys()];
    if (all.length <= MOST) return all;
    return this.panel.codes.variances().map((v, d) => [v, d]).sort((a, b) => b[0] - a[0]).slice(0, MOST).map(([, d]) => d);
  }

  /** One line: a bar, a slider for ε, and the numbers. */
  row(d) {
    const root = copyOf('noise-row', this.part('rows'));
    const [slider, bar, words] = ['input', 'canvas', 'output'].map((tag) => root.querySelector(tag));
    root.querySelector('span').textContent = `ε${subscript(d + 1)}`;
    slider.addEventListener('input', () => {
      this.eps[d] = Number(slider.value);
      this.show();
    });
    return { d, slider, bar, words };
  }

  /** Take the mean and the spread of the image that was encoded last. */
  take() {
    const { layers } = this.panel.encoder;
    const L = this.eps.length;
    const both = layers.at(-2).y; // (2 L,): the means, then the log-variances
    this.mu = Float32Array.from(both.subarray(0, L));
    this.sigma = Float32Array.from(both.subarray(L), (logvar) => Math.exp(logvar / 2));
    this.strip = Array.from({ length: DRAWS }, () => Float32Array.from({ length: L }, gauss));
    this.show();
  }

  /** Draw new noise for the code and for the strip; `value` sets all of the code's noise instead. */
  draw(value) {
    this.eps = this.eps.map(() => value ?? gauss());
    this.strip = this.strip?.map((eps) => eps.map(gauss));
    this.show();
  }

  code(eps) {
    const s = Number(this.part('spread').value);
    return this.mu.map((mu, d) => mu + s * this.sigma[d] * eps[d]);
  }

  show() {
    if (!this.mu) return;
    const { panel, mu, sigma, eps } = this;
    const s = Number(this.part('spread').value);
    const z = this.code(eps);
    const image = panel.decode(z);
    panel.showDecoder('the code z');
    paintDigit(this.part('sampled'), image);
    paintDigit(this.part('mean'), panel.sketch(mu));
    this.draws.forEach((canvas, i) => paintDigit(canvas, panel.sketch(this.code(this.strip[i]))));
    this.part('scale').textContent = number(s, 1);
    for (const { d, slider, bar, words } of this.rows) {
      slider.value = eps[d];
      words.textContent = `${number(mu[d])} + ${number(s, 1)} · ${number(sigma[d])} · ${bracketed(eps[d])} = ${number(z[d])}`;
      drawBar(bar, mu[d], s * sigma[d], z[d]);
    }
    const kl = mu.reduce((sum, m, d) => sum + (m * m + sigma[d] ** 2 - 1) / 2 - Math.log(sigma[d]), 0);
    this.part('kl').textContent = `KL divergence from the prior: ${number(kl)} nats.`;
    panel.marks.input = { code: mu, text: 'μ', sigma: sigma.map((value) => s * value) };
    panel.marks.sample = { code: z, text: 'z', dot: true };
    drawClouds();
  }

  forget() {
    this.mu = null;
    for (const canvas of this.root.querySelectorAll('.digit')) paintDigit(canvas, new Float32Array(SIDE * SIDE));
  }
}

/** The prior as a faint bar, the posterior as a bar from μ − σ to μ + σ, and z as a line. */
function drawBar(canvas, mu, sigma, z) {
  const [width, height] = [150, 20];
  const context = fit(canvas, width, height);
  const x = (value) => (width * (value + REACH)) / (2 * REACH);
  context.fillStyle = theme.faint;
  context.fillRect(x(-1), 3, x(1) - x(-1), height - 6);
  context.fillRect(0, height / 2 - 0.5, width, 1);
  context.fillStyle = theme.negative;
  context.fillRect(x(mu - sigma), 7, Math.max(2, x(mu + sigma) - x(mu - sigma)), height - 14);
  context.fillStyle = theme.positive;
  context.fillRect(x(z) - 1.5, 1, 3, height - 2);
}

/** A number with a standard normal distribution (Box and Muller 1958). */
const gauss = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

const subscript = (n) => String(n).replace(/\d/g, (digit) => '₀₁₂₃₄₅₆₇₈₉'[digit]);
const bracketed = (value) => (value < 0 ? `(${number(value)})` : number(value));
