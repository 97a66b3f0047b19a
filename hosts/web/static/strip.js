// Neighbouring frames, painted alike: side by side to look at, and one after the other to see whether they flicker.

import { api, element } from "/static/api.js";
import { painted, plain } from "/static/painter.js";

const REACH = 2;

export class Strip {
  // `go` gets a frame number; `show` gets plate and painted picture, null and null to end.
  constructor(root, go, show) {
    [this.root, this.go, this.show] = [root, go, show];
    this.turn = 0;
    this.frames = [];
    this.timer = 0;
  }

  // Paint the frames around the open one. `asked` is the request for the open one, without its picture.
  async fill(path, plate, asked, busy) {
    const turn = ++this.turn;
    const last = plate.frames === null ? Infinity : plate.first + plate.frames - 1;
    const begin = Math.max(plate.first, Math.min(plate.frame - REACH, last - 2 * REACH));
    const numbers = [];
    for (let number = begin; number <= Math.min(last, begin + 2 * REACH); number++) numbers.push(number);
    const same = this.frames.length === numbers.length && this.frames.every((each, index) => each.number === numbers[index]);
    if (!same) {
      this.frames = numbers.map((number) => this.#place(number, plate));
      this.root.replaceChildren(...this.frames.map((each) => each.button));
    }
    for (const each of this.frames) {
      each.button.setAttribute("aria-pressed", each.number === plate.frame);
      each.button.classList.add("stale");
    }
    for (const each of this.frames) {
      await busy();
      if (turn !== this.turn) return;
      try {
        const opened = each.number === plate.frame ? plate : await api("/api/plate", { json: { path, frame: each.number } });
        const [{ picture }, before] = await Promise.all([
          painted({ ...asked, picture: opened.id, viewer: `strip-${each.number % 8}` }), plain(opened.id, asked.side),
        ]);
        if (turn !== this.turn) return;
        [each.plate, each.picture] = [before, picture];
        const height = Math.round((each.canvas.width * picture.height) / picture.width);
        if (each.canvas.height !== height) each.canvas.height = height;
        each.canvas.getContext("2d").drawImage(picture, 0, 0, each.canvas.width, height);
        each.button.title = "";
      } catch (problem) {
        if (turn !== this.turn) return;
        each.button.title = problem.message;
      }
      each.button.classList.remove("stale");
    }
  }

  get playing() {
    return this.timer !== 0;
  }

  // Flip through the frames, forth and back, at the shot's own rate but not above 24 a second.
  play(on, rate) {
    clearInterval(this.timer);
    this.timer = 0;
    if (!on) return this.show(null, null);
    let step = 0;
    this.timer = setInterval(() => {
      const ready = this.frames.filter((each) => each.picture);
      if (!ready.length) return;
      const around = [...ready, ...ready.slice(1, -1).reverse()];
      const each = around[step++ % around.length];
      this.show(each.plate, each.picture);
    }, 1000 / Math.min(24, rate || 24));
  }

  #place(number, plate) {
    const canvas = element("canvas", { width: 240, height: Math.max(1, Math.round((240 * plate.height) / plate.width)) });
    const button = element("button", { type: "button", className: "neighbour", aria: { label: `Frame ${number}` } },
      canvas, element("span", { className: "small figure", textContent: number }));
    button.addEventListener("click", () => this.go(number));
    return { number, canvas, button, picture: null, plate: null };
  }
}
