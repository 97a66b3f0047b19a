// Controls made from the server's parameters: name, minimum, maximum, default and help of each.

import { element } from "/static/api.js";

const STEPS = 200;

export class Sliders {
  // `changed` is called with nothing after every change by a person.
  constructor(root, parameters, changed) {
    this.rows = new Map(parameters.map((each) => [each.name, new Row(each, changed)]));
    root.replaceChildren(...[...this.rows.values()].map((row) => row.element));
  }

  // What differs from the defaults: name -> value.
  values() {
    return Object.fromEntries([...this.rows].filter(([, row]) => !row.isDefault).map(([name, row]) => [name, row.value]));
  }

  // Take values over; what is not named goes to its default. Nobody is told.
  set(values) {
    for (const [name, row] of this.rows) row.set(values[name] ?? row.fallback);
  }

  // The defaults of a style take the place of the table's; values that were at the old default follow.
  defaults(values) {
    for (const [name, row] of this.rows) {
      const follows = row.isDefault;
      row.fallback = values[name] ?? row.facts.default;
      row.set(follows ? row.fallback : row.value);
    }
  }
}

class Row {
  constructor(facts, changed) {
    this.facts = facts;
    this.fallback = facts.default;
    // Sizes and gammas double: equal steps are equal ratios.
    this.ratio = facts.minimum > 0 && facts.maximum / facts.minimum >= 16;
    const id = `slider-${facts.name}-${Row.count++}`;
    this.range = element("input", { type: "range", id, min: 0, max: STEPS, step: 1, title: facts.help });
    this.number = element("input", {
      type: "number", min: facts.minimum, max: facts.maximum, step: "any", aria: { label: `${facts.name}, as a number` },
    });
    this.reset = element("button", { type: "button", className: "reset", textContent: "↺",
      title: "Back to the style's default", aria: { label: `Reset ${facts.name}` } });
    this.element = element("div", { className: "slider" },
      element("label", { htmlFor: id, textContent: facts.name, title: facts.help }), this.range, this.number, this.reset);
    this.range.addEventListener("input", () => this.#take(this.#fromRange(), changed));
    this.number.addEventListener("change", () => this.#take(Number(this.number.value), changed));
    this.reset.addEventListener("click", () => this.#take(this.fallback, changed));
    this.range.addEventListener("dblclick", () => this.#take(this.fallback, changed));
    this.set(facts.default);
  }

  static count = 0;

  get isDefault() {
    return Math.abs(this.value - this.fallback) < 1e-9;
  }

  set(value) {
    const { minimum, maximum } = this.facts;
    const wanted = Number.isFinite(value) ? value : this.fallback;
    this.value = Math.min(maximum, Math.max(minimum, wanted));
    this.range.value = Math.round(STEPS * this.#partOf(this.value));
    this.range.setAttribute("aria-valuetext", shown(this.value));
    this.number.value = shown(this.value);
    this.element.classList.toggle("changed", !this.isDefault);
    this.reset.disabled = this.isDefault;
  }

  #take(value, changed) {
    this.set(value);
    changed();
  }

  #fromRange() {
    const { minimum, maximum } = this.facts;
    const part = this.range.value / STEPS;
    const value = this.ratio ? minimum * (maximum / minimum) ** part : minimum + part * (maximum - minimum);
    const near = Math.abs(this.#partOf(this.fallback) - part) < 0.6 / STEPS;
    return near ? this.fallback : Number(value.toPrecision(3));
  }

  #partOf(value) {
    const { minimum, maximum } = this.facts;
    return this.ratio ? Math.log(value / minimum) / Math.log(maximum / minimum) : (value - minimum) / (maximum - minimum);
  }
}

function shown(value) {
  return String(Number(value.toFixed(3)));
}
