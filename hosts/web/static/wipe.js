// Two pictures in one place, and a line between them: left of it the first, right of it the second.

import { element } from "/static/api.js";

const STEP = 0.02;

export class Wipe {
  // `root` becomes the viewer. It takes ImageBitmaps, canvases and video frames; `zoom` is "fit" or "1:1".
  constructor(root, { label = "Wipe between plate and painting" } = {}) {
    this.root = root;
    this.canvases = [element("canvas"), element("canvas")];
    this.names = [element("span", { className: "name left" }), element("span", { className: "name right" })];
    this.divider = element("div", {
      className: "divider", tabIndex: 0, role: "slider",
      aria: { label, valuemin: 0, valuemax: 100, orientation: "horizontal" },
    });
    this.stage = element("div", { className: "stage" }, ...this.canvases, this.divider);
    root.classList.add("wipe");
    root.append(this.stage, ...this.names);
    this.on = true;
    this.held = null;
    this.zoom = "fit";
    this.layout = "over";
    this.size = [16, 9];
    this.position = 0.5;
    this.divider.addEventListener("keydown", (event) => this.#key(event));
    this.stage.addEventListener("pointerdown", (event) => this.#grab(event));
    new ResizeObserver(() => this.#fit()).observe(root);
    this.#show();
  }

  // Draw a picture; 0 is the left one, 1 the right one. The size of the view is that of the right one.
  draw(side, picture) {
    const canvas = this.canvases[side];
    const [width, height] = [picture.displayWidth ?? picture.width, picture.displayHeight ?? picture.height];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    if (side === 1 && (this.size[0] !== width || this.size[1] !== height)) {
      this.size = [width, height];
      this.#fit();
    }
    this.root.classList.add("filled");
  }

  // What stands in the corners.
  label(left, right) {
    [this.names[0].textContent, this.names[1].textContent] = [left, right];
  }

  // Switch the line on or off; off shows the right picture alone.
  toggle(on = !this.on) {
    this.on = on;
    this.#show();
  }

  // Show one picture alone for as long as a key is held; null ends it.
  hold(side) {
    this.held = side;
    this.#show();
  }

  move(position) {
    this.position = Math.min(1, Math.max(0, position));
    this.#show();
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.root.classList.toggle("actual", zoom === "1:1");
    this.#fit();
  }

  // "over" lays the pictures over each other, "side" puts them beside each other.
  setLayout(layout) {
    this.layout = layout;
    this.root.classList.toggle("side", layout === "side");
    this.#show();
    this.#fit();
  }

  #show() {
    if (this.layout === "side") return this.#showBoth();
    const at = this.held === null ? (this.on ? this.position : 0) : this.held === 0 ? 1 : 0;
    const line = this.on && this.held === null;
    this.canvases[0].style.clipPath = `inset(0 ${100 - 100 * at}% 0 0)`;
    this.divider.style.left = `${100 * at}%`;
    this.divider.hidden = !line;
    this.names[0].hidden = at === 0;
    this.names[1].hidden = at === 1;
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.position));
  }

  #showBoth() {
    this.canvases[0].style.clipPath = "";
    this.divider.hidden = true;
    this.names.forEach((name) => { name.hidden = false; });
  }

  #fit() {
    const ratio = window.devicePixelRatio || 1;
    const style = getComputedStyle(this.root);
    const room = [
      this.root.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
      this.root.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
    ];
    const fits = (wide, high) => Math.min(room[0] / wide, room[1] / high);
    let [width, height] = this.size;
    if (this.layout === "side") {
      // Beside each other or one above the other, whichever shows them larger.
      const stacked = fits(width, 2 * height) > fits(2 * width, height);
      this.root.classList.toggle("stacked", stacked);
      [width, height] = stacked ? [width, 2 * height] : [2 * width, height];
    }
    const scale = this.zoom === "1:1" ? 1 / ratio : fits(width, height);
    this.stage.style.width = `${Math.max(1, Math.floor(width * scale))}px`;
    this.stage.style.height = `${Math.max(1, Math.floor(height * scale))}px`;
  }

  #key(event) {
    const to = { ArrowLeft: this.position - STEP, ArrowRight: this.position + STEP, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(to);
  }

  #grab(event) {
    if (!this.on || this.layout === "side" || event.button !== 0) return;
    const follow = (moved) => {
      const box = this.stage.getBoundingClientRect();
      this.move((moved.clientX - box.left) / box.width);
    };
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", follow);
    const release = () => this.stage.removeEventListener("pointermove", follow);
    this.stage.addEventListener("pointerup", release, { once: true });
    this.stage.addEventListener("pointercancel", release, { once: true });
    follow(event);
  }
}
