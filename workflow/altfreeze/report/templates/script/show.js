// From the address to the page.

let before = null;
const show = async () => {
  const view = read();
  const rows = offerAll(view);
  drawMatrix(view, rows);
  const cell = JSON.stringify(view.cell);
  await drawCell(view, rows);
  // who opened the report stays at its top, who opened a cell goes to it
  if (address().get("cell") && cell !== before) byId("cell-title").scrollIntoView();
  before = cell;
};
for (const name of CHOICES) byId(name).addEventListener("change", (event) => write({ [name]: event.target.value }));
byId("reset").addEventListener("click", () => { location.hash = ""; });
addEventListener("hashchange", show);
dark.addEventListener("change", show);
byId("explorer").hidden = false;
await offerFirst();
await show();
