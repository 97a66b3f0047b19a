// The page Runs: what the trainer made and makes, and training from painted frames.

import { api, element, typing } from "/static/api.js";
import { Charts, nearest } from "/static/charts.js";
import { PlatePicker } from "/static/plate_picker.js";
import { Wipe } from "/static/wipe.js";

const at = (id) => document.getElementById(id);
const LIVELY_S = 90;
const state = { runs: [], jobs: {}, path: new URLSearchParams(location.search).get("run") ?? "", run: null, other: null, pinned: 0, follow: true, shot: "" };

const wipe = new Wipe(at("viewer"), { label: "Wipe between two contact sheets" });
wipe.move(0.75); // of plate and result, the result
const charts = new Charts(at("charts"));
const picker = new PlatePicker((path) => {
  state.shot = path;
  at("shotname").textContent = path;
});

function duration(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// The list

async function list() {
  const found = await api("/api/runs");
  Object.assign(state, { runs: found.runs, jobs: found.jobs });
  const folders = found.roots.filter((each) => each.writable).map((each) => each.name);
  at("none").textContent = !found.roots.length ? "No folder is open. Start the page with the folder of your styles: impasto web --runs FOLDER, with :rw behind it to train here."
    : found.runs.length ? "" : "There are no runs in these folders yet.";
  at("new").hidden = !folders.length;
  if (at("root").options.length !== folders.length) at("root").replaceChildren(...folders.map((name) => new Option(name, name)));
  const shown = [...found.runs];
  for (const job of Object.values(found.jobs)) {
    if (!shown.some((run) => run.path === job.run)) shown.unshift({ path: job.run, name: job.run.replace(/^.*[:/]|\.run$/g, ""), root: "", age_s: 0, seconds: 0, step: 0 });
  }
  at("list").replaceChildren(...shown.map((run) => {
    const job = found.jobs[run.path];
    const what = job && ["starting", "running", "stopping"].includes(job.state) ? `${job.state}, ${Math.round(100 * job.fraction)} %`
      : job?.state === "failed" ? "failed" : `${duration(run.age_s)} ago`;
    const button = element("button", { type: "button", className: "entry run", aria: { pressed: run.path === state.path } },
      element("span", { textContent: run.name }), element("span", { className: "quiet small", textContent: what }));
    button.addEventListener("click", () => open(run.path));
    return button;
  }));
  const others = shown.filter((run) => run.path !== state.path);
  const chosen = at("against").value;
  at("against").replaceChildren(new Option("the pinned moment", ""), ...others.map((run) => new Option(run.name, run.path)));
  at("against").value = others.some((run) => run.path === chosen) ? chosen : "";
  if (!state.path && shown.length && at("training").hidden) open(shown[0].path);
}

// One run

async function open(path) {
  Object.assign(state, { path, run: null, pinned: 0, follow: true });
  train(false);
  window.history.replaceState(null, "", `/runs?run=${encodeURIComponent(path)}`);
  for (const each of at("list").children) each.setAttribute("aria-pressed", false);
  await load();
  await list();
}

async function load() {
  const path = state.path;
  const job = state.jobs[path];
  let run;
  try {
    run = await api(`/api/run?path=${encodeURIComponent(path)}`);
  } catch (problem) {
    at("problem").textContent = job ? job.problem || "The training begins; its folder is not there yet." : problem.message;
    at("shown").hidden = true;
    return;
  }
  if (path !== state.path) return;
  at("problem").textContent = run.job?.problem ?? "";
  state.run = run;
  at("shown").hidden = false;
  at("title").textContent = run.facts.name;
  at("facts").textContent = `${run.facts.step} steps · ${duration(run.facts.seconds)} · ${(run.facts.bytes / 1048576).toFixed(0)} MiB`;
  at("take").hidden = at("lookat").hidden = !run.facts.style;
  at("take").href = `/api/run/style?path=${encodeURIComponent(run.facts.style)}`;
  at("lookat").href = `/look?style=${encodeURIComponent(run.facts.style)}`;
  progress(run.job);
  at("time").max = Math.max(0, run.sheets.length - 1);
  if (state.follow) at("time").value = at("time").max;
  const notes = [...run.notes.map((note) => [`step ${note.step}`, duration(note.seconds), note.text]),
    ...(run.job?.notes ?? []).map((text) => ["", "", text])];
  at("notes").tBodies[0].replaceChildren(...notes.reverse().map((cells) => element("tr", {}, ...cells.map((text) => element("td", { textContent: text })))));
  if (!notes.length) at("notes").tBodies[0].append(element("tr", {}, element("td", { className: "quiet", textContent: "The monitors of this run had nothing to say." })));
  await moment();
}

function progress(job) {
  const running = Boolean(job) && ["starting", "running", "stopping"].includes(job.state);
  at("job").hidden = !running;
  at("stop").hidden = !running;
  if (!running) return;
  at("progress").value = job.fraction;
  at("state").textContent = `${job.state}${job.remaining_s ? `, ${duration(job.remaining_s)} left` : ""}`;
  at("stop").disabled = job.state === "stopping";
}

// Show the moment that the slider is at: sheets of one or two runs, and a mark in the charts.
let turn = 0;
async function moment() {
  const { run } = state;
  if (!run) return;
  const mine = ++turn;
  const step = run.sheets[at("time").value];
  const against = at("against").value;
  if (against && state.other?.facts.path !== against) {
    state.other = await api(`/api/run?path=${encodeURIComponent(against)}`);
  }
  const other = against ? state.other : null;
  charts.show([run.curves, ...(other ? [other.curves] : [])], step === undefined || step < 0 ? null : step);
  const left = other ? { path: against, step: other.sheets[nearest(other.sheets, step)] } : { path: state.path, step: run.sheets[state.pinned] };
  at("when").textContent = step === undefined ? "no contact sheet yet" : step < 0 ? "newest" : `step ${step}`;
  wipe.label(other ? `${other.facts.name}, step ${left.step}` : `step ${left.step} (pinned)`, step < 0 ? "newest" : `${run.facts.name}, step ${step}`);
  if (step === undefined) return;
  try {
    const pictures = await Promise.all([left, { path: state.path, step }].map(({ path, step: one }) => (one === undefined ? null : sheet(path, one))));
    if (mine !== turn) return;
    pictures.forEach((picture, side) => picture && wipe.draw(side, picture));
  } catch (problem) {
    at("problem").textContent = problem.message;
  }
}

const kept = new Map();
async function sheet(path, step) {
  const key = `${path}@${step}`;
  if (!kept.has(key) || step < 0) {
    const answer = await api(`/api/sheet?path=${encodeURIComponent(path)}&step=${step}`, { raw: true });
    kept.set(key, await createImageBitmap(await answer.blob()));
    if (kept.size > 60) kept.delete(kept.keys().next().value);
  }
  return kept.get(key);
}

// Training

function train(on) {
  at("training").hidden = !on;
  at("new").setAttribute("aria-pressed", on);
  if (on) at("shown").hidden = true;
  else at("shown").hidden = !state.run;
}

const wrong = (problem) => { at("trainproblem").textContent = problem?.message ?? ""; };
const keysOf = () => `/api/keys?root=${encodeURIComponent(at("root").value)}&name=${encodeURIComponent(at("name").value)}`;

function showKeys(names) {
  at("keys").replaceChildren(...names.map((name) => {
    const drop = element("button", { type: "button", className: "reset", textContent: "×", aria: { label: `Remove ${name}` } });
    drop.addEventListener("click", async () => showKeys((await api(`${keysOf()}&key=${encodeURIComponent(name)}`, { method: "DELETE" })).keys));
    return element("span", { className: "chip" }, name, drop);
  }));
}

async function addKeys(files) {
  wrong();
  if (!at("name").reportValidity()) return;
  for (const file of files) {
    try {
      showKeys((await api(keysOf(), { body: file, name: file.name })).keys);
    } catch (problem) {
      wrong(problem);
    }
  }
}

at("new").addEventListener("click", () => train(at("training").hidden));
at("shot").addEventListener("click", () => picker.open());
at("addkeys").addEventListener("click", () => at("name").reportValidity() && at("keyfile").click());
at("keyfile").addEventListener("change", () => addKeys(at("keyfile").files));
at("name").addEventListener("change", () => at("name").validity.valid && api(keysOf()).then(({ keys }) => showKeys(keys), wrong));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (!at("training").hidden) addKeys(event.dataTransfer.files);
});
at("training").addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong();
  try {
    const { run } = await api("/api/training", { json: {
      root: at("root").value, name: at("name").value, plates: state.shot, minutes: Number(at("minutes").value), size: at("size").value,
    } });
    await list();
    await open(run);
  } catch (problem) {
    wrong(problem);
  }
});
at("stop").addEventListener("click", () => api("/api/training/stop", { json: { run: state.path } }).then(load, (problem) => { at("problem").textContent = problem.message; }));

// Moving about

at("time").addEventListener("input", () => {
  state.follow = at("time").value === at("time").max;
  moment();
});
at("pin").addEventListener("click", () => {
  state.pinned = Number(at("time").value);
  moment();
});
at("against").addEventListener("change", moment);

const KEYS = {
  w: () => wipe.toggle(),
  n: () => !at("new").hidden && train(at("training").hidden),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
};
function step(by) {
  at("time").value = Number(at("time").value) + by;
  at("time").dispatchEvent(new Event("input"));
}
addEventListener("keydown", (event) => {
  if (typing(event) || document.querySelector("dialog[open]")) return;
  if (event.key === " ") {
    event.preventDefault();
    wipe.hold(0);
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});
addEventListener("keyup", (event) => event.key === " " && wipe.hold(null));

async function follow() {
  if (!document.hidden) {
    try {
      await list();
      const lively = state.run && (state.run.facts.age_s < LIVELY_S || state.jobs[state.path]);
      if (state.path && at("training").hidden && (lively || !state.run)) await load();
    } catch (problem) {
      at("problem").textContent = problem.message;
    }
  }
  setTimeout(follow, 3000);
}

follow();
