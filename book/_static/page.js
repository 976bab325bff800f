// Names that a screen reader can say, where the theme and the widgets give none.
function nameControls() {
  document.querySelectorAll(".noUi-handle:not([aria-label])").forEach((h) => h.setAttribute("aria-label", "step"));
  document.querySelectorAll("button.jupyter-button:not([aria-label])").forEach((b) => {
    if (!b.textContent.trim()) b.setAttribute("aria-label", b.title || b.querySelector("i")?.className.replace("fa fa-", "") || "button");
  });
  document.querySelectorAll("summary[aria-label], .search-button-field[aria-label]").forEach((e) => e.removeAttribute("aria-label"));
}
document.addEventListener("DOMContentLoaded", () => {
  nameControls();
  new MutationObserver(nameControls).observe(document.body, { childList: true, subtree: true });
});
