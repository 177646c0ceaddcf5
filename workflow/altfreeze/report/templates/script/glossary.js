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
  // an element button would be a box, which no line breaks in and any breaks around
  const word = document.createElement("span");
  Object.assign(word, { role: "button", tabIndex: 0, className: "term", textContent: text, title: meaning });
  const tell = () => {
    bubble.textContent = `${text}: ${meaning}`;
    bubble.showPopover();
  };
  word.addEventListener("click", tell);
  word.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    tell();
  });
  return word;
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
