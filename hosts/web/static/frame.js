// What every page does: say that a browser is too old, and how the server is.
import { api, onProblem } from "/static/api.js";

const needed = [window.createImageBitmap, window.ResizeObserver, window.structuredClone, Array.prototype.at];
document.getElementById("old").hidden = needed.every(Boolean);

const banner = document.getElementById("banner");
onProblem((text) => {
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
});

const health = document.getElementById("health");
const WORDS = { ok: "ready", starting: "starting", degraded: "ready, with problems", draining: "leaving" };

// How the server is, in the head of the page; the process behind the page asks it once for all tabs.
async function look() {
  if (!document.hidden) {
    try {
      const found = await api("/api/health");
      const pace = found.fps >= 0.05 ? ` · ${found.fps.toFixed(1)} frames/s` : "";
      const queue = found.queued ? ` · ${found.queued} waiting` : "";
      health.textContent = `${found.running ? "painting" : WORDS[found.health]}${pace}${queue}`;
    } catch {
      health.textContent = "";
    }
  }
  setTimeout(look, 3000);
}

if (!document.documentElement.classList.contains("bare")) look();
