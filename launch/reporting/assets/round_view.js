// One round of each method, from its first bit to its last.

const LEGS = ["computing", "catch-up down", "ballot up", "announcement down", "values up", "answer down", "latency"];
const KINDS = [["compute", "computing"], ["up", "up"], ["down", "down"], ["wait", "latency"]];
const BAR = 24;

// The place in a run's table of the last round kept that is not after `round`.
function placeOf(run, round) {
  const rounds = run.table.round;
  const after = rounds.findIndex((each) => each > round);
  return after < 0 ? rounds.length - 1 : Math.max(after - 1, 0);
}

// Gives cells of a row of a run's metrics.csv by the name of their column; 0 if there is none.
function rowOf(run, place) {
  const columns = new Map(run.table.columns);
  return (name) => {
    const column = columns.get(name);
    const value = Array.isArray(column) ? column[place] : column;
    return value === undefined || value === null ? 0 : value;
  };
}

function roundsOf(chosen, state) {
  return chosen.map((one) => {
    const place = placeOf(one.run, state.round);
    const parts = partsOfRound(one.run, rowOf(one.run, place), state.link);
    const total = parts.reduce((sum, part) => sum + part.seconds, 0);
    return { ...one, parts, total, round: one.run.table.round[place] };
  });
}

function drawStrips(state, rounds) {
  const host = byId("strips");
  const width = Math.max(host.clientWidth, 280);
  const longest = Math.max(...rounds.map((one) => one.total), LEAST);
  const height = 30 + rounds.length * 56;
  const bars = rounds.flatMap((one, n) => {
    const end = state.isOneScale ? longest : Math.max(one.total, LEAST);
    return drawStrip(one, 44 + n * 56, (width - 4) / end, width);
  });
  host.replaceChildren(svg("svg", {
    width, height, role: "img",
    "aria-label": "One round of each method as a bar of its parts; the table below has their seconds.",
  }, [patterns(), ...key(), ...bars]));
}

// Fills that can be told apart without colour.
function patterns() {
  const line = (d) => svg("path", { class: "hatch", d });
  const pattern = (kind, children) => svg("pattern", {
    id: `fill-${kind}`, width: 8, height: 8, patternUnits: "userSpaceOnUse",
  }, children);
  return svg("defs", {}, [
    pattern("compute", svg("circle", { class: "dot", cx: 4, cy: 4, r: 1.3 })),
    pattern("up", line("M-2,10L10,-2")),
    pattern("down", line("M-2,-2L10,10")),
  ]);
}

function key() {
  let left = 2;
  return KINDS.flatMap(([kind, text]) => {
    const start = left;
    left += 34 + text.length * CHARACTER;
    return [
      ...segment(kind, start, 4, 18, 13),
      svg("text", { x: start + 23, y: 15 }, text),
    ];
  });
}

function segment(kind, left, top, width, height) {
  const box = { x: left, y: top, width: Math.max(width, 0.5), height };
  return [svg("rect", {
    class: "segment", ...box, fill: kind === "wait" ? "none" : `url(#fill-${kind})`,
  })];
}

function drawStrip(one, top, pixels, width) {
  let left = 2;
  const head = `${one.letter} ${one.method.label}: ${secondsInWords(one.total)}`;
  const parts = one.parts.filter((part) => part.seconds > 0).flatMap((part) => {
    const start = left;
    const long = part.seconds * pixels;
    left += long;
    const drawn = segment(part.kind, start, top, long, BAR);
    drawn[0].append(svg("title", {}, `${part.leg}: ${secondsInWords(part.seconds)}`));
    return [...drawn, ...nameOfPart(part, start, long, top)];
  });
  const note = width < 560 ? "" : `, round ${one.round}`;
  return [svg("text", { x: 2, y: top - 6 }, head + note), ...parts];
}

// The name of a part inside it, if there is room.
function nameOfPart(part, start, long, top) {
  const wide = part.leg.length * CHARACTER + 6;
  if (long < wide + 6) return [];
  const middle = start + long / 2;
  return [
    svg("rect", { class: "plate", x: middle - wide / 2, y: top + 4, width: wide, height: 16 }),
    svg("text", { x: middle, y: top + 16, "text-anchor": "middle" }, part.leg),
  ];
}

function showLegs(rounds) {
  const used = LEGS.filter((leg) => rounds.some((one) => one.parts.some((part) => part.leg === leg && part.seconds > 0)));
  setTable(byId("legs"), [
    { text: "Method", kind: "words" },
    { text: "Round", kind: "number" },
    { text: "All", kind: "number" },
    ...used.map((leg) => ({ text: leg, kind: "number" })),
  ], rounds.map((one) => ({
    cells: [
      nameCell(one),
      { text: one.round.toLocaleString("en"), value: one.round },
      { text: secondsInWords(one.total), value: one.total },
      ...used.map((leg) => {
        const own = one.parts.filter((part) => part.leg === leg);
        const seconds = own.reduce((sum, part) => sum + part.seconds, 0);
        return seconds > 0 ? { text: secondsInWords(seconds), value: seconds } : null;
      }),
    ],
  })));
}
