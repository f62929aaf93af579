// Numbers in words.

function withDigits(value, digits) {
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

function rateInWords(bitsPerSecond) {
  if (bitsPerSecond >= 1e6) return `${withDigits(bitsPerSecond / 1e6, 4)} Mbit/s`;
  if (bitsPerSecond >= 1e3) return `${withDigits(bitsPerSecond / 1e3, 4)} kbit/s`;
  return `${withDigits(bitsPerSecond, 4)} bit/s`;
}

function secondsInWords(seconds) {
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${withDigits(seconds * 1e3, 3)} ms`;
  if (seconds < 100) return `${withDigits(seconds, 3)} s`;
  if (seconds < 6000) return `${withDigits(seconds / 60, 3)} min`;
  if (seconds < 172800) return `${withDigits(seconds / 3600, 3)} h`;
  return `${withDigits(seconds / 86400, 3)} days`;
}

function megabytesInWords(bits) {
  return withDigits(bits / 8e6, 3);
}

function measureInWords(measure, value) {
  return measure.is_share ? `${withDigits(value * 100, 3)}%` : withDigits(value, 3);
}

// A cell of metrics.csv.
function cellInWords(value) {
  if (value === null) return "–";
  return Number.isInteger(value) ? value.toLocaleString("en") : withDigits(value, 5);
}

function linkInWords(link) {
  const rates = link.up === link.down
    ? `${rateInWords(link.up)} both ways`
    : `${rateInWords(link.up)} up, ${rateInWords(link.down)} down`;
  return `${rates}, ${secondsInWords(link.latency)} latency, ${secondsInWords(link.compute)} a gradient`;
}

// The link that a run was made for.
function madeForInWords(run) {
  return `${run.shown}${run.link === null ? "" : linkInWords(run.link)}`;
}

// The unit of an axis on which `seconds` is a usual time.
function unitOf(seconds) {
  if (seconds < 90) return { seconds: 1, name: "seconds" };
  if (seconds < 7200) return { seconds: 60, name: "minutes" };
  return { seconds: 3600, name: "hours" };
}
