// The schedules as the script needs them: columns over all actions of a chart, numbered through
// its ranks, and for each rank what is drawn where. Nothing here draws.

const NAMES = {
  F: "Forward", R: "Recompute", I: "Backward of the input", W: "Backward of the weights",
  B: "Full backward", O: "Forward and backward together", C: "Communication",
  G: "Collective", S: "Optimizer step",
};
// What goes on beside a rank's computations; it has a narrow strip of its own below them.
const BESIDE = "CG";

function loadChart(raw, index) {
  const chart = {
    index, title: raw.title, ranks: [], name: [], look: "", rank: [], start: [], end: [], slack: [],
    waits: [], feeds: [], critical: raw.critical, isCritical: null, hasBeside: false,
  };
  for (const [rank, row] of raw.ranks.entries()) {
    const first = chart.name.length;
    const names = row.actions ? row.actions.split(" ") : [];
    for (let step = 0; step < names.length; step++) {
      chart.name.push(names[step]);
      chart.rank.push(rank);
      chart.start.push(row.start[step]);
      chart.end.push(row.end[step]);
      chart.slack.push(row.slack[step]);
      chart.waits.push(row.waits[step] ?? []);
      chart.feeds.push([]);
    }
    chart.look += row.looks;
    const ids = names.map((_, step) => first + step);
    const isBeside = (id) => BESIDE.includes(row.looks[id - first]);
    chart.ranks.push({
      first, count: names.length,
      main: lane(chart, ids.filter((id) => !isBeside(id))),
      beside: lane(chart, ids.filter(isBeside)),
      time: row.time, activations: row.activations, bytes: row.bytes,
    });
    chart.hasBeside ||= ids.some(isBeside);
  }
  for (const [id, waits] of chart.waits.entries()) for (const cause of waits) chart.feeds[cause].push(id);
  chart.isCritical = new Uint8Array(chart.name.length);
  for (const id of chart.critical) chart.isCritical[id] = 1;
  return chart;
}

// Actions by start. `reach` is the latest end so far, which never falls, so that the first action
// of a window can be searched for even where actions overlap.
function lane(chart, ids) {
  ids.sort((a, b) => chart.start[a] - chart.start[b] || a - b);
  let latest = -Infinity;
  const reach = ids.map((id) => (latest = Math.max(latest, chart.end[id])));
  return { ids, reach };
}

// The first index at which the condition holds, given that it holds for all behind it.
function firstWhere(length, holds) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle; else low = middle + 1;
  }
  return low;
}

// The action of a lane at a time, give or take; of several the one that started last.
function actionAt(chart, lane, time, tolerance) {
  let best = null, distance = Infinity;
  let i = firstWhere(lane.ids.length, (i) => lane.reach[i] >= time - tolerance);
  for (; i < lane.ids.length && chart.start[lane.ids[i]] <= time + tolerance; i++) {
    const id = lane.ids[i];
    const away = Math.max(chart.start[id] - time, time - chart.end[id], 0);
    if (away <= Math.min(distance, tolerance)) { best = id; distance = away; }
  }
  return best;
}

// The value of a step curve at a time.
function valueAt(times, values, time) {
  const after = firstWhere(times.length, (i) => times[i] > time);
  return after > 0 ? values[after - 1] : 0;
}

// A number as a person reads it.
function short(value) {
  if (value === 0 || Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  return String(Number(value.toPrecision(6)));
}

// Round steps of an axis: 1, 2 or 5 times a power of ten.
function tickStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? 10 * power;
}
