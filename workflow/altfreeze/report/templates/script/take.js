// A line with a button that saves what stands above it.

const takeLine = (format, title, give) => {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: format, ariaLabel: `${title}: save as ${format}` });
  button.addEventListener("click", give);
  const line = document.createElement("p");
  line.className = "take";
  line.append(button);
  return line;
};
