// Buttons that copy the text of a block of the page. It is selected, too, so that it is seen.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const block = document.getElementById(button.dataset.copy);
    // plain text, whatever is selected; a page of a file has no other clipboard in every browser
    const give = (event) => {
      event.clipboardData.setData("text/plain", `${block.innerText.trim()}\n`);
      event.preventDefault();
    };
    getSelection().selectAllChildren(block);
    document.addEventListener("copy", give, { once: true });
    const copied = document.execCommand("copy");
    document.removeEventListener("copy", give);
    button.nextElementSibling.textContent = copied ? "Copied." : "Selected: copy it with the keyboard.";
  });
}
