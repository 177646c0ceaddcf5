// The view lives in the address after the #; every control writes it there, and `show` draws what it says.

const CHOICES = [...data.filters, "clock", "quantity"];
// a link to a part of the page leaves the view as it is
let viewed = "";
const address = () => {
  const hash = location.hash.slice(1);
  if (!hash || hash.includes("=")) viewed = hash;
  return new URLSearchParams(viewed);
};
const read = () => {
  const view = Object.fromEntries(address());
  // who has chosen no cell sees the primary comparison
  view.cell ??= JSON.stringify(data.start.cell);
  try {
    view.cell = JSON.parse(view.cell).map(String);
  } catch {
    view.cell = null;
  }
  return view;
};
const write = (changes) => {
  const words = address();
  for (const [name, value] of Object.entries(changes)) words.set(name, value);
  location.hash = words;
};
const offer = (name, view, options) => {
  const wanted = options.some(([value]) => value === view[name]) ? view[name] : null;
  const usual = options.find(([value]) => value === data.start[name]) ?? options[0];
  view[name] = wanted ?? usual[0];
  fillSelect(name, options, view[name]);
};
const distinct = (rows, name) => [...new Set(rows.map((row) => row[name]))];
// a control that only ends earlier is standard training at any budget but its own end
const hasEnd = (label, budget) => budget === "own" || !data.shorter.includes(label);
// only what the table has can be chosen; returns the rows of the matrix
const offerAll = (view) => {
  const every = (values) => [["", "all"], ...values.map((value) => [value, value])];
  offer("dataset", view, every(data.datasets));
  offer("depth", view, every(data.depths));
  offer("strategy", view, every(data.strategies));
  let rows = comparisons.rows;
  for (const name of ["recipe", "reference", "budget", "metric"]) {
    const labels = { budget: data.budgets, metric: data.metrics }[name] ?? {};
    const sensible = (value) => name !== "budget" || [view.reference, view.strategy].every((label) => hasEnd(label, value));
    offer(name, view, distinct(rows, name).filter(sensible).map((value) => [value, labels[value] ?? value]));
    rows = rows.filter((row) => row[name] === view[name]);
  }
  byId("recipe").parentElement.hidden = byId("recipe").length < 2;
  offer("clock", view, Object.entries(data.clocks).map(([value, clock]) => [value, clock.label]));
  offer("quantity", view, Object.entries(data.quantities));
  const chosen = (row) => ["depth", "strategy"].every((name) => !view[name] || row[name] === view[name]);
  return rows.filter((row) => chosen(row) && hasEnd(row.strategy, row.budget));
};
