// The backward stepper: a 2-3-1 network, one click an arrow. `plan` is the mathematics, the rest draws it.
"use strict";

const START = {
  x: [1, 2], W1: [[1, -1], [2, 1], [-1, 1]], b1: [0, -1, 0], W2: [2, 1, -1], b2: 1, t: 1,
};
const SUB = ["₁", "₂", "₃"];
const text = (v) => String(Math.round(v * 1000) / 1000).replace("-", "−");
const factor = (v) => (v < 0 ? `(${text(v)})` : text(v));

/** Every step in order: the name and the value that it finds, its sentence, the arrows that it uses. */
function plan({ x, W1, b1, W2, b2, t }) {
  const steps = [];
  const found = {};
  const step = (name, value, words, arrows, back) => {
    found[name] = value;
    steps.push({ name, value, words: `${words} = ${text(value)}`, arrows, back });
  };
  for (const j of [0, 1, 2]) {
    step(`z${j}`, W1[j][0] * x[0] + W1[j][1] * x[1] + b1[j],
      `z${SUB[j]} = ${factor(W1[j][0])}·${factor(x[0])} + ${factor(W1[j][1])}·${factor(x[1])} + ${factor(b1[j])}`,
      [`x0-h${j}`, `x1-h${j}`], false);
  }
  for (const j of [0, 1, 2]) {
    step(`h${j}`, Math.max(found[`z${j}`], 0), `h${SUB[j]} = max(${text(found[`z${j}`])}, 0)`, [], false);
  }
  const h = [0, 1, 2].map((j) => found[`h${j}`]);
  step("y", W2[0] * h[0] + W2[1] * h[1] + W2[2] * h[2] + b2,
    `y = ${h.map((v, j) => `${factor(W2[j])}·${factor(v)}`).join(" + ")} + ${factor(b2)}`,
    ["h0-y", "h1-y", "h2-y"], false);
  step("L", (found.y - t) ** 2, `L = (${text(found.y)} − ${factor(t)})²`, ["y-L"], false);
  const dy = 2 * (found.y - t);
  step("dy", dy, `Back through the loss: dy = 2 (y − t) = 2 (${text(found.y)} − ${factor(t)})`, ["y-L"], true);
  step("db2", dy, "The bias moves y as it moves itself: db = dy", [], true);
  for (const j of [0, 1, 2]) {
    step(`dW2${j}`, dy * h[j],
      `A weight collects dy times what went through it: dV${SUB[j]} = dy · h${SUB[j]} = ${factor(dy)}·${factor(h[j])}`,
      [`h${j}-y`], true);
  }
  for (const j of [0, 1, 2]) {
    step(`dh${j}`, dy * W2[j],
      `Along the same arrow, times the weight: dh${SUB[j]} = dy · V${SUB[j]} = ${factor(dy)}·${factor(W2[j])}`,
      [`h${j}-y`], true);
  }
  for (const j of [0, 1, 2]) {
    const open = found[`z${j}`] > 0;
    step(`dz${j}`, open ? found[`dh${j}`] : 0,
      `${open ? "The ReLU was open, dh passes" : "The ReLU was shut, nothing passes"}: dz${SUB[j]}`, [], true);
  }
  const dz = [0, 1, 2].map((j) => found[`dz${j}`]);
  for (const j of [0, 1, 2]) step(`db1${j}`, dz[j], `The bias: db${SUB[j]} = dz${SUB[j]}`, [], true);
  for (const j of [0, 1, 2]) {
    for (const i of [0, 1]) {
      step(`dW1${j}${i}`, dz[j] * x[i],
        `dW${SUB[j]}${SUB[i]} = dz${SUB[j]} · x${SUB[i]} = ${factor(dz[j])}·${factor(x[i])}`, [`x${i}-h${j}`], true);
    }
  }
  for (const i of [0, 1]) {
    step(`dx${i}`, dz[0] * W1[0][i] + dz[1] * W1[1][i] + dz[2] * W1[2][i],
      `An input collects from all three that used it: dx${SUB[i]} = ${[0, 1, 2].map((j) => `${factor(dz[j])}·${factor(W1[j][i])}`).join(" + ")}`,
      [0, 1, 2].map((j) => `x${i}-h${j}`), true);
  }
  return steps;
}

const SVG = "http://www.w3.org/2000/svg";
// Middles and widths of the boxes, and how far along its arrow the weight of an input stands: from left to
// right, or downwards on a phone.
const ACROSS = {
  size: [640, 400], widths: { x: 74, h: 144, y: 84, L: 78 }, shares: [0.5, 0.36],
  x0: [50, 120], x1: [50, 280], h0: [270, 60], h1: [270, 200], h2: [270, 340], y: [465, 200], L: [590, 200],
};
const DOWN = {
  size: [400, 520], widths: { x: 84, h: 128, y: 94, L: 88 }, shares: [0.38, 0.66],
  x0: [110, 34], x1: [290, 34], h0: [67, 240], h1: [200, 240], h2: [333, 240], y: [200, 395], L: [200, 485],
};
const NARROW = window.matchMedia("(max-width: 40em)");

class Stepper {
  constructor(root) {
    this.numbers = structuredClone(START);
    this.at = 0; // how many steps are done
    root.innerHTML = `
      <svg role="img" aria-label="A network: two inputs, three ReLU units, one output and
        the loss, with an arrow for every weight. Values appear on the way forward, gradients on the way back."></svg>
      <p class="words" aria-live="polite"></p>
      <p class="buttons">
        <button type="button" data-move="-1">← back</button>
        <button type="button" data-move="1">next arrow →</button>
        <button type="button" data-move="99">to the end</button>
        <button type="button" data-move="-99">to the start</button>
        <span class="count"></span>
      </p>
      <fieldset><legend>Numbers to change</legend></fieldset>`;
    this.svg = root.querySelector("svg");
    this.words = root.querySelector(".words");
    this.count = root.querySelector(".count");
    root.querySelectorAll("button").forEach((b) => b.addEventListener("click", () => this.move(Number(b.dataset.move))));
    this.addInputs(root.querySelector("fieldset"));
    NARROW.addEventListener("change", () => this.draw());
    this.move(0);
  }

