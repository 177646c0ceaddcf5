// An opened cell: its charts, tables and provenance.

let drawn = 0;
const drawCell = async (view, rows) => {
  const turn = ++drawn;
  const [dataset, depth, strategy] = view.cell ?? [];
  const overall = dataset in data.panels;
  // in the order of the study
  const both = ["standard", ...data.strategies].filter((label) => [view.reference, strategy].includes(label));
  const parts = view.cell ? await Promise.all(both.map((label) => tablesOf(dataset, depth, label))) : [];
  // a large study's report has not the runs of all cells
  const held = parts.length === 2 && parts.every((tables) => tables.epochs);
  const row = rows.find((each) => [each.dataset, each.depth, each.strategy].join() === view.cell?.join());
  if (turn !== drawn) return;
  byId("cell").hidden = !row;
  byId("choose").hidden = !byId("cell").hidden;
  if (byId("cell").hidden) return;
  const { reference, recipe } = view;
  const lines = [`${nameOf(dataset)}, depth ${depth}`, `${strategy} against ${reference}`];
  byId("cell").dataset.name = [dataset, `depth${depth}`, strategy].join("-").replace(/[^\w.-]+/g, "_");
  byId("cell").className = overall ? "of-all" : held ? "of-one" : "of-none";
  byId("cell-title").textContent = lines.join(": ");
  const what = `${data.metrics[view.metric]}, ${data.budgets[view.budget]}`;
  byId("cell-words").textContent = `${what}: ${inWords(row)}.`.replace(/^./, (letter) => letter.toUpperCase());
  const mine = (name) => {
    const tables = parts.map((part) => part[name]).filter(Boolean);
    return { header: tables[0].header, rows: tables.flatMap(({ rows: all }) => all).filter((each) => each.recipe === recipe) };
  };
  const words = {
    reference, strategy, lines, strategies: [reference, strategy], colours: ["--muted", "--accent"].map(colour),
    dashes: [[5, 3], [1, 0]], clock: data.clocks[view.clock].label, format: data.clocks[view.clock].format,
    quantity: data.quantities[view.quantity],
  };
  drawTable(row);
  if (overall) {
    const each = comparisons.rows.filter((other) => sameAs(row, "dataset")(other) && data.panels[dataset].includes(other.dataset));
    drawFailures(row, `Diverged: ${reference} ${row.diverged_reference}; ${strategy} ${row.diverged_strategy}`);
    drawDatasets(each);
    await drawPairs(row, comparisons.header, each, (other) => other.dataset, words, what);
  } else if (!held) {
    drawFailures(row, `Diverged: ${reference} ${row.diverged_reference}; ${strategy} ${row.diverged_strategy}`);
  } else {
    const runs = mine("runs").rows.filter((run) => run.status !== "ok");
    const gone = [reference, strategy].map((label) => {
      const seeds = runs.filter((run) => run.strategy === label).map((run) => `${run.seed} (${run.status})`);
      return `${label} ${seeds.length ? `seeds ${seeds.join(", ")}` : "none"}`;
    });
    drawFailures(row, `Runs that failed: ${gone.join("; ")}`, runs.length);
    const pairs = mine("pairs");
    drawPacks(mine("packs"));
    await drawCurves(view, mine("epochs"), words, `${what}: ${inWords(row)}`);
    await drawPairs(row, pairs.header, pairs.rows.filter(sameAs(row)), (pair) => `seed ${pair.seed}`, words, what);
    await drawTimes(view, mine("times_to_target"), words);
  }
  byId("cell").dataset.ready = JSON.stringify(view);
};
const drawFailures = (row, gone, failed = 0) => {
  byId("failures").hidden = row.dropped === "0" && !failed;
  const all = Number(row.pairs) + Number(row.dropped);
  byId("failures").textContent = `${row.dropped} of ${all} pairs are left out. ${gone}.`;
};
const drawCurves = (view, table, words, about) => {
  files.curves = csv(table.header, table.rows);
  const values = curveRows(view, table.rows);
  const subtitle = `${words.quantity} over ${words.clock}`;
  return drawChart("curves", values, { ...words, subtitle }, `Learning curves, ${subtitle}. ${about}.`);
};
const drawPairs = (row, header, rows, label, words, subtitle) => {
  files.pairs = csv(header, rows);
  const scaled = (each) => Object.fromEntries(["difference", "low", "high"].map((name) =>
    [name, (each[name] ?? "") === "" ? null : 100 * each[name]]));
  const values = rows.filter((each) => each.difference !== "").map((each) => ({ row: label(each), mean: false, ...scaled(each) }));
  if (row.difference !== "") values.push({ row: "mean", mean: true, ...scaled(row) });
  const margin = 100 * data.margins[isRatio(row) ? "ratio" : "metric"];
  const difference = `Difference (${isRatio(row) ? "% of the reference" : isLoss(row) ? unit(row) : "percentage points"})`;
  const height = 17 * Math.max(values.length, 3);
  const known = { ...words, subtitle, difference, below: -margin, above: margin, height };
  byId("margin").textContent = `±${margin} ${unit(row).replace(/s$/, margin === 1 ? "" : "s")}`;
  return drawChart("pairs", values, known, `Paired differences, ${subtitle}: ${inWords(row)}.`);
};
const drawTimes = (view, table, words) => {
  files.times = csv(table.header, table.rows);
  const values = table.rows.map((row) => ({
    strategy: row.strategy, level: Number(row.level), at: Number(row[view.clock]), reached: Number(row.reached),
    run: 1,
  }));
  const counts = [];
  for (const level of distinct(values, "level"))
    for (const label of [words.reference, words.strategy]) {
      const runs = values.filter((each) => each.run && each.level === level && each.strategy === label);
      const reached = runs.filter((run) => run.reached).length;
      counts.push(`${Math.round(100 * level)} %: ${reached} of ${runs.length} runs of ${label}`);
      // every curve starts at no time and no run
      values.push({ strategy: label, level, at: 0, reached: 0, run: 0 });
    }
  const subtitle = `Share of runs that reached a target over ${words.clock}`;
  return drawChart("times", values, { ...words, subtitle }, `${subtitle}. ${counts.join("; ")}.`);
};
const percent = (text) => (text === "" ? "" : `${(100 * text).toFixed(2)} %`);
const mean = (row, text) => (isLoss(row) && text !== "" ? Number(text).toFixed(4) : percent(text));
const figuresOf = (row) => [
  row.difference === "" ? verdictOf(row) : verdictInWords(row), row.difference === "" ? "" : `${points(row.difference)} ${isLoss(row) ? "× 0.01 nat" : unit(row)}`, ends(row),
  mean(row, row.reference_mean), mean(row, row.strategy_mean), row.pairs, row.dropped,
];
const tableRow = (look, head, texts) =>
  element("tr", look, element("th", { scope: "row" }, head), ...texts.map((text) => element("td", {}, text)));
