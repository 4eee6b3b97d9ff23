// A board of streams.  frames.py says what Python sends; this side appends, and asks for what it lacks.

const ENDED = ["done", "failed", "cancelled"];
const ASK_AGAIN = 500; // ms, doubled each time: a kernel may hear nothing while its cell runs
const HELLO = 400; // ms without a frame, and this page has come when all was over

const END = new Uint8Array([3, 0]); // an empty last block, without which a deflated run is not over

// Reads frames that were compressed in runs.
export class Unpacker {
  parts = [];

  // The next frame; undefined if one before it in its run is lacking.
  async unpack(place, packed) {
    if (place === 0) [this.parts, this.read] = [[], 0];
    if (place !== this.parts.length) return undefined;
    this.parts.push(packed);
    const run = new Blob([...this.parts, END]).stream();
    const text = await new Response(run.pipeThrough(new DecompressionStream("deflate-raw"))).text();
    const frame = JSON.parse(text.slice(this.read));
    this.read = text.length;
    return frame;
  }
}

// What has come so far, for all views of one board.
export class Streams {
  panes = [];

  // Take a frame in; return the indices of the panes that this page lacks something of.
  apply({ panes = [], marks = [], text = [], sum }) {
    const lacking = new Set();
    for (const [index, title, limit] of panes) {
      this.panes[index] = { begin: 0, end: 0, text: "", ...this.panes[index], title, limit };
    }
    for (const told of marks) {
      const [index, state, begin, ttft, end, tokens, rate, note] = told;
      const pane = this.panes[index];
      if (!pane) continue;
      if (begin > pane.begin) pane.text = pane.text.slice(begin - pane.begin);
      Object.assign(pane, { told, state, begin, ttft, end, tokens, rate, note });
    }
    for (const [index, place, piece] of text) {
      const pane = this.panes[index];
      const has = pane ? pane.begin + pane.text.length : -1;
      if (place > has) lacking.add(index);
      else pane.text += piece.slice(has - place);
    }
    let [ends, ended] = [0, ""];
    this.panes.forEach(({ begin, end, text, state }, index) => {
      if (begin + text.length < end) lacking.add(index);
      ends += begin + text.length;
      ended += ENDED.includes(state) ? "1" : "0";
    });
    if (sum && (sum[0] !== ends || sum[1] !== ended)) {
      for (let index = 0; index < sum[1].length; index += 1) lacking.add(index);
    }
    return lacking;
  }
}

