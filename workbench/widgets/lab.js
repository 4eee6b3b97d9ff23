// A breaker's lab.  lab.py sends rows of float32, one for each slice of simulated time; this side draws
// them, says which settings are wanted, and asks for the rows that it lacks.

const SPAN = 60; // simulated seconds that are in view
const SMOOTHED = 8; // slices
const OWN = 700; // ms for which a control that was moved here takes no setting from the kernel
const ASK_AGAIN = 500; // ms
const LEFT = 46;
const RIGHT = 16;
const STATE_COLORS = { closed: "success", "half-open": "warn", open: "error" };
const LINES = [["ok", "success", []], ["failed", "error", [6, 3]], ["refused", "brand", [2, 2]], ["requests", "ink", [8, 3, 2, 3]]];
const COLORS = {
  success: ["--jp-success-color1", "#009e73"],
  warn: ["--jp-warn-color1", "#e69f00"],
  error: ["--jp-error-color1", "#d55e00"],
  brand: ["--jp-brand-color1", "#0072b2"],
  ink: ["--jp-content-font-color2", "#616161"],
  grid: ["--jp-border-color1", "#bdbdbd"],
  paper: ["--jp-layout-color1", "#fff"],
};
// JupyterLab's shortcuts would cut or delete the cell while one of these has the focus.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

// All rows that have come.
export class Rows {
  constructor(columns) {
    this.columns = columns;
    this.values = [];
  }

  get count() {
    return this.values.length / this.columns.length;
  }

  // Take rows from the one of that number on; false if some before it are lacking.
  add(start, rows) {
    if (start > this.count) return false;
    this.values.push(...rows.slice((this.count - start) * this.columns.length));
    return true;
  }

  at(row, name) {
    return this.values[row * this.columns.length + this.columns.indexOf(name)];
  }

  // A mean over the last slices, for each second.
  rate(row, name, slice) {
    let sum = 0;
    const first = Math.max(0, row - SMOOTHED + 1);
    for (let each = first; each <= row; each += 1) sum += this.at(each, name);
    return sum / ((row - first + 1) * slice);
  }
}

function element(tag, name, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = `wb-lab-${name}`;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A round number that is not below the value.
export function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * unit).find((round) => round >= value);
}

const written = (value, unit) => (unit === "%" ? `${Math.round(value * 100)} %` : `${+value.toFixed(2)} ${unit}`);

class Slider {
  constructor([name, label, least, most, step, unit], send) {
    this.unit = unit;
    this.input = element("input", "", { type: "range", min: least, max: most, step, ...OWN_KEYS });
    this.output = element("span", "value");
    this.node = element("label", "", {}, element("span", "", {}, label), this.input, this.output);
    this.input.addEventListener("input", () => {
      this.moved = performance.now();
      this.show();
      send({ set: { [name]: Number(this.input.value) } });
    });
  }

  show() {
    const text = written(Number(this.input.value), this.unit);
    this.output.textContent = text;
    this.input.setAttribute("aria-valuetext", text);
  }

  take(value) {
    if (performance.now() - (this.moved ?? -OWN) < OWN) return;
    this.input.value = value;
    this.show();
  }
}

class Choice {
  constructor(choices, send) {
    const options = choices.map((each) => element("option", "", { value: each }, each));
    this.input = element("select", "", OWN_KEYS, ...options);
    this.node = element("label", "", {}, element("span", "", {}, "policy"), this.input);
    this.input.addEventListener("change", () => send({ set: { policy: this.input.value } }));
  }

  take(value) {
    this.input.value = value;
  }
}

class LabView {
  constructor(rows, config, send) {
    Object.assign(this, { rows, config });
    this.controls = Object.fromEntries(config.controls.map((control) => [control[0], new Slider(control, send)]));
    this.controls.policy = new Choice(config.policies, send);
    this.state = element("span", "state");
    this.line = element("span", "line");
    this.said = element("div", "said", { role: "status" }); // a screen reader hears transitions, not every slice
    this.canvas = element("canvas", "", { role: "img", "aria-label": "state, calls in flight, and calls a second, over time" });
    const stop = element("button", "stop", OWN_KEYS, "Stop");
    stop.addEventListener("click", () => send({ stop: true }));
    const controls = Object.values(this.controls).map(({ node }) => node);
    this.node = element(
      "div", "", { class: "wb-lab", role: "group", "aria-label": "circuit breaker lab" },
      element("div", "top", {}, this.state, this.line, stop),
      element("div", "controls", {}, ...controls),
      this.canvas,
      this.said,
    );
  }

  take({ settings = {}, said }) {
    for (const [name, value] of Object.entries(settings)) this.controls[name].take(value);
    if (said !== undefined && said !== this.said.textContent) this.said.textContent = said;
  }

