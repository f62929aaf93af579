// Sliders that stop at given values; the keyboard moves them as the browser has it.

// Puts a slider into `host`. Returns `set`, which moves it without a call of `changed`, and
// `restop`, which gives it other stops.
function addSlider(host, { id, label, stops, value, format, changed }) {
  let values = stops;
  const input = html("input", { type: "range", id, min: 0, step: 1 });
  const output = html("output", { for: id });
  const show = () => {
    const text = format(values[input.value]);
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  const set = (wanted) => {
    let best = 0;
    values.forEach((stop, n) => {
      if (Math.abs(stop - wanted) < Math.abs(values[best] - wanted)) best = n;
    });
    input.value = best;
    show();
  };
  const restop = (others, wanted) => {
    values = others;
    input.max = values.length - 1;
    set(wanted);
  };
  input.addEventListener("input", () => {
    show();
    changed(values[input.value]);
  });
  host.append(html("div", { class: "control" }, [html("label", { for: id }, [label, output]), input]));
  restop(stops, value);
  return { set, restop };
}

function setOptions(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => html("option", { value }, text)));
  select.value = chosen;
}

// Fills a table. A cell is text or elements; or {text, value} with the number that it says.
function setTable(table, heads, rows) {
  table.replaceChildren(
    html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col", class: head.kind }, head.text)))),
    html("tbody", {}, rows.map(({ cells, isBest }) => html("tr", isBest ? { class: "best" } : {}, cells.map((cell, n) => {
      const name = n === 0 ? "th" : "td";
      const attributes = { class: heads[n].kind, ...(n === 0 ? { scope: "row" } : {}) };
      if (cell === null || typeof cell !== "object" || cell instanceof Node || Array.isArray(cell)) {
        return html(name, attributes, cell === null ? "–" : cell);
      }
      return html(name, { ...attributes, "data-value": cell.value }, cell.text);
    })))),
  );
}
