// Small charts of a run's figures, each with a line for one or two runs and a mark at the moment that is shown.

import { element } from "/static/api.js";

const HELP = {
  loss: "All that the network is judged by, together; lower is better.",
  reconstruction: "How far the result is from the painted pictures; lower is better.",
  texture: "How far its brush texture is from theirs; lower is better.",
  consistency: "How much the result changes when the picture moves a little: flicker. Lower is better.",
  adversarial: "How well the critic tells the result from paint; it should settle.",
  critic_gap: "How sure the critic is. Near 0 it learns nothing, when it only grows it wins.",
  out_of_range: "How much of the result is beyond black and white.",
  held_out: "How far the result is from painted pictures that it never learns from; lower is better.",
  contrast: "Contrast of the result against that of the paint; 1 is the same.",
};
const HEIGHT = 84;
const COLOURS = ["#d8a657", "#8fb3cc"];

export class Charts {
  constructor(root) {
    this.root = root;
    this.places = new Map();
    new ResizeObserver(() => this.draw()).observe(root);
    this.runs = [];
    this.moment = null;
  }

  // Curves of one or two runs; `moment` is a step of the first.
  show(runs, moment) {
    [this.runs, this.moment] = [runs, moment];
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.figures)))];
    if (names.join() !== [...this.places.keys()].join()) {
      this.places = new Map(names.map((name) => [name, this.#place(name)]));
      this.root.replaceChildren(...[...this.places.values()].map((place) => place.root));
    }
    this.draw();
  }

  draw() {
    for (const [name, place] of this.places) this.#drawOne(name, place);
  }

  #place(name) {
    const canvas = element("canvas");
    const value = element("span", { className: "figure" });
    const root = element("div", { className: "chart", title: HELP[name] ?? name },
      element("div", { className: "head small" }, element("span", { className: "quiet", textContent: name.replaceAll("_", " ") }), value), canvas);
    return { root, canvas, value };
  }

  #drawOne(name, { canvas, value }) {
    const lines = this.runs.map((run) => measured(run.steps, run.figures[name] ?? []));
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (!width) return;
    [canvas.width, canvas.height] = [width * ratio, HEIGHT * ratio];
    const draw = canvas.getContext("2d");
    draw.scale(ratio, ratio);
    const all = lines.flatMap((line) => line.values).toSorted((one, two) => one - two);
    if (!all.length) return;
    // A first value far off must not press the rest flat.
    const least = all[0], most = Math.max(all[Math.floor(0.98 * (all.length - 1))], least + 1e-9);
    const last = Math.max(1, ...lines.map((line) => line.at.at(-1) ?? 0));
    const x = (step) => (step / last) * (width - 2) + 1;
    const y = (found) => HEIGHT - 4 - Math.min(1.04, (found - least) / (most - least)) * (HEIGHT - 12);
    draw.strokeStyle = "#3a3a3a";
    draw.strokeRect(0.5, 0.5, width - 1, HEIGHT - 1);
    lines.forEach((line, index) => {
      draw.strokeStyle = COLOURS[index];
      draw.lineWidth = 1.4;
      draw.beginPath();
      line.values.forEach((found, place) => draw.lineTo(x(line.at[place]), y(found)));
      draw.stroke();
    });
    const shown = lines.map((line) => line.values[nearest(line.at, this.moment ?? last)]);
    if (this.moment !== null) {
      draw.strokeStyle = "#fff6";
      draw.beginPath();
      draw.moveTo(x(this.moment), 0);
      draw.lineTo(x(this.moment), HEIGHT);
      draw.stroke();
    }
    value.textContent = shown.map((found) => (found === undefined ? "" : found.toPrecision(3))).join("  /  ");
  }
}

// A figure from where it was first measured: until then a log holds zeros.
function measured(steps, values) {
  const begin = values.findIndex((found) => found !== 0);
  return begin < 0 ? { at: [], values: [] } : { at: steps.slice(begin), values: values.slice(begin) };
}

// The index of the step that is nearest.
export function nearest(steps, wanted) {
  let found = 0;
  steps.forEach((step, index) => {
    if (Math.abs(step - wanted) < Math.abs(steps[found] - wanted)) found = index;
  });
  return found;
}