  addInputs(box) {
    const add = (label, get, set) => {
      const line = document.createElement("label");
      line.append(label);
      const input = Object.assign(document.createElement("input"), { type: "number", step: "0.5", value: get() });
      input.addEventListener("input", () => {
        if (!Number.isFinite(input.valueAsNumber)) return;
        set(input.valueAsNumber);
        this.move(0);
      });
      line.append(input);
      box.append(line);
    };
    const n = this.numbers;
    for (const i of [0, 1]) add(`x${SUB[i]}`, () => n.x[i], (v) => (n.x[i] = v));
    for (const j of [0, 1, 2]) for (const i of [0, 1]) add(`W${SUB[j]}${SUB[i]}`, () => n.W1[j][i], (v) => (n.W1[j][i] = v));
    for (const j of [0, 1, 2]) add(`b${SUB[j]}`, () => n.b1[j], (v) => (n.b1[j] = v));
    for (const j of [0, 1, 2]) add(`V${SUB[j]}`, () => n.W2[j], (v) => (n.W2[j] = v));
    add("b", () => n.b2, (v) => (n.b2 = v));
    add("target t", () => n.t, (v) => (n.t = v));
  }

  /** Go some steps on or back. */
  move(by) {
    const steps = plan(this.numbers);
    this.at = Math.min(Math.max(this.at + by, 0), steps.length);
    this.values = Object.fromEntries(steps.slice(0, this.at).map((s) => [s.name, s.value]));
    this.now = steps[this.at - 1];
    this.words.textContent = this.now ? this.now.words : "Every arrow is a weight. Click “next arrow”, and say what comes before you look.";
    this.words.classList.toggle("back", Boolean(this.now && this.now.back));
    this.count.textContent = `${this.at} of ${steps.length}`;
    this.draw();
  }

  draw() {
    this.svg.replaceChildren();
    this.places = NARROW.matches ? DOWN : ACROSS;
    this.svg.setAttribute("viewBox", `0 0 ${this.places.size.join(" ")}`);
    const n = this.numbers;
    for (const j of [0, 1, 2]) {
      for (const i of [0, 1]) this.arrow(`x${i}`, `h${j}`, n.W1[j][i], `dW1${j}${i}`, this.places.shares[i]);
      this.arrow(`h${j}`, "y", n.W2[j], `dW2${j}`, 0.5);
    }
    this.arrow("y", "L");
    for (const i of [0, 1]) this.box(`x${i}`, [[`x${SUB[i]}`, n.x[i]]], [[`dx${i}`, `dx${SUB[i]}`]]);
    for (const j of [0, 1, 2]) {
      const sums = [[`z${SUB[j]}`, this.values[`z${j}`]], [`h${SUB[j]}`, this.values[`h${j}`]]];
      this.box(`h${j}`, sums, [[`dz${j}`, `dz${SUB[j]}`], [`dh${j}`, `dh${SUB[j]}`]], n.b1[j], `db1${j}`);
    }
    this.box("y", [["y", this.values.y]], [["dy", "dy"]], n.b2, "db2");
    this.box("L", [["L", this.values.L]], []);
  }

  arrow(from, to, weight, gradient, share) {
    const [[ax, ay], [bx, by]] = [this.places[from], this.places[to]];
    const lit = this.now && this.now.arrows.includes(`${from}-${to}`);
    const line = this.add("line", { x1: ax, y1: ay, x2: bx, y2: by });
    line.setAttribute("class", lit ? (this.now.back ? "lit back" : "lit") : "");
    if (weight === undefined) return;
    const at = [ax + share * (bx - ax), ay + share * (by - ay)];
    this.write(at[0], at[1] - 4, text(weight), "weight");
    if (gradient in this.values) this.write(at[0], at[1] + 13, text(this.values[gradient]), "gradient");
  }

  box(place, values, gradients, bias, dbias) {
    const [x, y] = this.places[place];
    const width = this.places.widths[place[0]];
    this.add("rect", { x: x - width / 2, y: y - 27, width, height: 54, rx: 8 });
    const column = (k, many) => x + (many === 1 ? 0 : (k - 0.5) * width * 0.48);
    values.forEach(([name, value], k) => {
      if (value !== undefined) this.write(column(k, values.length), y - 6, `${name} ${text(value)}`, "value");
      else this.write(column(k, values.length), y - 6, name, "value faint");
    });
    gradients.forEach(([key, name], k) => {
      if (key in this.values) this.write(column(k, gradients.length), y + 17, `${name} ${text(this.values[key])}`, "value gradient");
    });
    if (bias === undefined) return;
    this.write(x - 4, y - 34, `bias ${text(bias)}`, "weight end");
    if (dbias in this.values) this.write(x + 4, y - 34, text(this.values[dbias]), "gradient start");
  }

  add(kind, attributes) {
    const node = document.createElementNS(SVG, kind);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (kind === "line") this.svg.prepend(node); // below all numbers
    else this.svg.append(node);
    return node;
  }

  write(x, y, words, kind) {
    this.add("text", { x, y, class: kind }).textContent = words;
  }
}

document.querySelectorAll(".stepper").forEach((root) => {
  window.stepper = new Stepper(root);
});
