"use strict";
// A click on a picture, or Enter, shows it as large as the window; Escape or another click closes it.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Picture");
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  for (const image of document.querySelectorAll("article img")) {
    if (image.closest("a")) continue;
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.classList.add("enlargeable");
    const open = () => {
      const large = image.cloneNode();
      large.removeAttribute("tabindex");
      large.removeAttribute("role");
      dialog.replaceChildren(large);
      dialog.showModal();
    };
    image.addEventListener("click", open);
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
    });
  }
});
