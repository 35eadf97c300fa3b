// Drawing: canvases, because a page of 100 000 elements would not zoom smoothly.

const GUTTER = 120; // for the names of ranks and the values of curves
const RIGHT = 10;

// Colours come from the style sheet, which knows whether the page is dark.
let ink = {};
function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = ["page", "ink", "soft", "line", "row", "accent", "needs", "feeds", "memory", "memory-edge"];
  for (const look of Object.keys(NAMES)) names.push(look, "on-" + look);
  ink = Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

// How high a rank is: the more there are, the lower, down to where a box can still be hit.
function layout(chart) {
  const num = chart.ranks.length;
  const main = num <= 12 ? 24 : num <= 40 ? 18 : num <= 128 ? 12 : 7;
  const beside = chart.hasBeside ? Math.max(3, Math.round(main / 4)) : 0;
  const gap = main >= 18 ? 4 : main >= 12 ? 3 : 1;
  return { main, beside, height: main + (beside ? beside + 1 : 0) + gap };
}

// The screen's pixels to a pixel of the page. Kept, for the browser takes its time to say.
let density = 1;

// Sizes a canvas for the screen's pixels and says which of its plot's rows it covers now, or null
// if nobody sees it. A canvas is as high as the window at most and sticks in a plot that may be far
// higher.
function open(canvas, rows, rowHeight) {
  const total = rows * rowHeight;
  canvas.parentElement.style.height = total + "px";
  const width = canvas.clientWidth;
  const height = Math.min(total, Math.max(innerHeight - 28, 100));
  density = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    canvas.style.height = height + "px";
  }
  const { top, bottom } = canvas.getBoundingClientRect();
  if (bottom < 0 || top > innerHeight) return null;
  const offset = top - canvas.parentElement.getBoundingClientRect().top;
  const g = canvas.getContext("2d");
  g.setTransform(density, 0, 0, density, 0, 0);
  g.fillStyle = ink.page;
  g.fillRect(0, 0, width, height);
  const first = Math.max(0, Math.floor(offset / rowHeight));
  const last = Math.min(rows, Math.ceil((offset + height) / rowHeight));
  g.translate(0, -offset);
  return { g, width, height, offset, first, last };
}

// From times to pixels of any canvas of the page; all share one view.
function scaleOf(width, view) {
  const perTime = Math.max(width - GUTTER - RIGHT, 1) / (view.end - view.start);
  return {
    perTime,
    x: (time) => GUTTER + (time - view.start) * perTime,
    time: (x) => view.start + (x - GUTTER) / perTime,
  };
}

// To the screen's pixels, so that neighbours meet without a seam or a blend.
function snap(x) {
  return Math.round(x * density) / density;
}

function eachTick(width, view, visit) {
  const step = tickStep((view.end - view.start) / Math.max((width - GUTTER) / 90, 1));
  const { x } = scaleOf(width, view);
  for (let n = Math.ceil(view.start / step - 1e-9); n * step <= view.end * (1 + 1e-12); n++) {
    visit(x(n * step), n * step);
  }
}

function drawAxis(canvas, view, cursor) {
  const opened = open(canvas, 1, 27);
  if (!opened) return;
  const { g, width, height } = opened;
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  g.fillStyle = ink.soft;
  g.textAlign = "left";
  g.fillText("time", 0, height / 2);
  g.textAlign = "center";
  eachTick(width, view, (x, time) => {
    g.fillText(short(Number(time.toPrecision(12))), Math.min(x, width - 14), height / 2);
    g.fillRect(x, height - 5, 1, 5);
  });
  if (cursor === null) return;
  // Where the pointer is, over whatever tick it covers.
  const perPixel = (view.end - view.start) / width;
  const text = short(Number(cursor.toFixed(Math.min(Math.max(Math.ceil(-Math.log10(perPixel)), 0), 12))));
  const half = g.measureText(text).width / 2 + 6;
  const x = Math.min(Math.max(scaleOf(width, view).x(cursor), GUTTER + half), width - half);
  g.fillStyle = ink.ink;
  g.fillRect(x - half, 4, 2 * half, height - 8);
  g.fillStyle = ink.page;
  g.fillText(text, x, height / 2);
}

