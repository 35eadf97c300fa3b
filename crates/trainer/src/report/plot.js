// From figures to paths: scales, ticks, smoothing, and no more points than a screen can show.

const LEFT = 58;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 22;

const POWERS = ["", " k", " M", " G", " T", " P", " E"];

// A value to three or four digits, in the chart's unit.
function written(value, unit) {
  if (unit === "percent") return Number((100 * value).toPrecision(4)) + "%";
  if (unit === "number") {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  }
  let power = 0;
  let rest = value;
  while (Math.abs(rest) >= 999.5 && power < POWERS.length - 1) {
    rest /= 1000;
    power += 1;
  }
  return Number(rest.toPrecision(3)) + (POWERS[power] || (unit === "bytes" ? " " : "")) + (unit === "bytes" ? "B" : "");
}

// A moving average that forgets by the same factor at every point, without the pull of its start.
function smoothed(values, factor) {
  if (factor === 0) return values;
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = factor * sum + (1 - factor) * value;
    weight = factor * weight + (1 - factor);
    return sum / weight;
  });
}

// Round values between two ends: multiples of 1, 2 or 5 times a power of ten.
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * (1 - 1e-9)) ?? 10 * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}

// Powers of ten, and where those are few, twice and five times of them.
function logTicks(low, high) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = to - from <= 2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil((to - from) / 6));
  const found = [];
  for (let power = from; power <= to; power += every) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) found.push(value);
    }
  }
  return found;
}

// The values that are drawn: on a logarithmic scale, what is above 0.
function ends(chart, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (const curve of chart.curves) {
    for (const value of curve.y) {
      if (value === null || (isLog && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return null;
  if (isLog) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.05, high * (high / low) ** 0.05];
  if (chart.from_zero && low >= 0) return [0, high > 0 ? high * 1.08 : 1];
  const around = low === high ? Math.abs(low) / 10 || 1 : (high - low) * 0.06;
  return [low - around, high + around];
}

// Where steps and values lie in a plot of this size.
function scales(steps, values, isLog, width, height) {
  const [first, last] = steps;
  const inner = Math.max(width - LEFT - RIGHT, 1);
  const span = Math.max(last - first, 1);
  const y = isLog ? Math.log : Number;
  const [low, high] = values.map(y);
  return {
    x: (step) => LEFT + ((step - first) / span) * inner,
    step: (x) => first + ((x - LEFT) / inner) * span,
    y: (value) => TOP + (1 - (y(value) - low) / (high - low)) * (height - TOP - BOTTOM),
  };
}

// A line through the points, with a gap where there is none. Of many points in a column of the screen
// the first, the lowest, the highest and the last are kept: what is drawn is the same.
function path(curve, values, scale, isLog) {
  let text = "";
  let isOpen = false;
  let column = [];
  const flush = () => {
    if (column.length === 0) return;
    const [first, last] = [column[0], column[column.length - 1]];
    const by = (less) => column.reduce((best, point) => (less(point.y, best.y) ? point : best));
    const kept = new Set([first, by((a, b) => a < b), by((a, b) => a > b), last]);
    for (const point of [...kept].sort((a, b) => a.x - b.x)) {
      text += `${isOpen ? "L" : "M"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
      isOpen = true;
    }
    column = [];
  };
  curve.x.forEach((step, index) => {
    const value = values[index];
    if (value === null || (isLog && value <= 0)) {
      flush();
      isOpen = false;
      return;
    }
    const point = { x: scale.x(step), y: scale.y(value) };
    if (column.length > 0 && Math.floor(point.x) !== Math.floor(column[0].x)) flush();
    column.push(point);
  });
  flush();
  return text;
}

// The index of the point that is nearest to a step.
function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
}
