// Buttons that put a text of the page into the clipboard. Without this file the text can be selected by hand.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent.trim().replace(/\s+/g, " "));
      button.textContent = button.dataset.copied;
    } catch {
      // Not over plain http: selected, so that the keyboard can copy it.
      getSelection().selectAllChildren(text);
    }
  });
}
