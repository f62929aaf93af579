// The state of the page, and what changes it.

const data = JSON.parse(byId("data").textContent);
const state = {
  link: { ...data.start, slowdown: 1 },
  measure: 0,
  goal: 0,
  isLog: true,
  isOneScale: false,
  round: 1,
  run: null,
  column: null,
};
const sliders = {};

// Values of a measure that a goal may have: from the worst to the best of all runs.
function goalStops(number) {
  const values = data.runs.flatMap((run) => run.evaluations.values[number]);
  const [low, high] = rangeOf(values, false);
  const step = 10 ** Math.floor(Math.log10((high - low) / 30));
  const stops = [];
  for (let n = Math.ceil(low / step); n * step <= high; n += 1) {
    stops.push(Number((n * step).toPrecision(10)));
  }
  return stops.length ? stops : [low];
}

// Near to the best that three of four methods reach on the link.
function usualGoal(number, stops) {
  const { larger_is_better: isUp } = data.measures[number];
  const best = chooseRuns(data, state.link)
    .map(({ run }) => run.evaluations.values[number].filter((value) => value !== null))
    .filter((values) => values.length)
    .map((values) => (isUp ? Math.max(...values) : Math.min(...values)))
    .sort((a, b) => (isUp ? a - b : b - a));
  const reached = best[Math.floor((best.length - 1) / 4)];
  const within = stops.filter((stop) => (isUp ? stop <= reached : stop >= reached));
  if (!within.length) return stops[0];
  return isUp ? within[within.length - 1] : within[0];
}

function showLink() {
  const ratio = sendingRatio(state.link, 1);
  const beta = ` In the paper's normalised time this is about beta = ${withDigits(betaOf(ratio, data.dimension), 3)}: `
    + "how long the full model takes up and down, compared with all else of a round.";
  byId("link-words").textContent = `${linkInWords(state.link)}`
    + `${state.link.slowdown > 1 ? `, and one node ${withDigits(state.link.slowdown, 3)} times slower` : ""}.${beta}`;
  for (const [n, button] of [...byId("presets").children].entries()) {
    const { up, down, latency } = data.presets[n];
    const isChosen = state.link.up === up && state.link.down === down && state.link.latency === latency;
    button.setAttribute("aria-pressed", isChosen);
  }
}

function refresh() {
  const chosen = chooseRuns(data, state.link);
  const measure = data.measures[state.measure];
  const reached = chosen.map((one) => toGoal(one, state.measure, measure, state.goal, state.link));
  showLink();
  showGoals(state, data, chosen, reached);
  drawCurves(state, data, chosen, reached);
  const rounds = roundsOf(chosen, state);
  drawStrips(state, rounds);
  showLegs(rounds);
  if (state.run === null) {
    const learned = chosen.find((one) => one.method.is_learned) || chosen[0];
    byId("run").value = data.runs.indexOf(learned.run);
  }
  const run = data.runs[byId("run").value];
  showColumns(state, run);
  drawRule(state, run);
  showRound(state, run);
}

function addLinkControls() {
  const format = { up: rateInWords, down: rateInWords, latency: secondsInWords, compute: secondsInWords,
    slowdown: (factor) => (factor === 1 ? "as the others" : `${withDigits(factor, 3)} times slower`) };
  const labels = { up: "Up", down: "Down", latency: "Latency", compute: "Computing",
    slowdown: "Slowest node" };
  for (const [name, label] of Object.entries(labels)) {
    sliders[name] = addSlider(byId("link-controls"), {
      id: name, label, stops: data.stops[name], value: state.link[name], format: format[name],
      changed: (value) => {
        state.link = { ...state.link, [name]: value };
        refresh();
      },
    });
  }
  for (const preset of data.presets) {
    const button = html("button", { type: "button" }, `${preset.name}, ${rateInWords(preset.up)}`);
    button.addEventListener("click", () => {
      const { up, down, latency } = preset;
      state.link = { ...state.link, up, down, latency };
      for (const name of ["up", "down", "latency"]) sliders[name].set(preset[name]);
      refresh();
    });
    byId("presets").append(button);
  }
}

function addGoalControls() {
  setOptions(byId("measure"), data.measures.map(({ name }, n) => [n, `test ${name}`]), 0);
  const stops = goalStops(0);
  state.goal = usualGoal(0, stops);
  sliders.goal = addSlider(byId("goal-control"), {
    id: "goal", label: "Goal", stops, value: state.goal,
    format: (value) => measureInWords(data.measures[state.measure], value),
    changed: (value) => {
      state.goal = value;
      refresh();
    },
  });
  byId("measure").addEventListener("change", () => {
    state.measure = Number(byId("measure").value);
    const others = goalStops(state.measure);
    state.goal = usualGoal(state.measure, others);
    sliders.goal.restop(others, state.goal);
    refresh();
  });
}

function addRoundControls() {
  const last = Math.max(...data.runs.map((run) => run.rounds));
  state.round = Math.max(1, Math.round(last / 2));
  const stops = Array.from({ length: last }, (_, n) => n + 1);
  // One where the round is drawn, and one where the rule is: they move together.
  const both = ["round", "rule-round"].map((id) => addSlider(byId(`${id}-control`), {
    id, label: "Round", stops, value: state.round,
    format: (value) => `${value.toLocaleString("en")} of ${last.toLocaleString("en")}`,
    changed: (value) => {
      state.round = value;
      both.forEach((slider) => slider.set(value));
      refresh();
    },
  }));
  const switches = { "log-time": "isLog", "one-scale": "isOneScale" };
  for (const [id, name] of Object.entries(switches)) {
    byId(id).addEventListener("change", () => {
      state[name] = byId(id).checked;
      refresh();
    });
  }
}

function addRunControls() {
  const names = data.methods.flatMap((method, n) => method.runs.map(
    (number) => [number, `${letterOf(n)} ${method.label} (${data.runs[number].name})`],
  ));
  setOptions(byId("run"), names, names[0][0]);
  byId("run").addEventListener("change", () => {
    state.run = Number(byId("run").value);
    refresh();
  });
  byId("column").addEventListener("change", () => {
    state.column = byId("column").value;
    refresh();
  });
}

function showRuns() {
  const methodOf = (number) => data.methods.findIndex((method) => method.runs.includes(number));
  setTable(byId("runs"), [
    { text: "Directory", kind: "words" }, { text: "Method", kind: "words" }, { text: "Rounds", kind: "number" },
    { text: "Clients of a round", kind: "number" }, { text: "State", kind: "words" }, { text: "Made for", kind: "words wide" },
    { text: "Flags", kind: "words" },
  ], data.runs.map((run, number) => ({
    cells: [
      run.name,
      letterOf(methodOf(number)),
      run.rounds.toLocaleString("en"),
      run.clients.toLocaleString("en"),
      (run.is_complete ? "complete" : "not complete")
        + (run.evaluations.is_thinned ? "; some evaluations are left out here" : ""),
      madeForInWords(run),
      html("details", {}, [
        html("summary", {}, "flags"),
        ...run.flags.map(([name, text]) => html("div", {}, `--${name}=${text}`)),
      ]),
    ],
  })));
}

function begin() {
  document.title = `Training over links: ${data.task}`;
  byId("title").textContent = document.title;
  addLinkControls();
  addGoalControls();
  addRoundControls();
  addRunControls();
  showRuns();
  refresh();
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    refresh();
  });
}

begin();
