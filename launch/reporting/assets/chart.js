// A chart of lines over linear or logarithmic axes.

const CHARACTER = 6.6;
// Of names, which are bold.
const WIDE_CHARACTER = 7.4;
// Beside the lines; if one is longer, the letters stand there.
const LONGEST_NAME = 40;
const HEIGHT_OF_TEXT = 15;

// From a value to a place in pixels, and the places of ticks.
function scale(from, to, start, end, isLog) {
  const place = isLog ? Math.log10 : (value) => value;
  const span = place(to) - place(from) || 1;
  const at = (value) => start + (place(value) - place(from)) / span * (end - start);
  return { at, from, to, ticks: isLog ? logTicks(from, to) : linearTicks(from, to) };
}

function linearTicks(from, to, wanted = 5) {
  const rough = (to - from || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((unit) => unit * power).find((unit) => unit >= rough);
  const ticks = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n += 1) {
    ticks.push(Number((n * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(from, to) {
  const decades = Math.log10(to / from);
  const units = decades > 3 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const ticks = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power += 1) {
    for (const unit of units) {
      const tick = Number((unit * 10 ** power).toPrecision(3));
      if (tick >= from * (1 - 1e-9) && tick <= to * (1 + 1e-9)) ticks.push(tick);
    }
  }
  return ticks;
}

// Ticks whose labels do not touch the one before.
function apart(axis, format) {
  let end = -Infinity;
  return axis.ticks.filter((tick) => {
    const half = format(tick).length * CHARACTER / 2 + 3;
    if (axis.at(tick) - half < end) return false;
    end = axis.at(tick) + half;
    return true;
  });
}

// Moves labels apart, which are in the order of their wanted heights.
function spread(heights, least, most) {
  const places = [];
  for (const height of heights) {
    places.push(Math.max(height, places.length ? places[places.length - 1] + HEIGHT_OF_TEXT : least));
  }
  for (let n = places.length - 1; n >= 0; n -= 1) {
    const limit = n === places.length - 1 ? most : places[n + 1] - HEIGHT_OF_TEXT;
    places[n] = Math.min(places[n], limit);
  }
  return places;
}

function rangeOf(values, isLog) {
  const known = values.filter((value) => value !== null && (!isLog || value > 0));
  if (!known.length) return isLog ? [1, 10] : [0, 1];
  const [low, high] = known.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  if (low < high) return [low, high];
  return isLog ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
}

// A range with a little room at both ends.
function withRoom([from, to]) {
  const room = (to - from) * 0.04;
  return [from - room, to + room];
}

// Draws into `host`. A spec has `height`, `name` (what a screen reader says), `x` and `y`
// with `label`, `format`, `isLog`, `from` and `to`; `lines` with `points`, `number` and
// `label`; and perhaps `bands`, `goal`, `rings` and `cursor`.
function drawChart(host, spec) {
  const width = Math.max(host.clientWidth, 280);
  const labels = spec.lines.filter((line) => line.label);
  const isWide = width >= 700 && labels.every((line) => line.label.length <= LONGEST_NAME);
  const longest = Math.max(0, ...labels.map((line) => (isWide ? line.label : line.letter).length));
  const box = {
    left: 12 + CHARACTER * Math.max(3, ...[spec.y.from, spec.y.to].map((v) => spec.y.format(v).length)),
    right: width - 14 - (labels.length ? 8 + WIDE_CHARACTER * longest : 0),
    top: 26,
    bottom: spec.height - 40,
  };
  const x = scale(spec.x.from, spec.x.to, box.left, box.right, spec.x.isLog);
  const y = scale(spec.y.from, spec.y.to, box.bottom, box.top, spec.y.isLog);
  host.replaceChildren(svg("svg", { width, height: spec.height, role: "img", "aria-label": spec.name }, [
    ...drawAxes(spec, box, x, y),
    ...(spec.bands || []).map((points) => drawBand(points, x, y)),
    ...(spec.goal === undefined ? [] : drawGoal(spec, box, y)),
    ...(spec.cursor === undefined ? [] : drawCursor(spec.cursor, box, x)),
    ...spec.lines.flatMap((line) => drawLine(line, x, y)),
    ...(spec.rings || []).map((ring) => marker(0, x.at(ring.x), y.at(ring.y), "ring", 8)),
    ...drawLabels(labels, isWide, box, y),
  ]));
}

function drawAxes(spec, box, x, y) {
  const middle = (box.left + box.right) / 2;
  return [
    ...y.ticks.flatMap((tick) => [
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y.at(tick), y2: y.at(tick) }),
      svg("text", { class: "faint", x: box.left - 6, y: y.at(tick) + 4, "text-anchor": "end" }, spec.y.format(tick)),
    ]),
    ...apart(x, spec.x.format).flatMap((tick) => [
      svg("line", { class: "grid", x1: x.at(tick), x2: x.at(tick), y1: box.top, y2: box.bottom }),
      svg("text", { class: "faint", x: x.at(tick), y: box.bottom + 16, "text-anchor": "middle" }, spec.x.format(tick)),
    ]),
    svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    svg("line", { class: "axis", x1: box.left, x2: box.left, y1: box.top, y2: box.bottom }),
    svg("text", { x: middle, y: spec.height - 6, "text-anchor": "middle" }, spec.x.label),
    svg("text", { x: 4, y: 14 }, spec.y.label),
  ];
}

function drawLine(line, x, y) {
  const places = line.points
    .filter(([, value]) => value !== null && (!line.isLog || value > 0))
    .map(([a, b]) => [x.at(a), y.at(b)]);
  if (!places.length) return [];
  const path = places.map(([a, b], n) => `${n ? "L" : "M"}${a.toFixed(1)},${b.toFixed(1)}`).join("");
  const step = Math.max(1, Math.ceil(places.length / 7));
  // From different places, so that markers of lines that run together are beside each other.
  const marked = places.filter((_, n) => n % step === line.number % step || n === places.length - 1);
  return [
    svg("path", { class: "line", d: path, ...strokeOf(line.number) }),
    ...(line.isPlain ? [] : marked.map(([a, b]) => marker(line.number, a, b))),
  ];
}

function drawBand(points, x, y) {
  const known = points.filter((point) => point.every((value) => value !== null));
  const upper = known.map(([a, , high]) => `${x.at(a).toFixed(1)},${y.at(high).toFixed(1)}`);
  const lower = known.map(([a, low]) => `${x.at(a).toFixed(1)},${y.at(low).toFixed(1)}`).reverse();
  return svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") });
}

function drawGoal(spec, box, y) {
  const height = y.at(spec.goal);
  const isHigh = height < box.top + HEIGHT_OF_TEXT;
  return [
    svg("line", { class: "goal", x1: box.left, x2: box.right, y1: height, y2: height }),
    svg("text", { x: box.right - 6, y: height + (isHigh ? 15 : -6), "text-anchor": "end" }, `goal ${spec.y.format(spec.goal)}`),
  ];
}

function drawCursor(value, box, x) {
  const place = x.at(value);
  return [svg("line", { class: "cursor", x1: place, x2: place, y1: box.top - 6, y2: box.bottom })];
}

// Names at the ends of the lines.
function drawLabels(lines, isWide, box, y) {
  const known = lines
    .map((line) => ({ line, end: line.points.findLast(([, value]) => value !== null) }))
    .filter(({ end }) => end)
    .map(({ line, end }) => ({ line, height: y.at(end[1]) + 4 }))
    .sort((a, b) => a.height - b.height);
  const places = spread(known.map(({ height }) => height), box.top, box.bottom);
  return known.map(({ line }, n) => svg("text", {
    x: box.right + 10,
    y: places[n],
    style: `fill: var(--c${line.number % STYLES}); font-weight: 600`,
  }, isWide ? line.label : line.letter));
}
