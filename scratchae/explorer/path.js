// Interpolation: decode the codes on a straight line from code A to code B.

const FRAMES = 9; // pictures in the strip below the slider
const SECONDS = 3; // duration of the animation from A to B

class Path {
  /** Calls changed(code, words) with the code at the slider whenever it moves. */
  constructor(decoder, changed) {
    Object.assign(this, { decoder, changed, ends: [], next: 0, playing: 0 });
    this.slider = $('way');
    this.frames = Array.from({ length: FRAMES }, () => digitCanvas());
    $('strip').append(...this.frames);
    this.slider.addEventListener('input', () => {
      this.stop();
      this.move();
    });
    $('play').addEventListener('click', () => (this.playing ? this.stop() : this.play()));
  }

  /** Set the next end of the line: A and B in turn. */
  pick(code, label) {
    this.ends[this.next] = { code: Float32Array.from(code), label };
    this.next = 1 - this.next;
    this.show();
  }

  show() {
    if (this.ends.length < 2) return;
    const [a, b] = this.ends;
    this.frames.forEach((frame, i) => paintDigit(frame, this.decoder.forward(this.at(i / (FRAMES - 1)))));
    $('ends').textContent = `A is ${named(a.label)}, B is ${named(b.label)}; you choose ${'AB'[this.next]} next.`;
    $('strip').setAttribute('aria-label', `${FRAMES} steps from ${named(a.label)} to ${named(b.label)}`);
    this.move();
  }

  at(share) {
    const [a, b] = this.ends;
    return a.code.map((value, d) => value + share * (b.code[d] - value));
  }

  get share() {
    return this.slider.value / 100;
  }

  move() {
    const code = this.at(this.share);
    paintDigit($('between'), this.decoder.forward(code));
    const nearest = Math.round(this.share * (FRAMES - 1));
    this.frames.forEach((frame, i) => frame.classList.toggle('here', i === nearest));
    this.slider.setAttribute('aria-valuetext', `${this.slider.value} % of the way from A to B`);
    this.changed(code, `${this.slider.value} % of the way from A to B`);
  }

  play() {
    const from = this.share < 1 ? this.share : 0;
    const start = performance.now() - 1000 * SECONDS * from;
    const step = (now) => {
      const share = Math.max(0, Math.min(1, (now - start) / 1000 / SECONDS));
      this.slider.value = 100 * share;
      this.move();
      this.playing = share < 1 ? requestAnimationFrame(step) : 0;
      this.tell();
    };
    this.playing = requestAnimationFrame(step);
    this.tell();
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.tell();
  }

  tell() {
    $('play').textContent = this.playing ? 'Stop' : 'Play';
  }
}
