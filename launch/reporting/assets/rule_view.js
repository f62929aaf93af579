// What the rule for k saw, round by round, in one run.

// Columns of metrics.csv and what they are; docs/files.md says it of all.
const SEEN = new Map([
  ["k", "entries that a client sends"],
  ["k_probe", "k', what the round was compared with; 0: nothing was probed"],
  ["sign", "1: a smaller k is better, -1: a larger one, 0: neither, or not defined"],
  ["sign_defined", "1 if the sign is defined"],
  ["update_elasticity", "e: percent more progress for one percent more entries"],
  ["mean_wait", "W: rounds that an entry waited until it was sent"],
  ["round_time", "theta(k), in the run's own model of time"],
  ["probe_time", "theta(k'), likewise"],
  ["loss_before", "L0: loss of the probe's examples before the round"],
  ["loss_after", "L1: after it"],
  ["loss_probe", "L1': after it, had it been run with k'"],
  ["training_loss", "mean of the clients' minibatch losses before the round"],
  ["kappa", "ranks that were selected whole"],
  ["ballot_ranks", "r: coordinates that each client nominated"],
  ["short_union", "1 if the ballots held fewer than k coordinates"],
  ["overlap", "clients that sent a selected coordinate, on average"],
  ["contributed_min", "selected entries of the client that has fewest"],
  ["contributed_median", "the median over clients"],
  ["contributed_max", "of the client that has most"],
]);
const FIRST_SHOWN = ["update_elasticity", "loss_before", "sign", "training_loss"];

function columnsOf(run) {
  return run.table.columns.map(([name]) => name);
}

function columnOf(run, name) {
  const [, column] = run.table.columns.find(([each]) => each === name) || [name, null];
  return Array.isArray(column) ? column : run.table.round.map(() => column);
}

function showColumns(state, run) {
  const known = columnsOf(run).filter((name) => name !== "k");
  const seen = known.filter((name) => SEEN.has(name));
  const others = known.filter((name) => !SEEN.has(name));
  if (!known.includes(state.column)) {
    state.column = FIRST_SHOWN.find((name) => known.includes(name)) || known[0];
  }
  setOptions(byId("column"), [...seen, ...others].map((name) => [name, name]), state.column);
}

function overRounds(host, run, state, { name, label, columns, names = [], bands = [] }) {
  const rounds = run.table.round;
  const values = columns.flatMap((column) => column);
  const [low, high] = rangeOf(values, false);
  const isLog = low > 0 && high > 20 * low;
  const [from, to] = isLog ? rangeOf(values, true) : withRoom(rangeOf(values, false));
  drawChart(host, {
    name,
    height: 220,
    x: {
      label: "round",
      format: (value) => value.toLocaleString("en"),
      isLog: false,
      from: rounds[0],
      to: Math.max(rounds[rounds.length - 1], rounds[0] + 1),
    },
    y: { label, format: (value) => withDigits(value, 3), isLog, from, to },
    lines: columns.map((column, n) => ({
      number: n,
      letter: names[n],
      label: names[n],
      isPlain: true,
      isLog,
      points: rounds.map((round, i) => [round, column[i]]),
    })),
    bands,
    cursor: rounds[placeOf(run, state.round)],
  });
}

function drawRule(state, run) {
  const own = (name) => columnOf(run, name);
  const rounds = run.table.round;
  byId("k-caption").textContent = `k, of D = ${run.dimension.toLocaleString("en")}`;
  overRounds(byId("k-chart"), run, state, { name: "k over rounds", label: "entries", columns: [own("k")] });
  byId("column-caption").textContent = state.column;
  overRounds(byId("column-chart"), run, state, {
    name: `${state.column} over rounds`, label: SEEN.get(state.column) || "", columns: [own(state.column)],
  });
  const [least, median, most] = ["contributed_min", "contributed_median", "contributed_max"].map(own);
  overRounds(byId("contributed-chart"), run, state, {
    name: "Selected entries of a client over rounds: the least, the median and the most",
    label: "entries",
    columns: [median, least, most],
    names: ["median", "least", "most"],
    bands: [rounds.map((round, n) => [round, least[n], most[n]])],
  });
  drawClients(run);
}

// What clients contributed in all rounds, in ascending order.
function drawClients(run) {
  const host = byId("clients-chart");
  const values = run.contributed;
  byId("clients-caption").textContent = values === null
    ? "Each client over the whole run: the run has no clients.csv"
    : "Each client over the whole run: selected entries a round, in ascending order";
  host.replaceChildren();
  if (values === null) return;
  const [, most] = rangeOf([0, ...values], false);
  drawChart(host, {
    name: "Selected entries a round of each client, on average over the run, in ascending order",
    height: 220,
    x: { label: "clients, in percent", format: (value) => `${value}`, isLog: false, from: 0, to: 100 },
    y: { label: "entries a round", format: (value) => withDigits(value, 3), isLog: false, from: 0, to: most },
    lines: [{
      number: 0,
      isPlain: values.length > 30,
      points: values.flatMap((value, n) => [[100 * n / values.length, value], [100 * (n + 1) / values.length, value]]),
    }],
  });
}

function showRound(state, run) {
  const place = placeOf(run, state.round);
  const cells = (name) => columnOf(run, name)[place];
  byId("seen-heading").textContent = `Round ${run.table.round[place]} of ${run.rounds} of ${run.name}`;
  const seen = columnsOf(run).filter((name) => SEEN.has(name));
  setTable(byId("seen"), [
    { text: "Column", kind: "words" }, { text: "Value", kind: "number" }, { text: "What it is", kind: "words wide" },
  ], seen.map((name) => ({ cells: [name, { text: cellInWords(cells(name)), value: cells(name) }, SEEN.get(name)] })));
  setTable(byId("all-columns"), [
    { text: "Column", kind: "words" }, { text: "Value", kind: "number" },
  ], columnsOf(run).map((name) => ({ cells: [name, cellInWords(cells(name))] })));
}
