"use strict";
// Letters of a picture are not made smaller than this part of their size: the picture scrolls.
const LEAST = 0.75;

// A picture that fits is shown whole. One that would be too small to be read scrolls in a box.
function fit(image) {
  if (!image.naturalWidth || image.closest("a, .sd-card")) return;
  const box = image.parentElement.classList.contains("scrolling") ? image.parentElement : null;
  const room = (box ?? image).parentElement.clientWidth;
  const highest = 34 * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const { naturalWidth: width, naturalHeight: height } = image;
  if (Math.min(room / width, highest / height) >= 0.9 * LEAST) {
    image.style.width = "";
    box?.replaceWith(image);
    return;
  }
  image.style.width = `${Math.round(LEAST * width)}px`;
  if (box) return;
  const around = document.createElement("span");
  around.className = "scrolling";
  image.replaceWith(around);
  around.append(image);
  reachable.observe(around);
}

// A click on a picture, or Enter, shows it as large as the window; Escape or another click closes it.
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Picture");
  document.body.append(dialog);
  dialog.addEventListener("click", () => dialog.close());
  const images = [...document.querySelectorAll("article img")];
  for (const image of images) {
    if (image.closest("a, .sd-card")) continue;
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.classList.add("enlargeable");
    const open = () => {
      const large = image.cloneNode();
      large.removeAttribute("tabindex");
      large.removeAttribute("role");
      large.style.width = `max(94vw, ${image.naturalWidth}px)`;
      large.style.height = `max(92vh, ${image.naturalHeight}px)`;
      dialog.replaceChildren(large);
      dialog.showModal();
    };
    image.addEventListener("click", open);
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
    });
    image.decode().then(() => fit(image), () => {});
  }
  addEventListener("resize", () => images.forEach(fit));
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

// A formula among words that is wider than the column, on a phone, scrolls by itself.
addEventListener("load", async () => {
  await globalThis.MathJax?.startup?.promise;
  const formulas = [...document.querySelectorAll("article span.math mjx-container")]
    .filter((formula) => !formula.closest("table"));
  const fit = () => {
    for (const formula of formulas) {
      formula.classList.remove("wide");
      const room = formula.closest("p, li, dd, dt, div").getBoundingClientRect().width;
      formula.classList.toggle("wide", formula.getBoundingClientRect().width > room);
    }
  };
  fit();
  addEventListener("resize", fit);
  for (const formula of formulas) reachable.observe(formula);
});
