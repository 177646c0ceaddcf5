// The matrix: the difference of each cell in the colours of its verdict.

const drawMatrix = (view, rows) => {
  const others = new Set(rows.map((row) => row.strategy).filter((label) => !data.alternating.includes(label)));
  byId("controls").parentElement.hidden = !others.size || Boolean(view.strategy);
  byId("controls-count").textContent = others.size;
  byId("controls").checked = view.controls === "1";
  const wanted = (label) => view.strategy || view.controls === "1" || !others.has(label);
  const columns = data.depths.map((depth) => [depth, data.strategies.filter((label) =>
    wanted(label) && rows.some((row) => row.depth === depth && row.strategy === label))]);
  const found = new Map(rows.map((row) => [JSON.stringify([row.dataset, row.depth, row.strategy]), row]));
  const shown = columns.filter(([, labels]) => labels.length);
  const heads = shown.map(([depth, labels]) =>
    element("th", { scope: "colgroup", colspan: labels.length }, `depth ${depth}`));
  const names = shown.flatMap(([, labels]) =>
    labels.map((label) => element("th", { scope: "col", title: label }, data.short[label])));
  const first = element("th", { scope: "col", rowspan: 2 }, "Data set");
  const head = element("thead", {}, element("tr", {}, first, ...heads), element("tr", {}, ...names));
  const body = element("tbody");
  for (const dataset of [...Object.keys(data.panels), ...data.datasets]) {
    if (view.dataset && dataset !== view.dataset) continue;
    const shownCells = shown.flatMap(([depth, labels]) =>
      labels.map((label) => matrixCell(view, found, [dataset, depth, label])));
    const name = element("th", { scope: "row" }, dataset in data.panels ? `mean of ${dataset}` : dataset);
    body.append(element("tr", dataset in data.panels ? { class: "mean" } : {}, name, ...shownCells));
  }
  const focused = document.activeElement?.dataset?.cell;
  const unitOfAll = rows.length ? ` (${unit(rows[0])})` : "";
  byId("matrix-words").textContent =
    `Difference in ${data.metrics[view.metric]}${unitOfAll} from ${view.reference}, ${data.budgets[view.budget]}.`;
  byId("matrix").replaceChildren(head, body);
  const buttons = [...byId("matrix").querySelectorAll("button")];
  const chosenCell = focused ?? JSON.stringify(view.cell);
  const chosen = buttons.find((button) => button.dataset.cell === chosenCell) ?? buttons[0];
  if (chosen) chosen.tabIndex = 0;
  if (focused && chosen) chosen.focus();
};
const matrixCell = (view, found, key) => {
  const row = found.get(JSON.stringify(key));
  if (!row) return element("td");
  const text = brief(row) + (row.dropped === "0" ? "" : "*");
  const frame = survivors.has(row) ? " survives" : "";
  const about = `${nameOf(key[0])}, depth ${key[1]}, ${key[2]}: ${inWords(row)}${frame && ", among all comparisons, too"}`;
  const look = { class: `verdict ${verdictOf(row).replaceAll(" ", "-")}${frame}`, title: about };
  const open = JSON.stringify(view.cell) === JSON.stringify(key);
  // one stop of the tabulator for the whole matrix; keys move in it
  const state = { type: "button", "aria-label": about, "aria-pressed": open, tabindex: -1 };
  const button = element("button", { ...look, ...state }, text);
  button.dataset.cell = JSON.stringify(key);
  return element("td", {}, button);
};
// from a cell of the matrix to the one that a key leads to
const MOVES = {
  ArrowDown: (cell) => inColumn(cell)[inColumn(cell).indexOf(cell) + 1],
  ArrowUp: (cell) => inColumn(cell)[inColumn(cell).indexOf(cell) - 1],
  ArrowRight: (cell) => inRow(cell)[inRow(cell).indexOf(cell) + 1],
  ArrowLeft: (cell) => inRow(cell)[inRow(cell).indexOf(cell) - 1],
  Home: (cell) => inRow(cell).at(0),
  End: (cell) => inRow(cell).at(-1),
  PageUp: (cell) => inColumn(cell).at(0),
  PageDown: (cell) => inColumn(cell).at(-1),
};
const withButton = (line) => line.filter((cell) => cell?.querySelector("button"));
const inRow = (cell) => withButton([...cell.parentElement.cells]);
const inColumn = (cell) => withButton([...byId("matrix").tBodies[0].rows].map((row) => row.cells[cell.cellIndex]));
byId("matrix").addEventListener("click", (event) => {
  const cell = event.target.closest("button")?.dataset.cell;
  if (cell) write({ cell });
});
byId("matrix").addEventListener("keydown", (event) => {
  const cell = event.target.closest("td");
  if (!(event.key in MOVES) || !cell) return;
  event.preventDefault();
  const next = MOVES[event.key](cell)?.querySelector("button");
  if (!next) return;
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
byId("explorer").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || byId("cell").hidden) return;
  byId("matrix").querySelector("[aria-pressed=true]")?.focus();
  write({ cell: "" });
});
byId("controls").addEventListener("change", (event) => write({ controls: event.target.checked ? "1" : "" }));
