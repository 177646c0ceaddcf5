// The first screen's learning curves: several strategies on one data set.

const { depth: firstDepth, strategies: firstStrategies } = data.first;
const heldBy = (label) => data.datasets.filter((dataset) => data.cells[dataset]?.[firstDepth]?.[label]);
// those that are drawn at first have the first colours
const overlaid = [...firstStrategies, ...data.strategies.filter((label) => !firstStrategies.includes(label))].filter(
  (label) => heldBy(label).length);
const DASHES = [[1, 0], [6, 3], [1, 0], [2, 2], [8, 2, 2, 2]];
const looks = overlaid.map((label, place) => ({ label, colour: `--series-${place % 8}`, dash: DASHES[place % DASHES.length] }));

const drawFirst = async () => {
  const view = Object.fromEntries(["dataset", "clock", "quantity"].map((name) => [name, byId(`first-${name}`).value]));
  const chosen = looks.filter(({ label }) => byId("first-legend").querySelector(`[value="${CSS.escape(label)}"]`).checked);
  const held = chosen.filter(({ label }) => heldBy(label).includes(view.dataset));
  const parts = await Promise.all(held.map(({ label }) => tablesOf(view.dataset, firstDepth, label)));
  const rows = parts.flatMap(({ epochs }) => epochs.rows.filter((row) => row.recipe === data.start.recipe));
  files["first-curves"] = csv(parts[0]?.epochs.header ?? "", rows);
  byId("first-curves").dataset.name = `${view.dataset}-depth${firstDepth}`.replace(/[^\w.-]+/g, "_");
  const values = curveRows(view, rows);
  const words = {
    strategies: held.map(({ label }) => label), colours: held.map((look) => colour(look.colour)),
    dashes: held.map(({ dash }) => dash), legend: null, lines: [view.dataset, `depth ${firstDepth}`], height: 270,
    clock: data.clocks[view.clock].label, format: data.clocks[view.clock].format,
    quantity: data.quantities[view.quantity], subtitle: `${data.quantities[view.quantity]} over ${data.clocks[view.clock].label}`,
  };
  await drawChart("first-curves", values, words, `Learning curves. ${endsInWords(held, values)}`, "curves");
  byId("first-ends").textContent = endsInWords(held, values);
  byId("first-curves").dataset.ready = JSON.stringify(view);
};
// where the curves end, in words
const endsInWords = (held, values) => {
  const ended = held.map(({ label }) => {
    const mine = values.filter((row) => row.strategy === label);
    const last = Math.max(...mine.map((row) => row.at));
    const reached = mine.filter((row) => row.at === last && row.value !== null).map((row) => row.value);
    return reached.length ? `${label} ${(reached.reduce((sum, value) => sum + value) / reached.length).toFixed(1)}` : `${label} nowhere`;
  });
  return ended.length ? `The means end at: ${ended.join(", ")}.` : "No strategy is chosen.";
};
const offerFirst = () => {
  const datasets = data.datasets.filter((dataset) => overlaid.some((label) => heldBy(label).includes(dataset)));
  byId("first-curves").hidden = !datasets.length;
  if (!datasets.length) return;
  const dataset = datasets.includes(data.first.dataset) ? data.first.dataset : datasets[0];
  fillSelect("first-dataset", datasets.map((name) => [name, name]), dataset);
  fillSelect("first-clock", Object.entries(data.clocks).map(([name, clock]) => [name, clock.label]), data.first.clock);
  fillSelect("first-quantity", Object.entries(data.quantities), Object.keys(data.quantities)[0]);
  const boxes = looks.map(({ label, colour: variable, dash }) => {
    const box = element("input", { type: "checkbox", value: label });
    box.checked = firstStrategies.includes(label);
    const line = element("span", { class: dash[1] ? "line dashed" : "line", "aria-hidden": "true" });
    line.style.borderColor = `var(${variable})`;
    return element("label", {}, box, line, label);
  });
  const more = boxes.splice(firstStrategies.length);
  byId("first-legend").replaceChildren(...boxes);
  if (more.length) {
    const summary = element("summary", {}, `${more.length} more`);
    byId("first-legend").append(element("details", {}, summary, element("div", {}, ...more)));
  }
  byId("first-curves").addEventListener("change", drawFirst);
  dark.addEventListener("change", drawFirst);
  return drawFirst();
};
