"use strict";
// Where the documentation of several versions stands side by side, a list leads from a page to the
// same page of another version. tools/build_versions.py writes versions.json; without it, nothing is
// shown.
document.addEventListener("DOMContentLoaded", async () => {
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const site = new URL("../", root);
  const brand = document.querySelector(".sidebar-brand");
  if (!brand || location.protocol === "file:") return;
  let known;
  try {
    const answer = await fetch(new URL("versions.json", site));
    if (!answer.ok) return;
    known = await answer.json();
  } catch {
    return;
  }
  const here = root.pathname.split("/").at(-2);
  const page = location.href.slice(root.href.length);
  const list = document.createElement("select");
  list.className = "versions";
  list.setAttribute("aria-label", "Version of the documentation");
  for (const name of known.versions) {
    const folder = name === known.stable && here === "stable" ? "stable" : name;
    const text = name === known.stable ? `${name} (stable)` : name;
    list.add(new Option(text, folder, false, folder === here));
  }
  list.addEventListener("change", async () => {
    const there = new URL(`${list.value}/`, site);
    const same = new URL(page, there);
    const found = await fetch(same, { method: "HEAD" }).then((answer) => answer.ok, () => false);
    location.assign(found ? same : there);
  });
  brand.after(list);
});
