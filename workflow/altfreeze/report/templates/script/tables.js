// Tables that are packed into the page: their rows as the text of their files.

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
const comparisons = parse(await decompress(data.comparisons));
const survivors = new Set(data.survivors.map((place) => comparisons.rows[place]));
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
