// Interpolation: decode the codes on a straight line from code A to code B, in every run of the page.

const FRAMES = 9; // pictures in the strip below the slider
const SECONDS = 3; // duration of the animation from A to B

class Path {
  /** Calls changed(words) whenever the slider moves, after the codes at the slider have been decoded. */
  constructor(panels, changed) {
    Object.assign(this, { changed, ends: [], next: 0, playing: 0 });
    this.slider = $('way');
    this.rows = panels.map((panel) => {
      const root = copyOf('walk-of-run', $('walks'));
      root.querySelector('.name').textContent = panel.name;
      const frames = Array.from({ length: FRAMES }, () => digitCanvas());
      const strip = root.querySelector('.strip');
      strip.append(...frames);
      return { panel, root, frames, strip, between: root.querySelector('.between') };
    });
    this.slider.addEventListener('input', () => {
      this.stop();
      this.move();
    });
    $('play').addEventListener('click', () => (this.playing ? this.stop() : this.play()));
  }

  /** Set the next end of the line, A and B in turn. codes: one per run, or null where it is unknown. */
  pick(codes, label) {
    this.ends[this.next] = { codes: codes.map((code) => code && Float32Array.from(code)), label };
    this.next = 1 - this.next;
    this.show();
  }

  show() {
    if (this.ends.length < 2) return;
    const [a, b] = this.ends;
    for (const row of this.rows) {
      row.root.hidden = !this.known(row);
      row.strip.setAttribute('aria-label', `${FRAMES} steps from ${named(a.label)} to ${named(b.label)}`);
      if (row.root.hidden) continue;
      row.frames.forEach((frame, i) => paintDigit(frame, row.panel.sketch(this.at(i / (FRAMES - 1), row))));
    }
    $('ends').textContent = `A is ${named(a.label)}, B is ${named(b.label)}; you choose ${'AB'[this.next]} next.`;
    this.move();
  }

  /** Whether this run knows the codes of both ends. */
  known({ panel }) {
    return this.ends.every(({ codes }) => codes[panel.index]);
  }

  at(share, { panel }) {
    const [a, b] = this.ends.map(({ codes }) => codes[panel.index]);
    return a.map((value, d) => value + share * (b[d] - value));
  }

  get share() {
    return this.slider.value / 100;
  }

  move() {
    const nearest = Math.round(this.share * (FRAMES - 1));
    for (const row of this.rows) {
      row.panel.marks.path = null;
      if (!this.known(row)) continue;
      const code = this.at(this.share, row);
      paintDigit(row.between, row.panel.decode(code));
      row.frames.forEach((frame, i) => frame.classList.toggle('here', i === nearest));
      row.panel.marks.path = { code, text: '' };
    }
    this.slider.setAttribute('aria-valuetext', `${this.slider.value} % of the way from A to B`);
    this.changed(`${this.slider.value} % of the way from A to B`);
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
