// How numbers, names and verdicts are said, as in all of the report.

// more decimals where two would show a number as zero
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
// a difference as it stands in the matrix
const brief = (row) => {
  if (row.difference === "") return "–";
  const size = Math.abs(100 * row.difference).toFixed(isRatio(row) ? 0 : 1);
  return `${Number(size) === 0 ? "" : row.difference < 0 ? "−" : "+"}${size}`;
};
// whether a row is about the same as another, but for some columns
const sameAs = (row, ...but) => {
  const names = ["dataset", "depth", "recipe", "strategy", "reference", "budget", "metric"];
  return (other) => names.every((name) => but.includes(name) || other[name] === row[name]);
};
const verdictOf = (row) => (row.difference === "" ? "no pair" : row.verdict);
// one within the margin that lies on one side of zero says on which
const verdictInWords = (row) => {
  if (row.verdict !== "equivalent" || row.low === "" || row.low * row.high <= 0) return row.verdict;
  const words = isRatio(row) ? ["lower", "higher"] : ["worse", "better"];
  return `${words[row.low > 0 ? 1 : 0]}, within the margin`;
};
const ends = (row) => (row.low === "" ? "" : `${points(row.low)} to ${points(row.high)}`);
const interval = (row) => (row.low === "" ? "no interval" : `95 % interval ${ends(row)}`);
const inWords = (row) => {
  const left = row.dropped === "0" ? "" : `, ${row.dropped} left out`;
  if (row.difference === "") return `no pair of runs that both ended${left}`;
  const difference = `mean difference ${points(row.difference)} ${unit(row)}`;
  return `${difference} (${interval(row)}, ${row.pairs} pairs${left}): ${verdictInWords(row)}`;
};
