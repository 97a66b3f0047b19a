// The dialog that walks through the folders of plates.

import { api, element } from "/static/api.js";

const NOUNS = { folder: "", movie: "movie", sequence: "frames", still: "picture" };

export class PlatePicker {
  // `chosen` gets the path of a plate.
  constructor(chosen) {
    this.chosen = chosen;
    this.where = element("h2");
    this.problem = element("p", { className: "problem" });
    // It has the focus until its rows are there, so that Enter does not close what just opened.
    this.entries = element("div", { className: "entries", role: "listbox", tabIndex: -1, autofocus: true, aria: { label: "Folders and plates" } });
    this.said = element("p", { className: "quiet small" });
    const close = element("button", { type: "button", textContent: "Close" });
    close.addEventListener("click", () => this.dialog.close());
    this.dialog = element("dialog", { id: "picker", aria: { label: "Choose a plate" } },
      element("div", { className: "head" }, this.where, close), this.problem, this.entries, this.said);
    document.body.append(this.dialog);
    this.entries.addEventListener("keydown", (event) => this.#key(event));
    this.path = "";
  }

  async open() {
    this.dialog.showModal();
    await this.#show(this.path);
  }

  async #show(path) {
    this.problem.textContent = "";
    let folder;
    try {
      folder = await api(`/api/folder?path=${encodeURIComponent(path)}`);
    } catch (error) {
      this.problem.textContent = error.message;
      if (path) this.#list([this.#up("")]);
      return;
    }
    this.path = path;
    this.where.textContent = path ? path.replace(":", "/").replaceAll("/", " / ") : "Plates";
    const rows = folder.entries.map((each) => this.#row(each));
    if (path) rows.unshift(this.#up(parent(path)));
    this.#list(rows);
    this.said.textContent = !path && !rows.length
      ? "No folder is open. Start the page with its folder: impasto web --plates FOLDER. Or drop a picture into the window."
      : folder.left_out ? `${folder.left_out} more have names that cannot be opened here; rename them to plain ones.`
      : rows.length ? "" : "There are no pictures or movies in this folder.";
  }

  #list(rows) {
    this.entries.replaceChildren(...rows);
    rows[0]?.focus();
  }

  #up(path) {
    return this.#button("↑", "up", () => this.#show(path));
  }

  #row(each) {
    const what = each.kind === "sequence" ? `${each.frames} frames from ${each.first}` : NOUNS[each.kind];
    return this.#button(each.kind === "folder" ? `${each.name}/` : each.name, what, () => {
      if (each.kind === "folder") return this.#show(each.path);
      this.dialog.close();
      return this.chosen(each.path);
    });
  }

  #button(name, what, act) {
    const made = element("button", { type: "button", className: "entry" },
      element("span", { textContent: name }), element("span", { className: "quiet small", textContent: what }));
    made.role = "option";
    made.addEventListener("click", act);
    return made;
  }

  #key(event) {
    const rows = [...this.entries.children];
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "Backspace" && this.path) this.#show(parent(this.path));
    if (to === undefined) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(rows.length - 1, to))]?.focus();
  }
}

function parent(path) {
  if (path.includes("/")) return path.slice(0, path.lastIndexOf("/"));
  const [root, rest] = path.split(":");
  return rest ? root : "";
}