const drawTable = (current) => {
  const alike = comparisons.rows.filter(sameAs(current, "metric", "budget"));
  const rows = alike.filter((row) => [row.strategy, row.reference].every((label) => hasEnd(label, row.budget)));
  files.comparison = csv(comparisons.header, rows);
  byId("rows").replaceChildren(...rows.map((row) =>
    tableRow(row === current ? { class: "primary" } : {}, data.metrics[row.metric],
      [data.budgets[row.budget], ...figuresOf(row)])));
};
const drawDatasets = (rows) => {
  files.datasets = csv(comparisons.header, rows);
  byId("dataset-rows").replaceChildren(...rows.map((row) => {
    const words = address();
    words.set("cell", JSON.stringify([row.dataset, row.depth, row.strategy]));
    return tableRow({}, element("a", { href: `#${words}` }, row.dataset), figuresOf(row));
  }));
};
const drawPacks = ({ header, rows }) => {
  files.provenance = csv(header, rows);
  const facts = (row) => [
    ["Data (SHA-256)", row.data_sha256], ["Code (fingerprint)", row.code], ["Job log", row.log],
    ["Training", `${Number(row.training_seconds).toFixed(2)} s for all seeds together, other jobs beside it`],
    ["Memory", `${Math.round(row.peak_memory_mib)} MiB at most`],
    ["Device", `${row.device}, threads: ${row.threads}`],
  ];
  const use = (row) => (parseInt(row.seeds, 10) >= data.calibration ? ": set the targets" : "");
  byId("packs").replaceChildren(...rows.flatMap((row) => [
    element("h4", {}, `${row.strategy}, seeds ${row.seeds.replace("-", " to ")}${use(row)}`),
    element("dl", {}, ...facts(row).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
    element("details", {}, element("summary", {}, "Configuration of the cell"),
      element("pre", { tabindex: 0 }, JSON.stringify(JSON.parse(row.cell), null, 2))),
  ]));
};
