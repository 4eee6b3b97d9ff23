// Asks a question, shows the answer while it comes, and says when this browser saw what.

const [form, prompt, stop, thinking, answer, status_, ttft, total, pieces] =
  ["form", "prompt", "stop", "thinking", "answer", "status", "ttft", "total", "pieces"]
    .map(id => document.getElementById(id));

/** The relay's messages by server-sent events: what is not read yet waits in the relay, not here. */
async function* sse(question, signal) {
  const response = await fetch("ask", {
    method: "POST", headers: {"content-type": "application/json"}, body: question, signal,
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  // A chunk may end in the middle of a character, or of an event.
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const {done, value} = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) yield JSON.parse(event.replace(/^data: /, ""));
  }
}

/** The relay's messages by a WebSocket, which a browser reads as fast as they come. */
async function* websocket(question, signal) {
  const socket = new WebSocket(new URL("ask", location.href.replace(/^http/, "ws")));
  const queue = [];
  let wake = () => {};
  const push = item => { queue.push(item); wake(); };
  socket.onopen = () => socket.send(question);
  socket.onmessage = message => push(JSON.parse(message.data));
  socket.onclose = ({reason}) => push(reason ? new Error(reason) : null);  // a refusal says why
  signal.addEventListener("abort", () => socket.close());
  try {
    for (;;) {
      while (!queue.length) await new Promise(resolve => { wake = resolve; });
      const item = queue.shift();
      if (item === null) return;
      if (item instanceof Error) throw item;
      yield item;
    }
  } finally {
    socket.close();
  }
}

/** Adds text to the page once a frame, however many tokens come in it. */
class Pane {
  constructor(element) { this.element = element; this.waiting = ""; element.textContent = ""; }
  add(text) {
    if (!this.waiting) requestAnimationFrame(() => this.flush());
    this.waiting += text;
  }
  flush() { this.element.append(this.waiting); this.waiting = ""; }
}

function show(element, milliseconds) {
  element.dataset.milliseconds = milliseconds;
  element.textContent = `${(milliseconds / 1000).toFixed(3)} s`;
}

function say(state, text) {
  document.body.dataset.state = state;
  status_.textContent = text;
}

async function ask(transport, text, signal) {
  const panes = {text: new Pane(answer), thinking: new Pane(thinking)};
  panes.refusal = panes.text;
  ttft.textContent = total.textContent = pieces.textContent = "–";
  say("waiting", "Waiting for the first token …");
  const asked = performance.now();
  let count = 0, last = null;
  try {
    for await (const event of transport(JSON.stringify({prompt: text}), signal)) {
      last = event;
      const pane = panes[event.type];
      if (!pane || !event.text) continue;
      if (!count++) {
        show(ttft, performance.now() - asked);
        say("streaming", "The answer is coming …");
      }
      pane.add(event.text);
    }
    show(total, performance.now() - asked);
    if (last?.type === "finished") say("done", `Finished: ${last.stop_reason}.`);
    else if (signal.aborted) say("stopped", "Stopped; the provider knows.");
    else if (last?.type === "error") say("error", `${last.message} (${last.error})`);
    else say("error", "The stream broke off on its way.");
  } catch (error) {
    show(total, performance.now() - asked);
    if (signal.aborted) say("stopped", "Stopped; the provider knows.");
    else say("error", String(error.message ?? error));
  }
  pieces.textContent = count;
  Object.values(panes).forEach(pane => pane.flush());
}

form.onsubmit = async event => {
  event.preventDefault();
  const controller = new AbortController();
  const transport = {sse, websocket}[new FormData(form).get("transport")];
  stop.onclick = () => controller.abort();
  form.ask.disabled = true;
  stop.disabled = false;
  await ask(transport, prompt.value, controller.signal);
  form.ask.disabled = false;
  stop.disabled = true;
};
