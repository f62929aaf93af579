// What is learned over time on a link, and what it takes to a goal.

// The methods, each with the run that is shown for it.
function chooseRuns(data, link) {
  return data.methods.map((method, number) => {
    const runs = method.runs.map((n) => data.runs[n]);
    const run = method.is_learned ? nearestRun(runs, link) : runs[0];
    return { number, letter: letterOf(number), method, run };
  });
}

function isExact({ method, run }, link) {
  return !method.is_learned || isMadeFor(run, link);
}

function exactnessInWords(run, link) {
  if (run.is_bound) return "at most this long: clients differ in what they compute or receive";
  if (link.slowdown > 1 && !run.sends_alike) return "at most this long: the slow node may send less than others";
  return "exact";
}

// Whether the seconds of a method are those of its rounds on a link, in words.
function standingInWords({ method, run }, link) {
  const exact = exactnessInWords(run, link);
  if (!method.is_learned) return exact;
  if (isExact({ method, run }, link)) return `${exact}; k was learned on this link`;
  const made = `k was learned ${madeForInWords(run)}`;
  return `not exact: ${made}. On this link the rule would choose another k`;
}

// What a method takes to a goal; null if it does not reach it.
function toGoal({ run }, measureNumber, measure, goal, link) {
  const number = firstReaching(run, measureNumber, measure, goal);
  if (number < 0) return null;
  const first = run.initial_bits === null ? 0 : run.initial_bits * run.clients;
  return {
    number,
    round: run.evaluations.round[number],
    value: run.evaluations.values[measureNumber][number],
    seconds: secondsOf(sumsUntil(run, number), link),
    up: run.evaluations.sent_up[number],
    down: run.evaluations.sent_down[number] + first,
  };
}

function pointsOf(run, measureNumber, link) {
  return run.evaluations.values[measureNumber].map(
    (value, number) => [secondsOf(sumsUntil(run, number), link), value],
  );
}

function drawCurves(state, data, chosen, reached) {
  const measure = data.measures[state.measure];
  const curves = chosen.map(({ run }) => pointsOf(run, state.measure, state.link));
  const points = curves.flat();
  const [from, to] = rangeOf(points.map(([x]) => x), state.isLog);
  const [least, most] = withRoom(rangeOf([...points.map(([, y]) => y), state.goal], false));
  const unit = unitOf(state.isLog ? Math.sqrt(from * to) : to);
  const lines = chosen.map((one, n) => ({
    number: one.number,
    letter: one.letter,
    label: `${one.letter} ${one.method.label}`,
    points: curves[n].filter(([x]) => !state.isLog || x > 0).map(([x, y]) => [x / unit.seconds, y]),
  }));
  drawChart(byId("curves"), {
    name: `Test ${measure.name} over time on this link, one line for each method; the table below says when each reaches the goal.`,
    height: 420,
    x: {
      label: `${unit.name} on this link`,
      format: (value) => withDigits(value, 3),
      isLog: state.isLog,
      from: state.isLog ? from / unit.seconds : 0,
      to: to / unit.seconds,
    },
    y: { label: `test ${measure.name}`, format: (v) => measureInWords(measure, v), isLog: false, from: least, to: most },
    lines,
    goal: state.goal,
    rings: reached.filter((one) => one && one.seconds > 0).map((one) => ({ x: one.seconds / unit.seconds, y: one.value })),
  });
}

function showGoals(state, data, chosen, reached) {
  const measure = data.measures[state.measure];
  const goal = measureInWords(measure, state.goal);
  const times = reached.map((one) => (one ? one.seconds : Infinity));
  const best = Math.min(...times);
  setTable(byId("goals"), [
    { text: "Method", kind: "words" },
    { text: `Time to ${goal}`, kind: "number" },
    { text: "Round", kind: "number" },
    { text: "MB up", kind: "number" },
    { text: "MB down", kind: "number" },
    { text: "Is it exact?", kind: "words wide" },
  ], chosen.map((one, n) => {
    const it = reached[n];
    const counted = it === null
      ? [`not reached; best ${bestInWords(one.run, state.measure, measure)}`, null, null, null]
      : [
        { text: secondsInWords(it.seconds), value: it.seconds },
        { text: it.round.toLocaleString("en"), value: it.round },
        { text: megabytesInWords(it.up), value: it.up / 8e6 },
        { text: megabytesInWords(it.down), value: it.down / 8e6 },
      ];
    return {
      cells: [nameCell(one), ...counted, standingInWords(one, state.link)],
      isBest: times[n] === best && best < Infinity,
    };
  }));
  byId("first").textContent = headline(chosen, times, goal, state.link);
}

function nameCell(one) {
  return [swatch(one.number), `${one.letter} ${one.method.label}`];
}

function bestInWords(run, measureNumber, measure) {
  const values = run.evaluations.values[measureNumber].filter((value) => value !== null);
  const best = measure.larger_is_better ? Math.max(...values) : Math.min(...values);
  return values.length ? measureInWords(measure, best) : "unknown";
}

function headline(chosen, times, goal, link) {
  const best = Math.min(...times);
  if (best === Infinity) return `No run reaches ${goal}.`;
  const first = chosen[times.indexOf(best)];
  const known = times.filter((time) => time < Infinity);
  const last = Math.max(...known);
  const note = isExact(first, link) ? "" : " (not exact)";
  const start = `First at ${goal}: ${first.letter} ${first.method.label}, after ${secondsInWords(best)}${note}`;
  if (last === best || best === 0) return `${start}.`;
  const slowest = chosen[times.indexOf(last)];
  return `${start}. ${slowest.letter} ${slowest.method.label} takes ${withDigits(last / best, 2)} times as long.`;
}
