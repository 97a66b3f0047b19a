// Talks to the process that serves the page. Every failure is a Problem whose message is a sentence.

export class Problem extends Error {
  constructor(message, code = "page", status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const GONE = "The program behind this page does not answer. Start it again in a terminal: impasto web";
const UNREACHABLE = ["unreachable", "server", "incompatible"];
const listeners = [];

// Call with the sentence of a problem that concerns the whole page, and with "" when it is over.
export function onProblem(call) {
  listeners.push(call);
}

function tell(text) {
  listeners.forEach((call) => call(text));
}

// Ask for JSON, or with {raw: true} for the response itself; `json` or `body` makes it a POST; `name` is that of a file.
export async function api(path, { json, body, name, raw, method } = {}) {
  const sent = json === undefined ? body : JSON.stringify(json);
  let answer;
  try {
    const headers = name === undefined ? {} : { "x-name": encodeURIComponent(name) };
    answer = await fetch(path, { method: method ?? (sent === undefined ? "GET" : "POST"), body: sent, headers });
  } catch {
    tell(GONE);
    throw new Problem(GONE, "gone");
  }
  if (answer.ok) {
    tell("");
    return raw ? answer : answer.json();
  }
  const said = await answer.json().catch(() => ({}));
  const message = sentence(said.message || `The program behind this page answered ${answer.status}`);
  tell(UNREACHABLE.includes(said.code) || answer.status === 401 ? message : "");
  throw new Problem(message, said.code, answer.status);
}

// A message as a sentence of its own.
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// A WebSocket that comes back: after 0.2 s, then twice as long up to 5 s. `on` has open, message, and closed.
export function socket(path, on) {
  let wait = 200, live = null, ended = false, timer = 0;
  const open = () => {
    live = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
    live.binaryType = "arraybuffer";
    live.onopen = () => {
      wait = 200;
      tell("");
      on.open?.(live);
    };
    live.onmessage = (event) => on.message?.(event.data);
    live.onclose = (event) => {
      if (ended) return;
      on.closed?.(event);
      tell(event.reason || GONE);
      timer = setTimeout(open, wait);
      wait = Math.min(2 * wait, 5000);
    };
  };
  open();
  return {
    send: (data) => live.readyState === WebSocket.OPEN && live.send(data),
    close: () => {
      ended = true;
      clearTimeout(timer);
      live.close();
    },
  };
}

// An element with properties and children; `data` and `aria` are maps of their own.
export function element(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children);
  return made;
}

// Whether a key belongs to the control that has the focus, and not to the page.
export function typing(event) {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  if (at.matches("select, input:not([type=range]):not([type=checkbox])")) return true;
  if (event.key.startsWith("Arrow")) return at.matches("input[type=range], [role=slider]");
  return event.key === " " && at.matches("button, summary, input, a");
}
