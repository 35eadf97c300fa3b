// What the page does: one view and one selection for all schedules, and how people change them.

const byId = (id) => document.getElementById(id);
const charts = JSON.parse(byId("data").textContent).map(loadChart);
const timelines = [...document.querySelectorAll("canvas.timeline")];
const memories = [...document.querySelectorAll("canvas.memory")];
const whole = Math.max(...charts.map((chart) => chart.end.reduce((a, b) => Math.max(a, b), 0)), 0) || 1;
for (const chart of charts) chart.layout = layout(chart);

const state = {
  view: { start: 0, end: whole },
  selected: null, // { chart, id }
  pinned: false, // whether the selection stays when the pointer leaves
  cursor: null, // the time under the pointer
  showCritical: false,
  memory: "activations",
  most: 0, // the most memory of all, so that curves compare
};

let isScheduled = false;
function redraw() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    drawAxis(document.querySelector("#axis canvas"), state.view, state.cursor);
    charts.forEach((chart, i) => {
      drawTimeline(chart, timelines[i], state);
      // A closed part of the page has no size to draw to.
      if (memories[i].closest("details").open) drawMemory(chart, memories[i], state);
    });
  });
}

// -- the view

function look(start, end) {
  // As close as a millionth of the whole, as far as the whole.
  const length = Math.min(Math.max(end - start, whole * 1e-6), whole);
  const from = Math.min(Math.max(start, 0), whole - length);
  state.view = { start: from, end: from + length };
  redraw();
}

function zoom(factor, around = (state.view.start + state.view.end) / 2) {
  const { start, end } = state.view;
  look(around - (around - start) * factor, around + (end - around) * factor);
}

function pan(part) {
  const { start, end } = state.view;
  look(start + (end - start) * part, end + (end - start) * part);
}

// Brings an action that is out of sight into it.
function reveal(chart, id) {
  const { start, end } = state.view;
  const length = end - start;
  if (chart.end[id] < start || chart.start[id] > end) {
    const center = (chart.start[id] + chart.end[id]) / 2;
    look(center - length / 2, center + length / 2);
  }
  const canvas = timelines[chart.index];
  const top = canvas.parentElement.getBoundingClientRect().top + chart.rank[id] * chart.layout.height;
  if (top < 32 || top + chart.layout.height > innerHeight) scrollBy(0, top - innerHeight / 2);
}

// -- the selection and its facts

function select(selected, pinned = false) {
  const isSame = selected?.id === state.selected?.id && selected?.chart === state.selected?.chart;
  if (isSame && pinned === state.pinned) return;
  state.selected = selected;
  state.pinned = pinned;
  showFacts();
  redraw();
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function showFacts() {
  const facts = byId("facts");
  facts.replaceChildren();
  for (const key of Object.keys(facts.dataset)) delete facts.dataset[key];
  if (!state.selected) {
    facts.append(element("p", {}, "Point at an action, or reach one with the arrow keys."));
    return;
  }
  const { chart, id } = state.selected;
  const look = chart.look[id];
  const place = /^(\d+)[A-Z_]+?(\d*)$/.exec(chart.name[id]);
  const where = place ? `stage ${place[1]}` + (place[2] ? `, microbatch ${place[2]}` : "") : "";
  Object.assign(facts.dataset, {
    chart: chart.index, action: chart.name[id], rank: chart.rank[id],
    step: id - chart.ranks[chart.rank[id]].first, pinned: state.pinned,
  });
  facts.append(
    element("h3", {}, element("b", { class: `swatch ${look}`, "aria-hidden": "true" }, look), chart.name[id]),
    element("p", {}, NAMES[look] + (where && ", " + where), state.pinned ? " (kept)" : ""),
  );
  const list = element("dl", {});
  const fact = (key, name, ...value) => list.append(element("dt", {}, name), element("dd", { "data-fact": key }, ...value));
  if (charts.length > 1) fact("schedule", "schedule", chart.title);
  fact("rank", "rank", String(chart.rank[id]));
  fact("start", "start", short(chart.start[id]));
  fact("end", "end", short(chart.end[id]));
  fact("time", "takes", short(chart.end[id] - chart.start[id]));
  if (chart.slack[id] !== undefined) fact("slack", "slack", short(chart.slack[id]));
  fact("critical", "critical path", chart.isCritical[id] ? "yes" : "no");
  fact("waits", "waits for", ...links(chart, chart.waits[id], "needs"));
  fact("feeds", "waited for by", ...links(chart, chart.feeds[id], "feeds"));
  facts.append(list);
}

// Buttons that lead on to other actions; a collective can have more than anybody reads.
function links(chart, ids, role) {
  if (ids.length === 0) return ["nothing"];
  const most = 12;
  const made = ids.slice(0, most).map((id) => {
    const name = `${chart.name[id]} on rank ${chart.rank[id]}`;
    const button = element("button", { class: role, "aria-label": name, title: name }, chart.name[id]);
    button.addEventListener("click", () => { select({ chart, id }, true); reveal(chart, id); });
    return button;
  });
  if (ids.length > most) made.push(` and ${ids.length - most} more`);
  return made;
}

// -- pointing

function hit(chart, canvas, event) {
  const plot = canvas.parentElement.getBoundingClientRect();
  const { main, beside, height } = chart.layout;
  const y = event.clientY - plot.top;
  const rank = Math.floor(y / height);
  const time = timeAt(canvas, event);
  if (time === null || !chart.ranks[rank]) return null;
  // Within two pixels is meant.
  const tolerance = 2 / scaleOf(canvas.clientWidth, state.view).perTime;
  const inRow = y - rank * height;
  const lane = beside && inRow > main ? chart.ranks[rank].beside : chart.ranks[rank].main;
  const id = inRow > main + (beside ? beside + 1 : 0) ? null : actionAt(chart, lane, time, tolerance);
  return id === null ? null : { chart, id };
}

function timeAt(canvas, event) {
  const x = event.clientX - canvas.getBoundingClientRect().left;
  return x < GUTTER ? null : scaleOf(canvas.clientWidth, state.view).time(x);
}

let drag = null;
// A page that is being scrolled by wheel goes on scrolling when a timeline comes under the pointer.
let lastScroll = -Infinity;
addEventListener("scroll", (event) => { lastScroll = event.timeStamp; redraw(); }, { passive: true });

charts.forEach((chart, i) => {
  const canvas = timelines[i];
  for (const moving of [canvas, memories[i]]) {
    moving.addEventListener("pointermove", (event) => { state.cursor = timeAt(moving, event); redraw(); });
    moving.addEventListener("pointerleave", () => { state.cursor = null; redraw(); });
    moving.addEventListener("wheel", (event) => {
      const time = timeAt(moving, event);
      if (time === null || event.timeStamp - lastScroll < 200) return;
      event.preventDefault();
      const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const amount = event.deltaMode === 1 ? 16 : 1;
      if (isSideways) pan((event.deltaX || event.deltaY) * amount / canvas.clientWidth);
      else zoom(Math.exp(event.deltaY * amount * 0.002), time);
    }, { passive: false });
  }
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, view: state.view, hasMoved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const moved = event.clientX - drag.x;
      // A hand that clicks trembles.
      drag.hasMoved ||= Math.abs(moved) > 3;
      const time = moved / scaleOf(canvas.clientWidth, drag.view).perTime;
      if (drag.hasMoved) look(drag.view.start - time, drag.view.end - time);
    } else if (!state.pinned) {
      select(hit(chart, canvas, event));
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.hasMoved) {
      const found = hit(chart, canvas, event);
      select(found, found !== null);
    }
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { if (!state.pinned) select(null); });
  canvas.addEventListener("focus", () => {
    // Only the keyboard asks for a first action; the pointer has its own.
    if (!state.selected && canvas.matches(":focus-visible")) step(chart, { key: "Home" });
  });
  canvas.addEventListener("keydown", (event) => { if (step(chart, event)) event.preventDefault(); });
  memories[i].closest("details").addEventListener("toggle", redraw);
});

