// The page Look: a plate in one or two styles, tuned until it is right.

import { api, element, typing } from "/static/api.js";
import { Painter, plain } from "/static/painter.js";
import { PlatePicker } from "/static/plate_picker.js";
import { Sliders } from "/static/sliders.js";
import { Strip } from "/static/strip.js";
import { StyleList } from "/static/style_list.js";
import { Wipe } from "/static/wipe.js";

const SIDE = 1280;
const LARGEST = 64 << 20;
const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

const state = {
  library: null, plate: null, path: "", active: "a", compare: false, actual: false, draft: false,
  looks: { a: look("wheatfield"), b: look("ink") }, problems: {}, holding: false, reopened: false,
  pictures: { plate: null, a: null, b: null },
};

function look(style) {
  return { style, weights: {}, params: {}, before: {}, after: {}, before_resize: "", after_resize: "" };
}

// The viewer

const wipe = new Wipe(at("viewer"));
const painters = {
  a: new Painter("a", (picture, facts) => arrived("a", picture, facts), (problem) => failed("a", problem)),
  b: new Painter("b", (picture, facts) => arrived("b", picture, facts), (problem) => failed("b", problem)),
};
const strip = new Strip(at("neighbours"), (number) => goTo(number), (before, picture) => {
  if (picture === null) return refresh();
  wipe.draw(0, before);
  wipe.draw(1, picture);
});

// Put into the viewer what belongs there: plate and style, two styles, or for as long as space is held the plate alone.
function present() {
  const { plate, a, b } = state.pictures;
  const both = state.holding && (state.compare || wipe.layout === "side");
  const shown = both ? [plate, plate] : state.compare ? [a, b] : [plate, a];
  const titles = both ? ["plate", "plate"] : state.compare ? [titleOf("a"), titleOf("b")] : ["plate", titleOf("a")];
  shown.forEach((picture, side) => picture && wipe.draw(side, picture));
  wipe.label(...titles);
  wipe.hold(state.holding && !both ? 0 : null);
}
const list = new StyleList(at("styles"), (name) => choose(name));
const picker = new PlatePicker((path) => openPlate(path));
const idle = () => new Promise((done) => {
  const look = () => (painters.a.busy || painters.b.busy ? setTimeout(look, 60) : done());
  look();
});

const side = () => (state.actual ? 0 : SIDE);
const shownSide = () => (state.compare ? ["a", "b"] : ["a"]);

// What the server is asked for one of the two looks.
function asked(which) {
  const { weights, ...rest } = state.looks[which];
  return { ...rest, style: reference(which), picture: state.plate?.id, side: side(), as: state.actual ? "png" : "jpeg" };
}

// NAME, or NAME@CODE=WEIGHT+… of a file that holds several styles.
function reference(which) {
  const { style, weights } = state.looks[which];
  const given = Object.entries(weights).filter(([, weight]) => weight > 0);
  if (!given.length) return style;
  return `${style}@${given.map(([code, weight]) => `${code}=${Number(weight.toFixed(3))}`).join("+")}`;
}

function paint(which) {
  if (!state.plate || !state.library) return;
  at("viewer").classList.add("waiting");
  painters[which].want(asked(which));
}

function arrived(which, picture, facts) {
  if (!shownSide().includes(which) || strip.playing) return;
  state.pictures[which] = picture;
  state.reopened = false;
  present();
  delete state.problems[which];
  say(facts);
  if (!painters.a.wish && !painters.b.wish) at("viewer").classList.remove("waiting", "stale");
  later();
}

function failed(which, problem) {
  state.problems[which] = problem.message;
  at("viewer").classList.add("stale");
  at("viewer").classList.remove("waiting");
  say(null);
  // The process behind the page may have put the plate away: open it again, once.
  if (problem.code === "unreadable_media" && state.path && !state.reopened) {
    state.reopened = true;
    openPlate(state.path, state.plate.frame);
  }
}

