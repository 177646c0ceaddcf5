// Charts in Vega-Lite's grammar, in the page's colours and width, and their files.

const figures = {};
const files = {};
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
// draws a chart of `data.charts` into a figure of the page
const drawChart = async (name, rows, words, alternative, chartName = name) => {
  const target = byId(name).querySelector(".chart");
  const width = Math.max(target.clientWidth, 260);
  const columns = width < 560 ? 1 : 2;
  const narrow = words.lines.flatMap((line) => line.split(/ (?=against )/));
  const known = {
    grey: colour("--muted"), accent: colour("--accent"), height: 320, width, columns,
    title: width < 400 ? narrow : words.lines.join(": "), panel: (width - 70 * columns) / columns,
    legend: { ...data.legend, direction: width < 560 ? "vertical" : "horizontal" }, ...words,
  };
  const chart = JSON.parse(JSON.stringify(data.charts[chartName]), (_, value) =>
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
  const options = { ast: true, actions: false, renderer: "svg" };
  figures[name] = await vegaEmbed(target, { $schema: data.grammar, ...chart, datasets: { rows }, config }, options);
  // to a reader of the page's words it is one picture
  target.querySelector("svg").setAttribute("aria-hidden", "true");
  target.setAttribute("role", "img");
  target.classList.toggle("dark", dark.matches);
  target.setAttribute("aria-label", `${words.lines.join(": ")}. ${alternative}`);
};
// rows of the table epochs as those of the learning curves
const curveRows = (view, rows) => {
  const scale = view.quantity.endsWith("accuracy") ? 100 : 1;
  const column = data.clocks[view.clock].column;
  const scaled = (text) => (text === "" ? null : scale * text);
  return rows.map((row) =>
    ({ strategy: row.strategy, seed: row.seed, at: Number(row[column]), value: scaled(row[view.quantity]) }));
};
document.addEventListener("click", async (event) => {
  const format = event.target.dataset.format;
  if (!format) return;
  const name = event.target.closest("[data-part]").id;
  const file = `${name}-${event.target.closest("[data-name]").dataset.name}.${format}`;
  if (format === "csv") save(new Blob([files[name]], { type: "text/csv" }), file);
  // with its rows and its look: all that the Vega editor needs
  if (format === "json") save(new Blob([JSON.stringify(figures[name].spec, null, 1)], { type: "application/json" }), file);
  if (format === "svg") save(new Blob([await figures[name].view.toSVG()], { type: "image/svg+xml" }), file);
  if (format === "png") (await figures[name].view.toCanvas(2)).toBlob((blob) => save(blob, file));
});