// -- keys

function step(chart, event) {
  const view = { "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7), 0: () => look(0, whole) };
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (view[event.key]) { view[event.key](); return true; }
  if (event.shiftKey && event.key.startsWith("Arrow")) {
    if (event.key === "ArrowLeft") pan(-0.2);
    else if (event.key === "ArrowRight") pan(0.2);
    else return false;
    return true;
  }
  const current = state.selected?.chart === chart ? state.selected.id : null;
  if (event.key === "Escape") { select(null); return true; }
  if (event.key === "Enter" || event.key === " ") {
    if (current !== null) select({ chart, id: current }, !state.pinned);
    return true;
  }
  const next = neighbour(chart, current, event.key);
  if (next === undefined) return false;
  if (next !== null) { select({ chart, id: next }, state.pinned); reveal(chart, next); }
  return true;
}

// The action that a key leads to; null if there is none, undefined if the key is no such key.
function neighbour(chart, id, key) {
  const rank = id === null ? chart.ranks.findIndex((row) => row.count > 0) : chart.rank[id];
  const row = chart.ranks[rank];
  if (!row) return null;
  const clamp = (at) => Math.min(Math.max(at, row.first), row.first + row.count - 1);
  switch (key) {
    case "Home": return row.first;
    case "End": return row.first + row.count - 1;
    case "ArrowLeft": return id === null ? row.first : clamp(id - 1);
    case "ArrowRight": return id === null ? row.first : clamp(id + 1);
    case "ArrowUp":
    case "ArrowDown": {
      if (id === null) return row.first;
      const other = chart.ranks[rank + (key === "ArrowUp" ? -1 : 1)];
      const lane = BESIDE.includes(chart.look[id]) ? other?.beside : other?.main;
      return lane ? actionAt(chart, lane, (chart.start[id] + chart.end[id]) / 2, Infinity) : null;
    }
    default: return undefined;
  }
}

// -- the tools

byId("in").addEventListener("click", () => zoom(0.6));
byId("out").addEventListener("click", () => zoom(1 / 0.6));
byId("all").addEventListener("click", () => look(0, whole));
byId("critical").addEventListener("change", (event) => { state.showCritical = event.target.checked; redraw(); });
byId("memory")?.addEventListener("change", (event) => { state.memory = event.target.value; measure(); redraw(); });

function measure() {
  const rows = charts.flatMap((chart) => chart.ranks);
  state.most = rows.reduce((most, row) => row[state.memory].reduce((a, b) => Math.max(a, b), most), 0);
}

// For scripts: where in the window an action is drawn.
window.schedules = {
  box(index, rank, step) {
    const chart = charts[index];
    const id = chart.ranks[rank].first + step;
    const plot = timelines[index].parentElement.getBoundingClientRect();
    const scale = scaleOf(timelines[index].clientWidth, state.view);
    const { top, size } = middle(chart, id);
    const x = scale.x(chart.start[id]);
    return { x: plot.left + x, y: plot.top + top, width: scale.x(chart.end[id]) - x, height: size };
  },
};

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); redraw(); });
addEventListener("resize", redraw);
readColors();
measure();
showFacts();
redraw();