function say(facts) {
  at("problem").textContent = [...new Set(Object.values(state.problems))].join(" ");
  if (!facts) return;
  const { plate } = state;
  const scale = facts.width / plate.width;
  const size = `${facts.width} × ${facts.height}`;
  const whole = scale < 0.999 ? ` of ${plate.width} × ${plate.height}: brushes look ${Number((1 / scale).toFixed(1))} times as broad as in the render, 1:1 shows them as they are` : "";
  const notes = facts.notes.length ? ` · ${facts.notes.join(" · ")}` : "";
  at("facts").textContent = `${size}${whole} · painted in ${facts.seconds.toFixed(2)} s${notes}`;
}

// Draw everything anew: after another plate, another mode, another zoom.
async function refresh() {
  if (!state.plate) return;
  const { plate } = state;
  shownSide().forEach(paint);
  const picture = await plain(plate.id, side()).catch((problem) => failed("a", problem));
  if (!picture || plate !== state.plate) return;
  state.pictures.plate = picture;
  present();
}

// What can wait until the picture itself is there: neighbours and the pictures of the styles.
let waiting = 0;
function later() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { plate, path } = state;
    if (path && plate.frames !== 1) strip.fill(path, plate, { ...asked(state.active), picture: undefined }, idle);
    list.draw(plate.id, idle);
  }, 350);
}

// Plates

async function openPlate(path, frame) {
  try {
    took(await api("/api/plate", { json: { path, frame: frame ?? null } }), path);
  } catch (problem) {
    failed("plate", problem);
  }
}

async function openFile(file) {
  if (file.size > LARGEST) {
    const size = Math.round(file.size / 1048576);
    return failed("plate", { message: `Expected a picture of at most 64 MiB, '${file.name}' has ${size}. Send a smaller one, or start impasto web with --plates FOLDER.` });
  }
  try {
    took(await api("/api/pictures", { body: file, name: file.name }), "");
  } catch (problem) {
    failed("plate", problem);
  }
}

function took(plate, path) {
  [state.plate, state.path] = [plate, path];
  delete state.problems.plate;
  at("empty").hidden = true;
  at("frames").hidden = at("strip").hidden = !path || plate.frames === 1;
  at("frame").value = plate.frame;
  at("plate").textContent = plate.name;
  at("plate").title = plate.notes.join(" ");
  at("download").hidden = false;
  at("download").href = `/api/pictures/${plate.id}?as=png&download=1`;
  remember();
  refresh();
}

function goTo(number) {
  const { plate, path } = state;
  if (!path || !Number.isInteger(number)) return;
  const last = plate.frames === null ? number : plate.first + plate.frames - 1;
  openPlate(path, Math.max(plate.first, Math.min(last, number)));
}

// Styles and settings

const sliders = {};

function choose(name) {
  const meant = list.meant(name);
  if (!meant) return;
  const current = state.looks[state.active];
  Object.assign(current, { style: meant.name, weights: meant.codes.length ? { [meant.codes[0]]: 1 } : {} });
  settled();
}

// The style of the active side changed: its controls, its name, its picture.
function settled() {
  const current = state.looks[state.active];
  const facts = factsOf(current.style);
  at("title").textContent = facts?.title || current.style;
  at("description").textContent = facts ? `${facts.description}${facts.problem ? ` ${facts.problem}` : ""}` : "";
  for (const part of ["params", "before", "after"]) sliders[part].set(current[part]);
  sliders.params.defaults(facts?.defaults ?? {});
  sliders.params.set({ ...facts?.defaults, ...current.params });
  blend(facts?.codes ?? []);
  list.mark(state.compare
    ? { left: StyleList.base(state.looks.a.style), right: StyleList.base(state.looks.b.style) }
    : { "●": StyleList.base(state.looks.a.style) });
  remember();
  paint(state.active);
}