function element(tag, name, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.className = `wb-${name}`;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// JupyterLab's shortcuts would cut or delete the cell while one of these has the focus.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

class PaneView {
  constructor(index, { title }, looks, cancel) {
    this.looks = looks;
    this.text = new Text(); // one: to append to it is several times cheaper to lay out than another node
    this.note = element("div", "note");
    const log = { role: "log", "aria-live": "off", "aria-label": title, tabindex: "0", ...OWN_KEYS };
    const words = element("pre", "text", {}, this.text);
    this.log = element("div", "log", log, this.note, words); // from the bottom upwards
    this.sign = element("span", "sign", { "aria-hidden": "true" });
    const name = `Cancel ${title}`;
    this.button = element("button", "cancel", { "aria-label": name, title: name, ...OWN_KEYS }, "✕");
    this.button.addEventListener("click", () => cancel(index));
    this.state = element("span", "state");
    this.tokens = element("span", "tokens");
    this.ttft = element("span", "ttft", { title: "time to first token" });
    this.rate = element("span", "rate");
    this.bar = element("div", "bar", { "aria-hidden": "true" });
    this.node = element(
      "div", "pane", { role: "group", "aria-label": title },
      element("header", "head", {}, this.sign, element("span", "title", { title }, title), this.button),
      this.log,
      element("footer", "foot", {}, this.state, this.tokens, this.ttft, this.rate),
      this.bar,
    );
    this.begin = this.shown = 0;
  }

  draw(pane) {
    if (pane.begin > this.begin) {
      this.text.data = "";
      this.begin = pane.begin;
      this.shown = 0;
    }
    if (pane.text.length > this.shown) {
      this.text.appendData(pane.text.slice(this.shown));
      this.shown = pane.text.length;
    }
    if (pane.told !== this.told) this.mark(pane);
    this.told = pane.told;
  }

  mark({ state, tokens, limit, ttft, rate, note }) {
    const [sign, color] = this.looks[state];
    this.node.dataset.state = state;
    this.node.style.setProperty("--wb-state", color);
    this.sign.textContent = sign;
    this.note.textContent = this.note.title = note;
    this.state.textContent = state;
    this.tokens.textContent = tokens ? `${tokens} tokens` : "";
    this.ttft.textContent = ttft === null ? "" : `${ttft.toFixed(2)} s`;
    this.rate.textContent = rate === null ? "" : `${rate.toFixed(0)}/s`;
    const part = state === "done" ? 1 : limit ? Math.min(1, tokens / limit) : 0;
    this.bar.style.transform = `scaleX(${part})`;
    const ended = ENDED.includes(state);
    if (ended && document.activeElement === this.button) this.log.focus();
    this.button.hidden = ended;
  }
}

class BoardView {
  constructor(streams, looks, send) {
    this.streams = streams;
    this.looks = looks;
    this.send = send;
    this.panes = [];
    this.summary = element("span", "summary");
    this.all = element("button", "all", OWN_KEYS, "Cancel all");
    this.all.addEventListener("click", () => send({ cancel: null }));
    this.said = element("div", "said", { role: "status" });
    this.grid = element("div", "grid");
    const top = element("div", "top", {}, this.summary, this.all);
    this.node = element("div", "board", { role: "group", "aria-label": "streams" }, top, this.grid, this.said);
  }

  // Draw at the next animation frame; a page that is not looked at draws nothing.
  changed(summary) {
    this.line = summary;
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw();
    });
  }

  draw() {
    if (this.line !== this.summary.textContent) this.summary.textContent = this.line;
    this.streams.panes.forEach((pane, index) => {
      this.panes[index] ??= this.add(index, pane);
      this.panes[index].draw(pane);
    });
    const { panes } = this.streams;
    this.grid.dataset.size = panes.length > 24 ? "many" : panes.length > 6 ? "some" : "few";
    this.all.hidden = panes.every((pane) => ENDED.includes(pane.state));
  }

  add(index, pane) {
    const view = new PaneView(index, pane, this.looks, (which) => this.send({ cancel: which }));
    const next = this.panes.find((other, at) => at > index && other);
    this.grid.insertBefore(view.node, next?.node ?? null);
    return view;
  }

  say(text) {
    if (text) this.said.textContent = text;
  }
}

export default () => {
  const streams = new Streams();
  const unpacker = new Unpacker();
  let last = Promise.resolve(); // the frame before
  const views = new Set();
  const asked = new Map(); // index: when to ask again, and how long to wait then
  let line = "";

  function wanted(lacking) {
    const now = performance.now();
    for (const index of asked.keys()) if (!lacking.has(index)) asked.delete(index);
    const due = [...lacking].filter((index) => now >= (asked.get(index)?.at ?? 0));
    for (const index of due) {
      const wait = 2 * (asked.get(index)?.wait ?? ASK_AGAIN / 2);
      asked.set(index, { at: now + wait, wait });
    }
    return due;
  }

  function news(before) {
    const ended = streams.panes.filter(({ state }, i) => before[i] && before[i] !== state && ENDED.includes(state));
    return ended.map(({ title, state, tokens }) => `${title} ${state}, ${tokens} tokens`).join(". ");
  }

  return {
    initialize({ model }) {
      const hello = setTimeout(() => model.send({ want: null }), HELLO);
      const take = (frame) => {
        if (!frame) return;
        const before = streams.panes.map(({ state }) => state);
        const due = wanted(streams.apply(frame));
        if (due.length) model.send({ want: due });
        line = frame.summary ?? line;
        for (const view of views) view.changed(line);
        [...views].slice(0, 1).forEach((view) => view.say(news(before)));
      };
      model.on("msg:custom", ({ place }, [packed]) => {
        clearTimeout(hello);
        last = last.then(() => unpacker.unpack(place, packed)).then(take);
        return last;
      });
      return () => clearTimeout(hello);
    },
    render({ model, el }) {
      const view = new BoardView(streams, model.get("looks"), (message) => model.send(message));
      views.add(view);
      el.append(view.node);
      view.changed(line);
      return () => views.delete(view);
    },
  };
};
