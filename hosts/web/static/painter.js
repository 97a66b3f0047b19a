// Has one place of a page painted: never more than one request under way, and then the newest wish.

import { api, Problem } from "/static/api.js";

const tab = crypto.getRandomValues(new Uint32Array(2)).join("");

export class Painter {
  // `name` tells the places of a page apart; `shown` gets an ImageBitmap and its facts, `failed` a Problem.
  constructor(name, shown, failed) {
    this.viewer = `${tab}-${name}`;
    [this.shown, this.failed] = [shown, failed];
    this.wish = null;
    this.busy = false;
  }

  // Wish for a frame; a wish that has not been sent is forgotten.
  want(asked) {
    this.wish = asked;
    if (!this.busy) this.#work();
  }

  // Take back what is under way.
  cancel() {
    this.wish = null;
    return this.busy ? api("/api/cancel", { json: { viewer: this.viewer } }) : null;
  }

  async #work() {
    this.busy = true;
    while (this.wish) {
      const asked = this.wish;
      this.wish = null;
      try {
        const { picture, facts } = await painted({ ...asked, viewer: this.viewer });
        this.shown(picture, facts, asked);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        // Where a newer wish took its place nothing is wrong.
        if (problem.code !== "cancelled" || !this.wish) this.failed(problem, asked);
      }
    }
    this.busy = false;
  }
}

// One painted frame and its facts.
export async function painted(asked) {
  const began = performance.now();
  const answer = await api("/api/frame", { json: asked, raw: true });
  const facts = JSON.parse(answer.headers.get("x-painted"));
  const picture = await createImageBitmap(await answer.blob());
  return { picture, facts: { ...facts, waited: (performance.now() - began) / 1000 } };
}

// A plate as it is on the screen.
export async function plain(id, side) {
  const answer = await api(`/api/pictures/${id}?side=${side}${side ? "" : "&as=png"}`, { raw: true });
  return createImageBitmap(await answer.blob());
}
