// The Live page: what comes, painted, with a wipe to the plate; style and parameters change while it runs.

import { element, sentence, socket, typing } from "/static/api.js";
import { PageCamera } from "/static/live-camera.js";
import { Sliders } from "/static/sliders.js";
import { Wipe } from "/static/wipe.js";

const at = (id) => document.getElementById(id);
const bare = document.documentElement.classList.contains("bare");
const STEP = 0.05;
const SEND_EVERY = 60;

const wipe = new Wipe(at("live-view"));
const camera = new PageCamera(at("live-view"), (picture) => link.send(picture), problem);
const surface = document.createElement("canvas");
let session = null, sliders = null, held = false, plateAsked = false, shown = 0, problemFrom = 0, timer = 0;

const link = socket("/live/socket", {
  open: () => {
    plateAsked = false;
    ask({ hidden: document.hidden });
    plates();
  },
  message: (data) => (typeof data === "string" ? told(JSON.parse(data)) : picture(data)),
  closed: () => {
    camera.stop();
    document.body.classList.add("stale");
  },
});

function ask(message) {
  link.send(JSON.stringify(message));
}

const TOLD = {
  session: begin, look, figures, waiting,
  took: () => camera.took(),
  problem: ({ message }) => problem(message),
};

function told(message) {
  TOLD[message.kind]?.(message);
}

// A sentence in its place; it goes by itself once pictures come again.
function problem(text) {
  at("live-problem").textContent = text ? sentence(text) : "";
  problemFrom = performance.now();
}

function waiting({ mayBegin }) {
  session = null;
  at("live").classList.add("idle");
  at("live-start").hidden = false;
  at("live-begin").hidden = !mayBegin;
  if (mayBegin) {
    at("live-start-title").textContent = "Nothing is painted live";
    at("live-start-text").textContent =
      "Paint the camera of this browser here, or start with another source in a terminal: impasto live camera:0";
  }
}

at("live-begin").addEventListener("click", () => {
  at("live-start-text").textContent = "The style is being loaded.";
  problem("");
  ask({ begin: "browser", with: "wheatfield" });
});

function begin(message) {
  session = message;
  at("live-start").hidden = true;
  at("live").classList.remove("idle");
  document.body.classList.remove("stale");
  if (bare) {
    if (message.camera) camera.start();
    return;
  }
  at("live-styles").replaceChildren(...message.styles.map(card));
  sliders = new Sliders(at("live-sliders"), message.parameters, () => {
    timer ||= setTimeout(sendSliders, SEND_EVERY);
  });
  look(message);
  if (message.camera) camera.start();
}

function card(style, index) {
  const image = element("img", { alt: "", src: style.preview ? `/api/preview/${style.name}` : "/static/icon.svg" });
  const number = index < 9 ? element("kbd", { textContent: index + 1 }) : "";
  const title = element("span", { className: "title" }, number, ` ${style.title || style.name}`);
  return element("button", {
    type: "button", className: "card", role: "option", title: style.description, data: { style: style.name },
    onclick: () => choose(style.name),
  }, image, title);
}

function look(message) {
  Object.assign(session, message);
  if (bare) return;
  mark(message.style);
  if (!timer) {
    sliders.defaults(message.defaults);
    sliders.set(message.params);
  }
  for (const each of at("live-quality").children) each.ariaPressed = String(each.dataset.quality === message.quality);
}

// Shown at once, so that the next key counts from here.
function mark(name) {
  session.style = name;
  for (const each of at("live-styles").children) {
    const chosen = each.dataset.style === name;
    if (chosen && each.ariaSelected !== "true") each.scrollIntoView({ block: "nearest", inline: "nearest" });
    each.ariaSelected = String(chosen);
  }
  wipe.label("plate", session.styles.find((each) => each.name === name)?.title ?? name);
}

function choose(name) {
  problem("");
  mark(name);
  ask({ style: name });
}

function sendSliders() {
  timer = 0;
  const set = sliders.values();
  ask({ params: Object.fromEntries(session.parameters.map((each) => [each.name, set[each.name] ?? null])) });
}

function figures(now) {
  if (bare) return;
  const of = (name, text) => {
    const place = document.querySelector(`[data-of=${name}]`);
    if (place.textContent !== text) place.textContent = text;
  };
  of("in", `${now.fps_in.toFixed(1)}/s`);
  of("painted", `${now.fps.toFixed(1)}/s`);
  of("dropped", String(now.dropped));
  of("age", now.page_p50_ms ? `${now.page_p50_ms.toFixed(0)} ms, ${now.page_p95_ms.toFixed(0)} at p95` : "–");
  of("rung", `${now.rung}: ${now.reason}`);
  const said = [now.problem, ...now.refused, now.ended ? "the source is at its end" : ""].filter(Boolean);
  if (said.length) problem(said.join("; "));
  else if (performance.now() - problemFrom > 4000) problem("");
}

// The newest picture: a head as JSON, the painting, and the plate where it was asked for.
async function picture(data) {
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const bitmap = (from, count) =>
    createImageBitmap(new Blob([new Uint8Array(data, from, count)], { type: "image/jpeg" }));
  try {
    const [painted, plate] = await Promise.all([
      bitmap(4 + length, head.painted),
      head.plate ? bitmap(4 + length + head.painted, head.plate) : null,
    ]);
    if (head.n > shown) {
      shown = head.n;
      if (plate) wipe.draw(0, plate);
      wipe.draw(1, sized(painted, head));
      document.body.classList.remove("stale");
      document.body.dataset.shown = head.n;
      document.body.dataset.mark = head.mark;
    }
    painted.close();
    plate?.close();
  } finally {
    ask({ shown: head.n });
  }
}

// A painting of a lower rung in the size of its plate, so that nothing on the page moves.
function sized(painted, { width, height }) {
  if (painted.width === width && painted.height === height) return painted;
  if (surface.width !== width || surface.height !== height) [surface.width, surface.height] = [width, height];
  surface.getContext("2d").drawImage(painted, 0, 0, width, height);
  return surface;
}

// Plates travel only while they can be seen.
function plates() {
  const wanted = !bare && (wipe.on || held);
  if (wanted !== plateAsked) ask({ plates: (plateAsked = wanted) });
}

function hold(on) {
  if (held === on) return;
  held = on;
  wipe.hold(on ? 0 : null);
  plates();
}

function neighbour(step) {
  const names = session.styles.map((each) => each.name);
  choose(names[(names.indexOf(session.style) + step + names.length) % names.length]);
}

if (bare) wipe.toggle(false);
else {
  document.addEventListener("keydown", (event) => {
    if (typing(event) || !session) return;
    const key = event.key.toLowerCase();
    const style = session.styles[Number(key) - 1];
    if (key === " ") hold(true);
    else if (key === "w") {
      wipe.toggle();
      plates();
    } else if (key === "f") document.fullscreenElement ? document.exitFullscreen() : at("live-view").requestFullscreen();
    else if (key === "arrowleft") wipe.move(wipe.position - STEP);
    else if (key === "arrowright") wipe.move(wipe.position + STEP);
    else if (key === "arrowup") neighbour(-1);
    else if (key === "arrowdown") neighbour(1);
    else if (/^[1-9]$/.test(key) && style) choose(style.name);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => event.key === " " && hold(false));
  window.addEventListener("blur", () => hold(false));
  at("live-quality").addEventListener("click", (event) => {
    const quality = event.target.dataset.quality;
    if (quality) ask({ quality });
  });
}
document.addEventListener("visibilitychange", () => ask({ hidden: document.hidden }));
