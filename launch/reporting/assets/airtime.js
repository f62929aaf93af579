// How long rounds take on a link. For clients of one link it is what tff_gs.costs.links
// computes; a test compares both.
//
// A link has bandwidths `up` and `down` in bits a second, the `latency` of a message and
// the seconds `compute` of a minibatch gradient; `slowdown` is by how much the slowest
// node is slower than the others in computing, sending and receiving.

const BITS_OF_A_NUMBER = 32;
// In place of nothing, so that ratios are finite.
const LEAST = 1e-12;

// Seconds that rounds with these sums take: gradients `computing`, bits `up` and `down`,
// and `messages`, each of which has the latency.
function secondsOf(sums, link) {
  const up = link.up / link.slowdown;
  const down = link.down / link.slowdown;
  return link.compute * link.slowdown * sums.computing
    + sums.up / up
    + sums.down / down
    + link.latency * sums.messages;
}

// The sums of a run until its evaluation of that number.
function sumsUntil(run, number) {
  const { computing, up, down, messages } = run.evaluations;
  return {
    computing: computing[number],
    up: up[number],
    down: down[number],
    messages: messages[number],
  };
}

// What sending a bit up and a bit down takes, in units of all in a round that does not
// grow with the messages. It is all of a link that a rule for k sees.
function sendingRatio(link, trips) {
  const bit = link.slowdown / link.up + link.slowdown / link.down;
  const fixed = link.compute * link.slowdown + 2 * trips * link.latency;
  return bit / Math.max(fixed, LEAST);
}

// The beta of the normalised time with that ratio: D numbers up and D down take beta.
function betaOf(ratio, dimension) {
  return ratio * BITS_OF_A_NUMBER * dimension;
}

// The ratio that a run was made with; null if it is not known.
function ratioMadeWith(run) {
  if (run.link !== null) return sendingRatio({ ...run.link, slowdown: 1 }, run.trips);
  if (run.beta === null) return null;
  return run.beta / betaOf(1, run.dimension);
}

// Which of some runs of a method was made for the link that is nearest to `link`.
function nearestRun(runs, link) {
  let best = runs[0];
  let least = Infinity;
  for (const run of runs) {
    const ratio = ratioMadeWith(run);
    if (ratio === null) continue;
    const wanted = Math.max(sendingRatio(link, run.trips), LEAST);
    const distance = Math.abs(Math.log(Math.max(ratio, LEAST) / wanted));
    if (isMadeFor(run, link)) return run;
    if (distance < least) {
      best = run;
      least = distance;
    }
  }
  return best;
}

// Whether a run was made for exactly this link.
function isMadeFor(run, link) {
  return run.link !== null
    && run.is_alike
    && link.slowdown === 1
    && ["up", "down", "latency", "compute"].every((name) => run.link[name] === link[name]);
}

// The number of the first evaluation of a run that reaches a goal; -1 if none does.
function firstReaching(run, measureNumber, measure, goal) {
  return run.evaluations.values[measureNumber].findIndex((value) => value !== null
    && (measure.larger_is_better ? value >= goal : value <= goal));
}

// The parts of a round, in their order; `row` gives a column of metrics.csv by its name.
// A `kind` is compute, up, down or wait; a `leg` is the column of the table it counts in.
function partsOfRound(run, row, link) {
  const seconds = (sums) => secondsOf({ computing: 0, up: 0, down: 0, messages: 0, ...sums }, link);
  const clients = Math.max(row("clients"), 1);
  const ballot = Math.round(row("ballot_bits") / clients);
  const announced = row("announcement_bits");
  const values = Math.max(row("uplink_bits_max") - ballot, 0);
  const answer = row("downlink_bits") - announced + row("probe_downlink_bits");
  const caughtUp = row("catch_up_bits_max");
  const gradients = row("local_steps") + (row("k_probe") > 0 ? run.probe_share : 0);
  const wait = { kind: "wait", leg: "latency", seconds: seconds({ messages: 1 }) };
  const compute = { kind: "compute", leg: "computing", seconds: seconds({ computing: gradients }) };
  const up = (leg, bits) => ({ kind: "up", leg, seconds: seconds({ up: bits }) });
  const down = (leg, bits) => ({ kind: "down", leg, seconds: seconds({ down: bits }) });
  const first = caughtUp > 0 ? [wait, down("catch-up down", caughtUp)] : [];
  if (run.trips === 2) {
    return [...first, compute,
      up("ballot up", ballot), wait, wait, down("announcement down", announced),
      up("values up", values), wait, wait, down("answer down", answer)];
  }
  if (run.is_pipelined) {
    return [...first, compute,
      up("values up", values), up("ballot up", ballot), wait,
      wait, down("answer down", answer), down("announcement down", announced)];
  }
  return [...first, compute,
    up("values up", values), wait, wait, down("answer down", answer)];
}
