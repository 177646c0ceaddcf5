// Tables that a click on a column's head sorts, and a button that saves one as CSV.

const cellText = (cell) => cell?.innerText.trim().replace(/\s+/g, " ") ?? "";
// numbers by their size, all else as text; what is not there stands last
const sortKey = (cell) => {
  const text = cellText(cell);
  const found = text.replaceAll("−", "-").replace(/(\d),(?=\d{3})/g, "$1").match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/);
  return found ? Number(found[0]) : text;
};
const comesBefore = (one, other) =>
  typeof one === "number" && typeof other === "number" ? one - other
    : String(one).localeCompare(String(other), "en", { numeric: true });
for (const table of document.querySelectorAll(":is(.scroll, .output_html) table:not(#matrix)")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, place) => {
    // a folded table has no inner text
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.ariaSort = down ? "descending" : "ascending";
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((one, other) => comesBefore(sortKey(one.cells[place]), sortKey(other.cells[place])));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
  // those of an opened cell save the rows of the tables
  if (table.closest("[data-part]")) continue;
  const title = table.closest("[aria-label]")?.ariaLabel ?? "table";
  const line = takeLine("CSV", title, () => {
    const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = [...table.rows].map((row) => [...row.cells].map((cell) => quoted(cellText(cell))).join(","));
    const name = title.replace(/^\w+: /, "").replace(/\W+/g, "-").toLowerCase();
    save(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }), `${name}.csv`);
  });
  (table.closest(".scroll") ?? table).after(line);
}
