// The report's explorer: filters, a matrix of verdicts, and the charts, table and provenance of one cell.
// The view lives in the address after the #; every control writes it there, and `show` draws what it says.
"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const byId = (id) => document.getElementById(id);
  const CHOICES = [...data.filters, "clock", "quantity"];

  // names and numbers become text nodes, never markup
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // tables

  const decompress = (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const fields = (line) =>
    line.includes('"')
      ? [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((part) =>
          part[1] === undefined ? part[2] : part[1].replaceAll('""', '"'))
      : line.split(",");
  // rows keep their line, so that what is taken away is what the table says
  const parse = (text) => {
    const [header, ...lines] = text.trimEnd().split("\n");
    const names = fields(header);
    const rows = lines.map((line) => {
      const values = fields(line);
      return Object.assign(Object.fromEntries(names.map((name, place) => [name, values[place]])), { line });
    });
    return { header, rows };
  };
  const csv = (header, rows) => [header, ...rows.map((row) => row.line), ""].join("\n");
  const number = (text) => (text === "" ? null : Number(text));
  const comparisons = parse(await decompress(data.comparisons));
  const cells = {};
  const tablesOf = async (...key) => {
    const [dataset, depth, strategy] = key;
    if (!cells[key]) {
      const packed = Object.entries(data.cells[dataset]?.[depth]?.[strategy] ?? {});
      const tables = packed.map(async ([name, text]) => [name, parse(await decompress(text))]);
      cells[key] = Object.fromEntries(await Promise.all(tables));
    }
    return cells[key];
  };

  // words

  // as in all of the report: more decimals where two would show a number as zero
  const points = (text) => {
    const size = Math.abs(100 * Number(Number(text).toFixed(6)));
    const texts = [2, 3, 4].map((places) => size.toFixed(places));
    const shown = texts.find((each) => Number(each)) ?? texts[0];
    return Number(shown) === 0 ? shown : `${Number(text) < 0 ? "−" : "+"}${shown}`;
  };
  const isRatio = (row) => data.ratios.includes(row.metric);
  const isLoss = (row) => data.losses.includes(row.metric);
  const unit = (row) => (isRatio(row) ? "%" : isLoss(row) ? "hundredths of a nat" : "points");
  const nameOf = (dataset) => (dataset in data.panels ? `Mean of ${dataset === "all" ? "all" : "the other"} data sets` : dataset);
  // whether a row is about the same as another, but for some columns
  const sameAs = (row, ...but) => {
    const names = ["dataset", "depth", "recipe", "strategy", "reference", "budget", "metric"];
    return (other) => names.every((name) => but.includes(name) || other[name] === row[name]);
  };
  const verdictOf = (row) => (row.difference === "" ? "no pair" : row.verdict);
  const ends = (row) => (row.low === "" ? "" : `${points(row.low)} to ${points(row.high)}`);
  const interval = (row) => (row.low === "" ? "no interval" : `95 % interval ${ends(row)}`);
  const inWords = (row) => {
    const left = row.dropped === "0" ? "" : `, ${row.dropped} left out`;
    if (row.difference === "") return `no pair of runs that both ended${left}`;
    const difference = `mean difference ${points(row.difference)} ${unit(row)}`;
    return `${difference} (${interval(row)}, ${row.pairs} pairs${left}): ${row.verdict}`;
  };

  // the view

  // a link to a part of the page leaves the view as it is
  let viewed = "";
  const address = () => {
    const hash = location.hash.slice(1);
    if (!hash || hash.includes("=")) viewed = hash;
    return new URLSearchParams(viewed);
  };
  const read = () => {
    const view = Object.fromEntries(address());
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
    byId(name).replaceChildren(...options.map(([value, label]) => element("option", { value }, label)));
    byId(name).value = view[name];
  };
  const distinct = (rows, name) => [...new Set(rows.map((row) => row[name]))];
  // only what the table has can be chosen; returns the rows of the matrix
  const offerAll = (view) => {
    const every = (values) => [["", "all"], ...values.map((value) => [value, value])];
    offer("dataset", view, every(data.datasets));
    offer("depth", view, every(data.depths));
    offer("strategy", view, every(data.strategies));
    let rows = comparisons.rows;
    for (const name of ["recipe", "reference", "budget", "metric"]) {
      const labels = { budget: data.budgets, metric: data.metrics }[name] ?? {};
      offer(name, view, distinct(rows, name).map((value) => [value, labels[value] ?? value]));
      rows = rows.filter((row) => row[name] === view[name]);
    }
    byId("recipe").parentElement.hidden = byId("recipe").length < 2;
    offer("clock", view, Object.entries(data.clocks).map(([value, clock]) => [value, clock.label]));
    offer("quantity", view, Object.entries(data.quantities));
    return rows.filter((row) => ["depth", "strategy"].every((name) => !view[name] || row[name] === view[name]));
  };

  // the matrix

  const drawMatrix = (view, rows) => {
    const columns = data.depths.map((depth) =>
      [depth, data.strategies.filter((label) => rows.some((row) => row.depth === depth && row.strategy === label))]);
    const found = new Map(rows.map((row) => [JSON.stringify([row.dataset, row.depth, row.strategy]), row]));
    const shown = columns.filter(([, labels]) => labels.length);
    const heads = shown.map(([depth, labels]) =>
      element("th", { scope: "colgroup", colspan: labels.length }, `depth ${depth}`));
    const names = shown.flatMap(([, labels]) =>
      labels.map((label) => element("th", { scope: "col" }, element("span", {}, label))));
    const first = element("th", { scope: "col", rowspan: 2 }, "Data set");
    const head = element("thead", {}, element("tr", {}, first, ...heads), element("tr", {}, ...names));
    const body = element("tbody");
    for (const dataset of [...data.datasets, ...Object.keys(data.panels)]) {
      if (view.dataset && dataset !== view.dataset) continue;
      const cells = shown.flatMap(([depth, labels]) =>
        labels.map((label) => matrixCell(view, found, [dataset, depth, label])));
      const name = element("th", { scope: "row" }, dataset in data.panels ? `mean of ${dataset}` : dataset);
      body.append(element("tr", {}, name, ...cells));
    }
    const focused = document.activeElement?.dataset?.cell;
    byId("matrix-words").textContent =
      `Verdicts on the ${data.metrics[view.metric]} against ${view.reference}, ${data.budgets[view.budget]}.`;
    byId("matrix").replaceChildren(head, body);
    const buttons = [...byId("matrix").querySelectorAll("button")];
    const wanted = focused ?? JSON.stringify(view.cell);
    const chosen = buttons.find((button) => button.dataset.cell === wanted) ?? buttons[0];
    if (chosen) chosen.tabIndex = 0;
    if (focused && chosen) chosen.focus();
  };
  const matrixCell = (view, found, key) => {
    const row = found.get(JSON.stringify(key));
    if (!row) return element("td");
    const verdict = verdictOf(row);
    const letter = data.letters[verdict] + (row.dropped === "0" ? "" : data.letters["left out"]);
    const about = `${nameOf(key[0])}, depth ${key[1]}, ${key[2]}: ${inWords(row)}`;
    const look = { class: `verdict ${verdict.replaceAll(" ", "-")}`, title: about };
    const open = JSON.stringify(view.cell) === JSON.stringify(key);
    // one stop of the tabulator for the whole matrix; arrows move in it
    const state = { type: "button", "aria-label": about, "aria-pressed": open, tabindex: -1 };
    const button = element("button", { ...look, ...state }, letter);
    button.dataset.cell = JSON.stringify(key);
    return element("td", {}, button);
  };
  byId("matrix").addEventListener("click", (event) => {
    const cell = event.target.closest("button")?.dataset.cell;
    if (cell) write({ cell });
  });
  byId("matrix").addEventListener("keydown", (event) => {
    const moves = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
    const [down, right] = moves[event.key] ?? [];
    const cell = event.target.closest("td");
    if (down === undefined || !cell) return;
    const row = byId("matrix").rows[cell.parentElement.rowIndex + down];
    const next = row?.cells[cell.cellIndex + right]?.querySelector("button");
    event.preventDefault();
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  // charts

  const figures = {};
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawChart = async (name, rows, words, alternative) => {
    const style = getComputedStyle(document.documentElement);
    const colour = (variable) => style.getPropertyValue(variable).trim();
    const target = byId(name).querySelector(".chart");
    const width = Math.max(target.clientWidth, 260);
    const columns = width < 560 ? 1 : 2;
    const known = {
      ...words, grey: colour("--muted"), accent: colour("--accent"), width, columns,
      title: width < 560 ? words.lines : words.lines.join(": "),
      panel: (width - 70 * columns) / columns, legend: width < 560 ? "vertical" : "horizontal",
    };
    const chart = JSON.parse(JSON.stringify(data.charts[name]), (_, value) =>
      typeof value === "string" && value.startsWith("@") ? known[value.slice(1)] : value);
    const [ink, line, grey] = ["--text", "--line", "--muted"].map(colour);
    const text = { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    const config = {
      font: getComputedStyle(document.body).fontFamily, background: colour("--ground"), view: { stroke: line },
      axis: { ...text, gridColor: line, domainColor: grey, tickColor: grey }, legend: text, header: text,
      title: { color: ink, subtitleColor: grey, fontSize: 13, subtitleFontSize: 12 },
    };
    // the interpreter of expressions needs no eval, which the page's policy forbids
    figures[name]?.finalize();
    const options = { ast: true, actions: false, renderer: "svg", config };
    figures[name] = await vegaEmbed(target, { ...chart, datasets: { rows } }, options);
    // to a reader of the page's words it is one picture
    target.querySelector("svg").setAttribute("aria-hidden", "true");
    target.setAttribute("role", "img");
    target.classList.toggle("dark", dark.matches);
    target.setAttribute("aria-label", `${words.lines.join(": ")}. ${alternative}`);
  };
  const save = (blob, name) => {
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const files = {};
  byId("cell").addEventListener("click", async (event) => {
    const format = event.target.dataset.format;
    if (!format) return;
    const name = event.target.closest("[data-part]").id;
    const file = `${name}-${byId("cell").dataset.name}.${format}`;
    if (format === "csv") save(new Blob([files[name]], { type: "text/csv" }), file);
    if (format === "svg") save(new Blob([await figures[name].view.toSVG()], { type: "image/svg+xml" }), file);
    if (format === "png") (await figures[name].view.toCanvas(2)).toBlob((blob) => save(blob, file));
  });

  // an opened cell

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
      reference, strategy, lines, clock: data.clocks[view.clock].label, format: data.clocks[view.clock].format,
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
    const scale = view.quantity.endsWith("accuracy") ? 100 : 1;
    const column = data.clocks[view.clock].column;
    const scaled = (text) => (text === "" ? null : scale * text);
    const values = table.rows.map((row) =>
      ({ strategy: row.strategy, seed: row.seed, at: Number(row[column]), value: scaled(row[view.quantity]) }));
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
    byId("margin").textContent = `±${margin} ${unit(row)}`;
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
    verdictOf(row), row.difference === "" ? "" : points(row.difference) + (isRatio(row) ? " %" : ""), ends(row),
    mean(row, row.reference_mean), mean(row, row.strategy_mean), row.pairs, row.dropped,
  ];
  const tableRow = (look, head, texts) =>
    element("tr", look, element("th", { scope: "row" }, head), ...texts.map((text) => element("td", {}, text)));
  const drawTable = (current) => {
    const rows = comparisons.rows.filter(sameAs(current, "metric", "budget"));
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

  // from the address to the page

  let before = null;
  const show = async () => {
    const view = read();
    const rows = offerAll(view);
    drawMatrix(view, rows);
    const cell = JSON.stringify(view.cell);
    await drawCell(view, rows);
    if (view.cell && cell !== before) byId("cell-title").scrollIntoView({ block: "nearest" });
    before = cell;
  };
  for (const name of CHOICES) byId(name).addEventListener("change", (event) => write({ [name]: event.target.value }));
  byId("reset").addEventListener("click", () => { location.hash = ""; });
  addEventListener("hashchange", show);
  dark.addEventListener("change", show);
  byId("explorer").hidden = false;
  await show();
})();
