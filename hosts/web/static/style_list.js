// The styles as pictures of the plate that is open, to be chosen by mouse, by keyboard, or by number.

import { element } from "/static/api.js";
import { painted } from "/static/painter.js";

const DRAFT = "-draft";
const THUMB = 208;

export class StyleList {
  // `chosen` gets a style of the library, or what `extra` holds.
  constructor(root, chosen) {
    [this.root, this.chosen] = [root, chosen];
    this.cards = new Map();
    this.drawn = new Map();
    this.turn = 0;
  }

  // Show these styles; drafts are behind the style that they are of.
  fill(styles, draft, extra = []) {
    this.all = new Map(styles.map((each) => [each.name, each]));
    this.draft = draft;
    // One card for a style and its draft, one for a file of several.
    const main = styles.filter((each) => !each.name.includes("@")
      && !(each.name.endsWith(DRAFT) && this.all.has(each.name.slice(0, -DRAFT.length))));
    const order = (each) => [each.name === "identity", each.codes.length > 0];
    main.sort((one, two) => (order(one) > order(two) ? 1 : order(one) < order(two) ? -1 : 0));
    this.shown = [...extra, ...main];
    this.cards = new Map(this.shown.map((each, index) => [each.name, this.#card(each, index)]));
    this.root.replaceChildren(...[...this.cards.values()].map((card) => card.button));
  }

  // The style that a card means, a draft where drafts are wanted and there is one.
  meant(name) {
    const quick = this.all.get(`${name}${DRAFT}`);
    return this.draft && quick ? quick : this.all.get(name) ?? this.shown.find((each) => each.name === name);
  }

  // The card's name of a style.
  static base(name) {
    return name.split("@")[0].replace(/-draft$/, "");
  }

  byNumber(number) {
    return this.shown[number - 1];
  }

  // Mark what is chosen: card's name -> letters.
  mark(names) {
    for (const [name, card] of this.cards) {
      const said = Object.entries(names).filter(([, each]) => each === name).map(([mark]) => mark).join(" ");
      card.mark.textContent = said;
      card.button.setAttribute("aria-pressed", said !== "");
      if (said) card.button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  // Paint the plate in every style, one after the other, until another plate comes.
  async draw(picture, busy) {
    const turn = ++this.turn;
    for (const [name, card] of this.cards) {
      const key = `${picture}/${name}`;
      let found = this.drawn.get(key);
      if (!found) {
        await busy();
        if (turn !== this.turn) return;
        const style = this.meant(name);
        const shown = this.all.get(`${name}${DRAFT}`) ?? style;
        if (style.guides.length) continue;
        try {
          found = (await painted({ picture, style: shown.name, side: THUMB, viewer: "thumbs" })).picture;
        } catch {
          continue;
        }
        this.drawn.set(key, found);
        if (this.drawn.size > 200) this.drawn.delete(this.drawn.keys().next().value);
      }
      if (turn !== this.turn) return;
      show(card, found);
    }
  }

  #card(style, index) {
    const canvas = element("canvas", { width: 16, height: 9 });
    const mark = element("span", { className: "mark" });
    const number = index < 9 ? element("kbd", { textContent: index + 1 }) : "";
    const button = element("button", { type: "button", className: "card", title: style.description },
      canvas, element("span", { className: "title" }, number, ` ${style.title || style.name}`), mark);
    if (style.problem) button.title += ` ${style.problem}`;
    button.addEventListener("click", () => this.chosen(style.name));
    const card = { button, canvas, mark };
    if (style.has_preview) {
      // Until a plate is open, the picture that the style carries.
      const shown = new Image();
      shown.onload = () => this.turn === 0 && show(card, shown);
      shown.src = `/api/preview/${encodeURIComponent(style.name)}`;
    }
    return card;
  }
}

function show(card, picture) {
  [card.canvas.width, card.canvas.height] = [picture.width, picture.height];
  card.canvas.getContext("2d").drawImage(picture, 0, 0);
}
