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

// What scrolls sideways can be reached, and scrolled, by keyboard.
const SCROLLING = "article pre, article .table-wrapper, article div.math, article mjx-container";
const reachable = new ResizeObserver((seen) => {
  for (const { target } of seen) {
    if (target.scrollWidth > target.clientWidth + 1 || target.scrollHeight > target.clientHeight + 1) {
      target.tabIndex = 0;
    } else {
      target.removeAttribute("tabindex");
    }
  }
});
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll(SCROLLING)) reachable.observe(element);
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
});