function blend(codes) {
  at("blend").hidden = !codes.length;
  const { weights } = state.looks[state.active];
  const parameters = codes.map((code) => ({
    name: code, minimum: 0, maximum: 1, default: 0, help: `How much of ${code} is in the blend.`,
  }));
  sliders.blend = new Sliders(at("blend").querySelector("div"), parameters, () => {
    const given = sliders.blend.values();
    state.looks[state.active].weights = Object.keys(given).length ? given : { [codes[0]]: 1 };
    remember();
    paint(state.active);
  });
  sliders.blend.set(weights);
}

function factsOf(style) {
  return state.library?.styles.find((each) => each.name === style) ?? extra.find((each) => each.name === style);
}

function titleOf(which) {
  return reference(which).replace("@", ": ").replaceAll("+", " + ");
}

function activate(which) {
  state.active = which;
  for (const each of ["a", "b"]) at(`tab-${each}`).setAttribute("aria-selected", each === which);
  settled();
}

// Ways of looking

function setCompare(on) {
  state.compare = on;
  at("compare").setAttribute("aria-pressed", on);
  at("tabs").hidden = !on;
  activate(on ? "b" : "a");
  refresh();
}

function setActual(on) {
  state.actual = on;
  at("zoom").setAttribute("aria-pressed", on);
  wipe.setZoom(on ? "1:1" : "fit");
  refresh();
}

function setSide(on) {
  at("side").setAttribute("aria-pressed", on);
  at("wipe").disabled = on;
  wipe.setLayout(on ? "side" : "over");
  present();
}

function setWipe(on) {
  at("wipe").setAttribute("aria-pressed", on);
  wipe.toggle(on);
}

function setDraft(on) {
  state.draft = list.draft = at("draft").checked = on;
  for (const each of Object.values(state.looks)) {
    const meant = list.meant(StyleList.base(each.style));
    if (meant && !Object.keys(each.weights).length) each.style = meant.name;
  }
  settled();
  if (state.compare) paint("a");
}

function setPlay(on) {
  at("play").setAttribute("aria-pressed", on);
  strip.play(on, state.plate?.rate);
}

const pressed = (id) => at(id).getAttribute("aria-pressed") === "true";

// Key -> button and what both do.
const ACTIONS = {
  w: ["wipe", () => setWipe(!pressed("wipe"))],
  s: ["side", () => setSide(!pressed("side"))],
  c: ["compare", () => setCompare(!state.compare)],
  z: ["zoom", () => setActual(!state.actual)],
  p: ["play", () => state.path && setPlay(!strip.playing)],
  o: ["choose", () => picker.open()],
  Escape: ["stop", () => Object.values(painters).forEach((each) => each.cancel()?.catch(() => {}))],
  d: ["draft", () => setDraft(!state.draft)],
  ArrowLeft: ["back", () => state.plate && goTo(state.plate.frame - 1)],
  ArrowRight: ["next", () => state.plate && goTo(state.plate.frame + 1)],
};
for (const [id, act] of Object.values(ACTIONS)) at(id).addEventListener(id === "draft" ? "change" : "click", act);
at("tab-a").addEventListener("click", () => activate("a"));
at("tab-b").addEventListener("click", () => activate("b"));
at("choose2").addEventListener("click", () => picker.open());
at("open").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", () => at("file").files[0] && openFile(at("file").files[0]));
at("frame").addEventListener("change", () => goTo(Number(at("frame").value)));
at("reset").addEventListener("click", () => {
  Object.assign(state.looks[state.active], { params: {}, before: {}, after: {}, before_resize: "", after_resize: "" });
  settled();
});

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
});

addEventListener("keydown", (event) => {
  if (typing(event) || document.querySelector("dialog[open]")) return;
  if (event.key === " ") {
    event.preventDefault();
    if (!event.repeat) hold(true);
  } else if (/^[1-9]$/.test(event.key)) {
    const style = list.byNumber(Number(event.key));
    if (style) choose(style.name);
  } else if (ACTIONS[event.key] && !(event.repeat && event.key.length === 1)) {
    event.preventDefault();
    ACTIONS[event.key][1]();
  }
});
addEventListener("keyup", (event) => event.key === " " && hold(false));
addEventListener("blur", () => hold(false));