function drawTimeline(chart, canvas, state) {
  const { main, beside, height: rowHeight } = chart.layout;
  const opened = open(canvas, chart.ranks.length, rowHeight);
  if (!opened) return;
  const { g, width, height, offset, first, last } = opened;
  const view = state.view;
  const scale = scaleOf(width, view);
  rows(g, rowHeight, main, first, last, () => "");
  g.save();
  g.beginPath();
  g.rect(GUTTER, offset, width - GUTTER, height);
  g.clip();
  g.fillStyle = ink.row;
  for (let rank = first; rank < last; rank++) g.fillRect(GUTTER, rank * rowHeight, width, main);
  g.fillStyle = ink.line;
  eachTick(width, view, (x) => g.fillRect(Math.round(x), offset, 1, height));
  const passes = state.showCritical ? [[0.22, (id) => !chart.isCritical[id]], [1, (id) => chart.isCritical[id]]] : [[1, () => true]];
  for (const [alpha, wanted] of passes) {
    g.globalAlpha = alpha;
    for (let rank = first; rank < last; rank++) {
      const y = rank * rowHeight;
      drawLane(g, chart, chart.ranks[rank].main, y, main, scale, view, width, wanted);
      if (beside) drawLane(g, chart, chart.ranks[rank].beside, y + main + 1, beside, scale, view, width, wanted);
    }
  }
  g.globalAlpha = 1;
  if (state.showCritical) drawPath(g, chart, scale);
  if (state.selected?.chart === chart) drawRelations(g, chart, state.selected.id, scale, state.pinned);
  drawCursor(g, state, scale, offset, height);
  g.restore();
}

// The names of ranks, and what else there is to say of each.
function rows(g, rowHeight, inner, first, last, value) {
  g.font = `${Math.min(12, Math.max(rowHeight - 2, 8))}px system-ui, sans-serif`;
  g.textBaseline = "middle";
  g.fillStyle = ink.soft;
  // Names that would stand in each other's way are left out.
  const every = Math.ceil(11 / rowHeight);
  for (let rank = first; rank < last; rank++) {
    if (rank % every !== 0) continue;
    const y = rank * rowHeight + inner / 2 + 0.5;
    g.textAlign = "left";
    g.fillText("rank " + rank, 0, y);
    g.textAlign = "right";
    g.fillText(value(rank), GUTTER - 8, y);
  }
}

function drawLane(g, chart, lane, y, height, scale, view, width, wanted) {
  const fontSize = Math.min(11, height - 3);
  g.font = `${fontSize}px system-ui, sans-serif`;
  g.textAlign = "center";
  let drawnTo = -Infinity;
  let i = firstWhere(lane.ids.length, (i) => lane.reach[i] >= view.start);
  for (; i < lane.ids.length && chart.start[lane.ids[i]] <= view.end; i++) {
    const id = lane.ids[i];
    if (!wanted(id)) continue;
    const x0 = snap(scale.x(chart.start[id]));
    // What takes no time is to be seen nevertheless.
    const x1 = Math.max(snap(scale.x(chart.end[id])), x0 + 1);
    // Of boxes on one pixel, the first stands for all.
    if (x1 <= drawnTo) continue;
    const look = chart.look[id];
    const seam = x1 - x0 >= 4 ? 1 : 0;
    g.fillStyle = ink[look];
    g.fillRect(x0, y, x1 - x0 - seam, height);
    drawnTo = x1;
    // A label on a faded box could not be read.
    // By its exact width, for equal boxes are to be labelled alike.
    const exact = (chart.end[id] - chart.start[id]) * scale.perTime;
    if (exact < 9 || fontSize < 8 || g.globalAlpha < 1) continue;
    if (look === "R" || look === "G") hatch(g, x0, y, x1 - x0 - seam, height, ink["on-" + look]);
    // Centred in what can be seen of the box, so that a name does not leave with the box's middle.
    const left = Math.max(x0, GUTTER), right = Math.min(x1, width);
    const text = label(chart.name[id], look, Math.min(right - left, exact) - 3, fontSize * 0.6);
    if (!text) continue;
    g.fillStyle = ink["on-" + look];
    g.fillText(text, (left + right - seam) / 2, y + height / 2 + 0.5);
  }
}

