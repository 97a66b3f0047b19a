// What every page does: say that a browser is too old, and how the server is.
import { onProblem } from "/static/api.js";

const needed = [window.createImageBitmap, window.ResizeObserver, window.structuredClone, Array.prototype.at];
document.getElementById("old").hidden = needed.every(Boolean);

const banner = document.getElementById("banner");
onProblem((text) => {
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
});
