// What is drawn, and what one can do: point at a step, move it by keys, smooth, change the scale.

const SVG = "http://www.w3.org/2000/svg";
const charts = JSON.parse(document.getElementById("data").textContent);
const all = charts.flatMap((chart) => chart.curves.flatMap((curve) => [curve.x[0], curve.x[curve.x.length - 1]]));
const steps = [Math.min(...all), Math.max(...all)];

// The step that is pointed at, in all charts, or null; how much is smoothed.
const state = { step: null, smoothing: 0 };

const views = charts.map((chart, index) => {
  const figure = document.querySelector(`[data-chart="${index}"]`);
  const view = { chart, figure, plot: figure.querySelector(".plot"), readout: figure.querySelector(".readout"), isLog: false };
  if (chart.can_be_log) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("role", "switch");
    box.addEventListener("change", () => {
      view.isLog = box.checked;
      draw(view);
    });
    label.append(box, "logarithmic");
    figure.querySelector(".tools").append(label);
  }
  view.plot.addEventListener("pointermove", (event) => point(view, event));
  view.plot.addEventListener("pointerdown", (event) => point(view, event));
  view.plot.addEventListener("pointerleave", () => select(null));
  view.plot.addEventListener("keydown", (event) => press(view, event));
  new ResizeObserver(() => draw(view)).observe(view.plot);
  return view;
});

const slider = document.getElementById("smoothing");
slider.addEventListener("input", () => {
  state.smoothing = Number(slider.value);
  document.getElementById("smoothed").textContent = slider.value;
  views.forEach(draw);
});

function element(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// Colours repeat after eight; the dashes then tell curves apart.
function look(index) {
  const dashes = ["", "7 3", "2 3", "9 3 2 3"][Math.floor(index / 8) % 4];
  return { stroke: `var(--c${index % 8})`, ...(dashes ? { "stroke-dasharray": dashes } : {}) };
}

function draw(view) {
  const { chart, plot, isLog } = view;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  plot.replaceChildren();
  const values = ends(chart, isLog);
  if (!values || width === 0) return;
  const scale = (view.scale = scales(steps, values, isLog, width, height));
  const svg = element(plot, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const value of isLog ? logTicks(...values) : ticks(...values, 5)) {
    const y = scale.y(value);
    element(svg, "path", { class: "grid", d: `M${LEFT} ${y}H${width - RIGHT}` });
    element(svg, "text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, written(value, chart.unit));
  }
  for (const step of ticks(steps[0], Math.max(steps[1], steps[0] + 1), Math.max(Math.floor(width / 80), 1))) {
    if (!Number.isInteger(step) || step > steps[1]) continue;
    const x = scale.x(step);
    element(svg, "path", { class: "grid", d: `M${x} ${height - BOTTOM}v4` });
    element(svg, "text", { x: Math.min(x, width - 14), y: height - 6, "text-anchor": "middle" }, step);
  }
  chart.curves.forEach((curve, index) => {
    const isSmoothed = state.smoothing > 0 && !curve.is_sparse;
    const line = (kind, drawn) => element(svg, "path", { class: kind, d: path(curve, drawn, scale, isLog), ...look(index) });
    curve.drawn = isSmoothed ? smoothed(curve.y, state.smoothing) : curve.y;
    if (isSmoothed) line("curve raw", curve.y);
    line("curve", curve.drawn);
    if (curve.is_sparse || curve.x.length === 1) dots(svg, curve, scale, isLog, index);
  });
  view.cursor = element(svg, "g", {});
  show(view);
}

function dots(svg, curve, scale, isLog, index) {
  curve.x.forEach((step, place) => {
    const value = curve.y[place];
    if (value === null || (isLog && value <= 0)) return;
    element(svg, "circle", { cx: scale.x(step), cy: scale.y(value), r: 2.6, fill: `var(--c${index % 8})` });
  });
}

// The values at the step that is pointed at; without one, the last.
function show(view) {
  const { chart, cursor, readout, scale, isLog } = view;
  if (!cursor) return;
  cursor.replaceChildren();
  const step = state.step ?? steps[1];
  view.figure.dataset.step = state.step ?? "";
  if (state.step !== null) {
    const height = view.plot.clientHeight;
    element(cursor, "path", { class: "cursor", d: `M${scale.x(step)} ${TOP}V${height - BOTTOM}` });
  }
  const parts = [document.createElement("span")];
  parts[0].textContent = `step ${step}`;
  chart.curves.forEach((curve, index) => {
    const place = nearest(curve.x, step);
    const raw = curve.y[place];
    const value = curve.drawn[place];
    const part = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = `var(--c${index % 8})`;
    const at = curve.x[place] === step ? "" : ` at ${curve.x[place]}`;
    const beside = curve.drawn !== curve.y && raw !== null ? `, smoothed ${written(value, chart.unit)}` : "";
    const text = raw === null ? "not a number" : written(raw, chart.unit) + beside;
    part.append(swatch, `${curve.name} ${text}${at}`);
    parts.push(part);
    if (state.step !== null && value !== null && !(isLog && value <= 0)) {
      element(cursor, "circle", { cx: scale.x(curve.x[place]), cy: scale.y(value), r: 3.5, fill: `var(--c${index % 8})` });
    }
  });
  // The blanks are for people who listen.
  readout.replaceChildren(...parts.flatMap((part) => [part, " "]));
}

function select(step) {
  state.step = step;
  views.forEach(show);
}

function point(view, event) {
  const at = view.scale?.step(event.clientX - view.plot.getBoundingClientRect().left);
  if (at === undefined) return;
  const known = view.chart.curves[0].x;
  select(known[nearest(known, Math.min(Math.max(at, steps[0]), steps[1]))]);
}

function press(view, event) {
  const known = view.chart.curves[0].x;
  const now = nearest(known, state.step ?? steps[1]);
  const moves = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: known.length - 1 };
  if (event.key === "Escape") select(null);
  else if (event.key in moves) select(known[Math.min(Math.max(moves[event.key], 0), known.length - 1)]);
  else return;
  event.preventDefault();
}

// For scripts: where in the window a point of a curve is.
window.curves = {
  place(chart, curve, index) {
    const { plot, scale } = views[chart];
    const { left, top } = plot.getBoundingClientRect();
    const { x, y } = charts[chart].curves[curve];
    return { x: left + scale.x(x[index]), y: top + scale.y(y[index]) };
  },
};