// A second mark besides colour, for the kinds that resemble others.
function hatch(g, x, y, width, height, color) {
  const alpha = g.globalAlpha;
  g.globalAlpha = alpha * 0.25;
  g.strokeStyle = color;
  g.lineWidth = 1;
  g.beginPath();
  for (let at = x - height; at < x + width; at += 5) {
    const from = Math.max(at, x), to = Math.min(at + height, x + width);
    if (to <= from) continue;
    g.moveTo(from, y + height - (from - at));
    g.lineTo(to, y + height - (to - at));
  }
  g.stroke();
  g.globalAlpha = alpha;
}

// The longest name of an action that fits: all of it, without the stage, its letter, or none.
function label(name, look, room, perCharacter) {
  const overlap = /^\((.+);(.+)\)/.exec(name);
  const full = overlap ? `${overlap[1]}+${overlap[2]}` : name;
  const choices = [full, full.replace(/\d+(?=[A-Z])/g, ""), look === "O" ? "F+B" : look, look];
  return choices.find((text) => text.length * perCharacter <= room) ?? "";
}

// Where the middle of a box's side is.
function middle(chart, id) {
  const { main, beside, height } = chart.layout;
  const isBeside = BESIDE.includes(chart.look[id]);
  const y = chart.rank[id] * height;
  return isBeside ? { top: y + main + 1, size: beside } : { top: y, size: main };
}

// When what an action gives reaches another: at its start, or while it lasts if it was there before,
// as a receive is.
function arrival(chart, from, to) {
  return Math.min(Math.max(chart.end[from], chart.start[to]), chart.end[to]);
}

// The critical path as a line from box to box; within a rank the bright boxes say enough.
function drawPath(g, chart, scale) {
  g.strokeStyle = ink.ink;
  g.lineWidth = 1.5;
  g.beginPath();
  for (let i = 1; i < chart.critical.length; i++) {
    const [a, b] = [chart.critical[i - 1], chart.critical[i]];
    if (chart.rank[a] === chart.rank[b]) continue;
    const [from, to] = [middle(chart, a), middle(chart, b)];
    g.moveTo(scale.x(chart.end[a]), from.top + from.size / 2);
    g.lineTo(scale.x(arrival(chart, a, b)), to.top + to.size / 2);
  }
  g.stroke();
}

function drawRelations(g, chart, id, scale, isPinned) {
  const frame = (at, color, dashes, lineWidth) => {
    const { top, size } = middle(chart, at);
    const x = scale.x(chart.start[at]);
    const w = Math.max(scale.x(chart.end[at]) - x, 3);
    // A band in the page's colour sets the frame off from boxes of any colour.
    for (const [stroke, width] of [[ink.page, lineWidth + 2], [color, lineWidth]]) {
      g.setLineDash(stroke === color ? dashes : []);
      g.strokeStyle = stroke;
      g.lineWidth = width;
      g.strokeRect(x, top, w - 1, size);
    }
    g.setLineDash([]);
  };
  const arrow = (a, b, color, dashes) => {
    const [from, to] = [middle(chart, a), middle(chart, b)];
    const [x0, y0] = [scale.x(chart.end[a]), from.top + from.size / 2];
    const [x1, y1] = [scale.x(arrival(chart, a, b)), to.top + to.size / 2];
    if (chart.rank[a] === chart.rank[b] && from.top === to.top) return;
    const bend = Math.max(8, Math.min(30, Math.abs(x1 - x0) / 2));
    g.beginPath();
    g.moveTo(x0, y0);
    g.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1 - 3, y1);
    g.strokeStyle = ink.page;
    g.lineWidth = 4;
    g.stroke();
    g.strokeStyle = g.fillStyle = color;
    g.lineWidth = 1.75;
    g.setLineDash(dashes);
    g.stroke();
    g.setLineDash([]);
    g.beginPath();
    g.moveTo(x1 + 1, y1);
    g.lineTo(x1 - 6, y1 - 4);
    g.lineTo(x1 - 6, y1 + 4);
    g.fill();
  };
  for (const cause of chart.waits[id]) { frame(cause, ink.needs, [], 2); arrow(cause, id, ink.needs, []); }
  for (const effect of chart.feeds[id]) { frame(effect, ink.feeds, [4, 3], 2); arrow(id, effect, ink.feeds, [4, 3]); }
  frame(id, ink.ink, [], isPinned ? 3 : 2);
}

