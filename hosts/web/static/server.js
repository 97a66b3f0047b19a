// The page Server: how the render server is, and its end.

import { api, element } from "/static/api.js";

const at = (id) => document.getElementById(id);
const EVERY_MS = 1500;

const megabytes = (bytes) => (bytes >= 1 << 30 ? `${(bytes / (1 << 30)).toFixed(1)} GiB` : `${Math.round(bytes / (1 << 20))} MiB`);

function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// Put rows into a table; a cell is text or an element. A table without rows says so.
function fill(table, rows, none) {
  const width = table.tHead ? table.tHead.rows[0].cells.length : 4;
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  if (!rows.length) body.push(element("tr", {}, element("td", { colSpan: width, className: "quiet", textContent: none })));
  table.tBodies[0].replaceChildren(...body);
}

function figures(found) {
  const shown = [
    ["state", { ok: "ready", starting: "starting", degraded: "problems", draining: "leaving" }[found.health]],
    ["frames per second", found.fps.toFixed(1)], ["running", found.running], ["waiting", found.queued],
    ["shots", found.jobs], ["frames painted", found.frames], ["styles", found.styles], ["up for", ago(found.uptime_s)],
    ["front", megabytes(found.rss_bytes)],
  ];
  at("figures").replaceChildren(...shown.map(([name, value]) => element("div", {},
    element("span", { className: "value figure", textContent: value }), element("span", { className: "quiet small", textContent: name }))));
}

const quiet = (text) => element("span", { className: "quiet", textContent: text });

function show(found) {
  figures(found);
  at("problem").textContent = found.problems.join(" ");
  at("frames").disabled = !(found.pages.running + found.pages.queued);
  fill(at("devices"), found.devices.map((each) => [
    `${each.device}${each.name && each.name !== each.device ? ` · ${each.name}` : ""}`, each.state,
    each.loaded.join(", ") || quiet("none yet"), each.precision,
    megabytes(each.rss_bytes) + (each.device_total_bytes ? ` · ${megabytes(each.device_bytes)} of ${megabytes(each.device_total_bytes)} on the device` : ""),
    each.restarts,
  ]), "No device yet.");
  fill(at("clients"), found.clients.map((each) => [
    each.client, each.user, each.host, each.lane, { ring: "shared memory", inline: "messages", none: "" }[each.transport],
    each.running, each.queued, each.running + each.queued ? cancelButton(each) : "",
  ]), "Nobody is connected.");
  fill(at("errors"), [...found.errors].reverse().map((each) => [
    quiet(`${ago(each.age_s)} ago`), each.message, each.incident ? element("code", { textContent: each.incident, title: "Search the server's log for this word" }) : "",
  ]), "None.");
}

function cancelButton({ number, client }) {
  const button = element("button", { type: "button", textContent: "Cancel", title: `Cancel what ${client} asked for` });
  button.addEventListener("click", () => sure(`Cancel what ${client} asked for? Frames that are finished stay.`, "Cancel it", async () => {
    const { cancelled } = await api("/api/cancel-client", { json: { number } });
    at("said").textContent = `${cancelled} of ${client} cancelled.`;
  }));
  return button;
}

async function trainings() {
  const { jobs } = await api("/api/runs");
  const rows = Object.values(jobs);
  at("trainings").hidden = !rows.length;
  fill(at("trainings").querySelector("table"), rows.map((job) => {
    const stop = element("button", { type: "button", textContent: "Stop", disabled: !["starting", "running"].includes(job.state) });
    stop.addEventListener("click", () => api("/api/training/stop", { json: { run: job.run } }).catch(told));
    const link = element("a", { href: `/runs?run=${encodeURIComponent(job.run)}`, textContent: job.run });
    return [link, job.state, `${Math.round(100 * job.fraction)} %`, stop];
  }), "");
}

function told(problem) {
  at("said").textContent = problem.message;
}

async function look() {
  if (!document.hidden) {
    try {
      show(await api("/api/status"));
      await trainings();
    } catch (problem) {
      at("problem").textContent = problem.message;
      at("figures").replaceChildren();
      ["devices", "clients", "errors"].forEach((id) => fill(at(id), [], "—"));
    }
  }
  setTimeout(look, EVERY_MS);
}

// Ask before something that cannot be undone, then do it.
function sure(question, yes, deed) {
  at("question").textContent = question;
  at("yes").textContent = yes;
  at("sure").returnValue = "no";
  at("sure").showModal();
  at("sure").onclose = () => at("sure").returnValue === "yes" && deed().catch(told);
}

function end(atOnce, question) {
  sure(question, "End it", async () => {
    const { seconds } = await api("/api/shutdown", { json: { at_once: atOnce } });
    at("said").textContent = `The server takes no more work and leaves within ${Math.ceil(seconds)} s.`;
  });
}

at("frames").addEventListener("click", () => api("/api/cancel", { json: {} }).catch(told));
at("finish").addEventListener("click", () => end(false, "End the server once what runs is finished? Other programs that paint are refused meanwhile."));
at("cancel").addEventListener("click", () => end(true, "Cancel what runs for every program, and end the server?"));
look();
