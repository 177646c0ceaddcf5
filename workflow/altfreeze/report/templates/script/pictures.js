// A button that saves each figure that no script draws, as SVG.

const page = location.pathname.match(/([\w-]+)\.html$/)?.[1] ?? "figure";
for (const [place, figure] of [...document.querySelectorAll("figure:has(img, .card svg)")].entries()) {
  const picture = figure.querySelector("img, .card svg");
  const title = figure.querySelector("h2")?.textContent ?? picture.alt;
  figure.append(takeLine("SVG", title, () => {
    const text = picture.src
      ? Uint8Array.from(atob(picture.src.split(",")[1]), (letter) => letter.charCodeAt(0))
      : new XMLSerializer().serializeToString(picture);
    save(new Blob([text], { type: "image/svg+xml" }), `${figure.id || `${page}-${place + 1}`}.svg`);
  }));
}
