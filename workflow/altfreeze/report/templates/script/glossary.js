// The words of the glossary where they first stand in each part: their meaning on hover, and on a tap or Enter.

const meanings = new Map([...document.querySelectorAll("#words dt")].map((term) =>
  [term.textContent.toLowerCase(), term.nextElementSibling.textContent]));
const pattern = new RegExp(`\\b(${[...meanings.keys()].sort((one, other) => other.length - one.length).join("|")})\\b`, "i");
const bubble = document.createElement("div");
bubble.id = "meaning";
bubble.popover = "auto";
document.body.append(bubble);
const marked = (text) => {
  const meaning = meanings.get(text.toLowerCase());
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "term", textContent: text, title: meaning });
  button.addEventListener("click", () => {
    bubble.textContent = `${text}: ${meaning}`;
    bubble.showPopover();
  });
  return button;
};
let seen = new Set();
for (const part of document.querySelectorAll("main > h2, main > :is(p, ul)")) {
  if (part.tagName === "H2") {
    seen = new Set();
    continue;
  }
  const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    if (text.parentElement.closest("a, button, code, select")) continue;
    let rest = text;
    for (let found; (found = rest.data.match(pattern)); ) {
      const word = rest.splitText(found.index);
      rest = word.splitText(found[0].length);
      if (seen.has(found[0].toLowerCase())) continue;
      seen.add(found[0].toLowerCase());
      word.replaceWith(marked(found[0]));
    }
  }
}
