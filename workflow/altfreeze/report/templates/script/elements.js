// Elements of the page.

const data = JSON.parse(document.getElementById("explorer-data").textContent);
const byId = (id) => document.getElementById(id);

// names and numbers become text nodes, never markup
const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const fillSelect = (id, options, value) => {
  byId(id).replaceChildren(...options.map(([each, label]) => element("option", { value: each }, label)));
  byId(id).value = value;
};
