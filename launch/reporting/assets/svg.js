// Elements of the page and of drawings. Text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const STYLES = 7;
const DASHES = ["", "9 4", "2 3", "12 3 2 3", "5 2", "16 4", "1 5"];

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  element.append(...[children].flat());
  return element;
}

function html(name, attributes = {}, children = []) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, children = []) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function letterOf(number) {
  return number < 26 ? String.fromCharCode(65 + number) : `A${number - 25}`;
}

// Colour, dashes and marker of the line of that number.
function strokeOf(number) {
  return {
    style: `stroke: var(--c${number % STYLES})`,
    "stroke-dasharray": DASHES[(number + Math.floor(number / STYLES)) % DASHES.length],
  };
}

const MARKERS = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0,${-1.3 * r}l${1.2 * r},${2.2 * r}h${-2.4 * r}z`,
  (r) => `M0,${-1.4 * r}l${1.4 * r},${1.4 * r}l${-1.4 * r},${1.4 * r}l${-1.4 * r},${-1.4 * r}z`,
  (r) => `M0,${1.3 * r}l${1.2 * r},${-2.2 * r}h${-2.4 * r}z`,
  (r) => `M${-r},${-r}l${2 * r},${2 * r}M${r},${-r}l${-2 * r},${2 * r}`,
  (r) => `M${-1.2 * r},0h${2.4 * r}M0,${-1.2 * r}v${2.4 * r}`,
];

function marker(number, x, y, kind = "mark", radius = 4) {
  return svg("path", {
    class: kind,
    d: MARKERS[number % MARKERS.length](radius),
    transform: `translate(${x},${y})`,
    style: `stroke: var(--c${number % STYLES})`,
  });
}

// A short piece of a line, for tables.
function swatch(number) {
  return svg("svg", { width: 36, height: 14, "aria-hidden": "true" }, [
    svg("line", { class: "line", x1: 1, x2: 35, y1: 7, y2: 7, ...strokeOf(number) }),
    marker(number, 18, 7),
  ]);
}