function drawCursor(g, state, scale, offset, height) {
  if (state.cursor === null) return;
  g.globalAlpha = 0.6;
  g.fillStyle = ink.ink;
  g.fillRect(snap(scale.x(state.cursor)), offset, 1, height);
  g.globalAlpha = 1;
}

function drawMemory(chart, canvas, state) {
  const rowHeight = chart.ranks.length <= 12 ? 30 : chart.ranks.length <= 40 ? 18 : 10;
  const inner = rowHeight - 4;
  const opened = open(canvas, chart.ranks.length, rowHeight);
  if (!opened) return;
  const { g, width, height, offset, first, last } = opened;
  const view = state.view, scale = scaleOf(width, view);
  const values = (rank) => chart.ranks[rank][state.memory];
  rows(g, rowHeight, inner, first, last, (rank) => {
    const row = chart.ranks[rank];
    const amount = state.memory === "bytes" ? bytes : short;
    // Under the pointer the value there, else the most.
    return state.cursor === null
      ? amount(values(rank).reduce((a, b) => Math.max(a, b), 0))
      : amount(valueAt(row.time, values(rank), state.cursor));
  });
  g.save();
  g.beginPath();
  g.rect(GUTTER, offset, width - GUTTER, height);
  g.clip();
  for (let rank = first; rank < last; rank++) {
    const base = rank * rowHeight + inner;
    g.fillStyle = ink.row;
    g.fillRect(GUTTER, base - inner, width, inner);
    curve(g, chart.ranks[rank].time, values(rank), scale, view, base, inner / (state.most || 1));
    g.fillStyle = ink.line;
    g.fillRect(GUTTER, base, width, 1);
  }
  drawCursor(g, state, scale, offset, height);
  g.restore();
}

function bytes(value) {
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), 4);
  return Number((value / 1024 ** power).toPrecision(3)) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][power];
}

// A step curve as an area; of all values within a pixel the highest is drawn.
function curve(g, times, values, scale, view, base, perUnit) {
  let i = Math.max(firstWhere(times.length, (i) => times[i] > view.start) - 1, 0);
  let column = null;
  const flush = () => {
    if (!column) return;
    const top = base - column.value * perUnit;
    g.fillStyle = ink.memory;
    g.fillRect(column.from, top, column.to - column.from, base - top);
    g.fillStyle = ink["memory-edge"];
    if (column.value > 0) g.fillRect(column.from, top, column.to - column.from, 1.5);
  };
  for (; i < times.length && times[i] <= view.end; i++) {
    const from = snap(scale.x(Math.max(times[i], view.start)));
    const to = snap(scale.x(i + 1 < times.length ? Math.min(times[i + 1], view.end) : view.end));
    if (column && to - column.from <= 1) {
      column = { from: column.from, to, value: Math.max(column.value, values[i]) };
    } else {
      flush();
      column = { from, to, value: values[i] };
    }
  }
  flush();
}