function hold(on) {
  state.holding = on;
  present();
}

// Command line and presets

function told(text, wrong = false) {
  at("said").textContent = text;
  at("said").classList.toggle("problem", wrong);
}

at("copy").addEventListener("click", async () => {
  try {
    const { text } = await api("/api/command", { json: asked(state.active) });
    at("said").replaceChildren(element("code", { textContent: text }));
    await navigator.clipboard.writeText(text).catch(() => getSelection().selectAllChildren(at("said")));
  } catch (problem) {
    told(problem.message, true);
  }
});

at("save").addEventListener("click", () => {
  at("saveproblem").textContent = "";
  at("saving").showModal();
});
at("cancel").addEventListener("click", () => at("saving").close());
at("saving").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { path } = await api("/api/presets", { json: { ...asked(state.active), name: at("name").value.trim() } });
    at("saving").close();
    told(`Saved. impasto render --preset '${at("name").value.trim()}' paints with it; the file is ${path}`);
    await fillPresets();
  } catch (problem) {
    at("saveproblem").textContent = problem.message;
  }
});
at("presets").addEventListener("change", async () => {
  const name = at("presets").value;
  at("presets").value = "";
  if (!name) return;
  try {
    const { style, ...rest } = await api(`/api/presets/${encodeURIComponent(name)}`);
    const [file, choice = ""] = style.split("@");
    const weights = Object.fromEntries(choice.split("+").filter(Boolean).map((part) => {
      const [code, weight] = part.split("=");
      return [code, weight === undefined ? 1 : Number(weight)];
    }));
    Object.assign(state.looks[state.active], rest, { style: file, weights });
    told(`Preset '${name}'`);
    settled();
  } catch (problem) {
    told(problem.message, true);
  }
});

async function fillPresets() {
  const { names } = await api("/api/presets");
  at("presets").replaceChildren(new Option(names.length ? "Preset…" : "No presets yet", ""), ...names.map((name) => new Option(name, name)));
}

// Start

function remember() {
  const { plate, path, looks, compare, draft } = state;
  sessionStorage.setItem("look", JSON.stringify({ path, frame: plate?.frame, id: plate?.id, looks, compare, draft }));
}

const extra = query.get("style")
  ? [{ name: query.get("style"), title: query.get("style").replace(/^.*[:/]/, "").replace(".safetensors", ""),
    description: "A style of a run.", codes: [], guides: [], defaults: {}, problem: "" }]
  : [];

async function start() {
  const before = JSON.parse(sessionStorage.getItem("look") ?? "{}");
  try {
    state.library = await api("/api/styles");
  } catch (problem) {
    at("problem").textContent = problem.message;
    setTimeout(start, 2000);
    return;
  }
  at("problem").textContent = "";
  for (const [part, table] of [["params", "parameters"], ["before", "before"], ["after", "after"]]) {
    sliders[part] = new Sliders(at(part), state.library[table], () => {
      state.looks[state.active][part] = sliders[part].values();
      remember();
      paint(state.active);
    });
  }
  if (before.looks) Object.assign(state, { looks: before.looks, draft: Boolean(before.draft) });
  if (extra.length) state.looks.a = look(extra[0].name);
  list.fill(state.library.styles, state.draft, extra);
  at("draft").checked = state.draft;
  ["a", "b"].forEach((which, index) => {
    if (!factsOf(state.looks[which].style)) state.looks[which] = look((list.byNumber(index + 1) ?? list.byNumber(1)).name);
  });
  activate("a");
  if (before.compare) setCompare(true);
  fillPresets().catch((problem) => told(problem.message, true));
  if (query.get("plate")) openPlate(query.get("plate"));
  else if (before.path) openPlate(before.path, before.frame);
}

start();
