// One run of the page: its two networks, its codes, and the elements that show them.

/** Copy a template into a parent, and return the copy. */
function copyOf(template, parent) {
  const copy = $(template).content.firstElementChild.cloneNode(true);
  parent.append(copy);
  return copy;
}

class Panel {
  constructor(run, index) {
    Object.assign(this, { run, index, name: run.model, times: [], marks: {} });
    this.encoder = new Network(run.encoder, run.inputShape);
    this.decoder = new Network(run.decoder, run.codeShape);
    this.painter = new Network(run.decoder, run.codeShape); // for images that the layer view does not show
    this.codes = run.cloud && new Codes(run.cloud);
    this.space = copyOf('space-of-run', $('panels'));
    this.output = copyOf('output-of-run', $('outputs'));
    this.layers = copyOf('layers-of-run', $('networks'));
    for (const part of [this.space, this.output, this.layers]) part.querySelector('.name').textContent = this.name;
    this.output.querySelector('canvas').setAttribute('aria-label', `The reconstruction by ${this.name}`);
    this.space.hidden = !this.codes;
    this.cloud = this.codes && new Cloud(this.part('cloud'), this.codes);
    if (this.cloud && !this.cloud.solid && this.codes.width === 2) {
      this.cloud.plane = new Plane(this.cloud, (code) => this.sketch(code));
    }
    const [encoder, decoder] = this.layers.querySelectorAll('.stages');
    this.encoderView = new LayerView(this.encoder, encoder);
    this.decoderView = new LayerView(this.decoder, decoder);
    this.posterior = this.encoder.layers.at(-1)?.kind === 'GaussianSampling' ? new Posterior(this) : null;
  }

  /** The element of this class in the panel of the code space. */
  part(name) {
    return this.space.querySelector(`.${name}`);
  }

  /** The code of an image; its ink is from 0 (black) to 1 (white). */
  encode(ink) {
    const [low, high] = this.run.pixelRange;
    return Float32Array.from(this.encoder.forward(Float32Array.from(ink, (v) => low + v * (high - low))));
  }

  /** The image of a code, as ink from 0 to 1. `network`: the one whose activations are shown, or the other. */
  decode(code, network = this.decoder) {
    const [low, high] = this.run.pixelRange;
    return network.forward(code).map((v) => (v - low) / (high - low));
  }

  /** The image of a code, without changing what the layer view shows. */
  sketch(code) {
    return this.decode(code, this.painter);
  }

  /** Encode and decode an image, and show the result. */
  take(ink, words) {
    const code = this.encode(ink);
    const back = this.decode(code);
    paintDigit(this.output.querySelector('canvas'), back);
    this.marks.input = { code, text: 'in' };
    const error = ink.reduce((sum, value, i) => sum + (value - back[i]) ** 2, 0) / ink.length;
    const near = this.codes && named(this.codes.label(this.codes.nearest(code)));
    this.encoderView.draw();
    this.say('encoder', words);
    this.showDecoder(words);
    this.posterior?.take();
    return { error, near };
  }

  forget() {
    paintDigit(this.output.querySelector('canvas'), new Float32Array(SIDE * SIDE));
    this.posterior?.forget();
    Object.assign(this.marks, { input: null, sample: null });
  }

  /** Show the decoder's activations of its last forward pass. */
  showDecoder(words) {
    this.say('decoder', words);
    this.decoderView.draw();
  }

  say(network, words) {
    this.layers.querySelector(`.${network}-of`).textContent = `of ${words}`;
  }

  /** Decode the code at the pointer, and show the image. */
  probe() {
    const code = this.cloud.codeAt(...this.cloud.cursor);
    const start = performance.now();
    const ink = this.decode(code);
    this.times.push(performance.now() - start);
    if (this.times.length > 20) this.times.shift();
    paintDigit(this.part('decoded'), ink);
    const some = Array.from(code.slice(0, 6), (value) => number(value)).join(', ');
    this.part('code').textContent = code.length > 6 ? `${some}, …` : some;
    const near = named(this.codes.label(this.codes.nearest(code)));
    if (this.codes.labels && this.part('near').textContent !== near) this.part('near').textContent = near;
    this.part('time').textContent = `${number(quantile(this.times, 0.5), 1)} ms`;
    this.showDecoder('the code at the pointer');
  }

  /** Draw the cloud with the marks of the path, of the input, and of the drawn code. */
  drawCloud(ends) {
    if (!this.cloud?.context) return;
    const own = ends.map((end, i) => ({ code: end.codes[this.index], text: 'AB'[i] })).filter((end) => end.code);
    const { path, input, sample } = this.marks;
    this.cloud.marks = [...own, path, input, sample].filter(Boolean);
    this.cloud.line = own.length === 2 ? own.map(({ code }) => code) : null;
    this.cloud.redraw();
  }

  resize() {
    this.cloud?.resize();
    this.encoderView.draw();
    this.decoderView.draw();
    this.posterior?.show();
  }
}