  // Draw at the next animation frame; a page that is not looked at draws nothing.
  changed() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      if (this.rows.count && this.node.isConnected) this.draw();
    });
  }

  name(row) {
    return this.config.states[this.rows.at(row, "state")] ?? "no breaker";
  }

  draw() {
    const { rows, canvas, config: { slice } } = this;
    const style = getComputedStyle(this.node);
    this.color = {};
    for (const [name, [property, other]] of Object.entries(COLORS)) {
      this.color[name] = style.getPropertyValue(property).trim() || other;
    }
    const last = rows.count - 1;
    const now = this.name(last);
    this.state.textContent = now;
    this.node.style.setProperty("--wb-state", this.color[STATE_COLORS[now] ?? "ink"]);
    const rates = LINES.map(([name]) => `${rows.rate(last, name, slice).toFixed(1)} ${name}`).join(", ");
    this.line.textContent = `${((last + 1) * slice).toFixed(1)} s: ${rows.at(last, "in flight")} in flight; a second: ${rates}`;
    const ratio = window.devicePixelRatio || 1;
    [this.width, this.height] = [canvas.clientWidth, canvas.clientHeight];
    const [width, height] = [this.width, this.height].map((size) => Math.round(size * ratio));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    this.pen = canvas.getContext("2d");
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.clearRect(0, 0, this.width, this.height);
    this.pen.font = `11px ${style.fontFamily}`;
    this.begin = Math.max(0, (last + 1) * slice - SPAN);
    this.first = Math.floor(this.begin / slice);
    this.axis(20, 310);
    this.band(20, 40);
    const flying = (row) => rows.at(row, "in flight");
    this.chart("in flight", 88, 85, [["", "brand", [], flying]]);
    const lines = LINES.map(([name, color, dash]) => [name, color, dash, (row) => rows.rate(row, name, slice)]);
    this.chart("calls and requests a second", 200, 110, lines);
  }

  x(row) {
    const part = (row * this.config.slice - this.begin) / SPAN;
    return LEFT + Math.max(0, part) * (this.width - LEFT - RIGHT);
  }

  text(words, x, y, align = "left", color = "ink") {
    this.pen.fillStyle = this.color[color];
    this.pen.textAlign = align;
    this.pen.fillText(words, x, y);
  }

  stroke(color, dash, width, points) {
    const { pen } = this;
    pen.beginPath();
    pen.strokeStyle = this.color[color];
    pen.lineWidth = width;
    pen.setLineDash(dash);
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
  }

  axis(top, bottom) {
    for (let second = Math.ceil(this.begin / 10) * 10; second <= this.begin + SPAN; second += 10) {
      const x = this.x(second / this.config.slice);
      this.stroke("grid", [], 0.5, [[x, top], [x, bottom]]);
      this.text(`${second} s`, x, bottom + 14, "center");
    }
  }

  // The states: the higher, the less they let through; and each by its name, where there is room.
  band(top, height) {
    this.text("state", LEFT, top - 7);
    let from = this.first;
    for (let row = from + 1; row <= this.rows.count; row += 1) {
      const name = this.name(from);
      if (row < this.rows.count && this.name(row) === name) continue;
      const [x, end] = [this.x(from), this.x(row)];
      const part = (this.config.states.indexOf(name) + 1) / this.config.states.length;
      this.pen.fillStyle = this.color[STATE_COLORS[name] ?? "grid"];
      this.pen.fillRect(x, top + height * (1 - part), end - x, height * part);
      if (end - x > 60) this.text(name, x + 4, top + height * (1 - part) - 3 + (part > 0.9) * 14, "left", part > 0.9 ? "paper" : "ink");
      from = row;
    }
  }

  chart(title, top, height, lines) {
    const count = this.rows.count - this.first;
    const values = lines.map(([, , , value]) => Array.from({ length: count }, (_, at) => value(this.first + at)));
    const most = ceiling(Math.max(...values.flat()));
    this.stroke("grid", [], 1, [[LEFT, top], [LEFT, top + height], [this.width - RIGHT, top + height]]);
    this.text(`${most}`, LEFT - 5, top + 8, "right");
    this.text("0", LEFT - 5, top + height, "right");
    this.text(title, LEFT, top - 7);
    let x = LEFT + 20 + this.pen.measureText(title).width;
    lines.forEach(([name, color, dash], which) => {
      const points = values[which].map((value, at) => [this.x(this.first + at + 1), top + height * (1 - value / most)]);
      this.stroke(color, dash, 1.8, points);
      if (!name) return;
      this.stroke(color, dash, 1.8, [[x, top - 11], [x + 24, top - 11]]);
      this.text(name, x + 30, top - 7);
      x += 50 + this.pen.measureText(name).width;
    });
  }
}

export default () => {
  const views = new Set();
  let rows;
  let told = {};
  let asked = -ASK_AGAIN;
  return {
    initialize({ model }) {
      rows = new Rows(model.get("config").columns);
      const take = ({ start, ...news }, [bytes]) => {
        const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
        if (!rows.add(start, floats) && performance.now() - asked > ASK_AGAIN) {
          asked = performance.now();
          model.send({ want: rows.count });
        }
        told = { ...told, ...news };
        for (const view of views) {
          view.take(news);
          view.changed();
        }
      };
      model.on("msg:custom", take);
      model.send({ want: 0 }); // what was sent before this page listened is lost
      return () => model.off("msg:custom", take);
    },
    render({ model, el }) {
      const view = new LabView(rows, model.get("config"), (message) => model.send(message));
      const resized = new ResizeObserver(() => view.changed());
      resized.observe(view.canvas);
      views.add(view);
      el.append(view.node);
      view.take(told);
      view.changed();
      return () => {
        resized.disconnect();
        views.delete(view);
      };
    },
  };
};
