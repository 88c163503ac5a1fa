// What tests/test_site.py asks of a page: each function gives a list of what is wrong, as text.
"use strict";
globalThis.site = {
  // Fonts, formulas and pictures have arrived, and every picture further down has been loaded.
  async settled() {
    for (const e of document.querySelectorAll("[loading=lazy]")) e.loading = "eager";
    if (globalThis.MathJax?.startup?.promise) await MathJax.startup.promise;
    await document.fonts.ready;
    await Promise.all([...document.images].map((i) => i.decode().catch(() => 0)));
    await site.drawn();
  },

  // Two frames have been drawn since what changed, and all that moves has arrived.
  async drawn() {
    for (const a of document.getAnimations()) a.finish();
    for (let i = 0; i < 2; i++) await new Promise((next) => requestAnimationFrame(next));
  },

  head(language) {
    const wrong = [];
    const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
    if (!document.title.trim()) wrong.push("no title");
    if (document.documentElement.lang !== language)
      wrong.push(`lang is ${document.documentElement.lang}, not ${language}`);
    if (!meta("viewport").includes("width=device-width")) wrong.push("no viewport");
    if (meta("description").length < 20) wrong.push("no description");
    return wrong;
  },

  formulas() {
    const wrong = [...document.querySelectorAll("mjx-merror")].map((e) => `error in ${e.textContent}`);
    for (const e of document.querySelectorAll(".math"))
      if (!e.querySelector("mjx-container")) wrong.push(`not set: ${e.textContent}`);
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const text = walk.currentNode.data;
      if (/\\[([]|\$\$|\\(frac|sum|partial|mathbf)\b/.test(text) &&
          !walk.currentNode.parentElement.closest("code, pre, script, style, mjx-container"))
        wrong.push(`formula as text: ${text.trim().slice(0, 80)}`);
    }
    return wrong;
  },

  height: (most) =>
    document.documentElement.scrollHeight > most
      ? [`${document.documentElement.scrollHeight} pixels high`] : [],

  // What reaches beyond the window, unless it is in something that scrolls by itself.
  overflow() {
    const root = document.documentElement;
    const right = (e) => e.getBoundingClientRect().right;
    const cut = [...document.querySelectorAll("article span.math mjx-container")].filter((e) =>
      !e.closest("table") && right(e) > right(e.closest("p, li, dd, dt, div")) + 1);
    if (cut.length) return cut.map((e) => `cut off: ${e.textContent.slice(0, 80)}`);
    if (root.scrollWidth <= root.clientWidth) return [];
    const scrolls = (e) => e && e !== document.body && e !== root &&
      (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    const wide = [...document.body.querySelectorAll("*")].filter((e) =>
      e.getBoundingClientRect().right > root.clientWidth + 1 && !scrolls(e.parentElement));
    return [`${root.scrollWidth} pixels wide: ` + wide.slice(-2).map((e) => e.outerHTML.slice(0, 120))];
  },

  // A picture has words, is there, and is not so much smaller than drawn that its letters are lost.
  images(least) {
    const wrong = [];
    for (const image of document.querySelectorAll("article img")) {
      const name = image.src.split("/").pop().slice(0, 60);
      if (!image.alt.trim()) wrong.push(`${name}: no alt`);
      if (!image.naturalWidth) wrong.push(`${name}: not found`);
      const scale = image.getBoundingClientRect().width / image.naturalWidth;
      if (scale < least && !image.closest("a, .sd-card"))
        wrong.push(`${name}: ${image.naturalWidth} x ${image.naturalHeight} shown at ${scale.toFixed(2)}`);
    }
    return wrong;
  },

  // The menu and the colours of code are the same on all pages, and take longer than the rest.
  async axe(which, thorough) {
    const contrast = { runOnly: { type: "rule", values: ["color-contrast"] } };
    const off = { enabled: false };
    const all = { rules: { "empty-table-header": off } }; // the corner of a table is empty
    const layout = { rules: { ...all.rules, "color-contrast": off } };
    const only = { all, contrast, layout }[which];
    const found = await axe.run({ include: "html", exclude: thorough ? [] : [".sidebar-drawer", ".highlight span"] }, { ...only, iframes: false, preload: false, resultTypes: ["violations"] });
    return found.violations.flatMap((v) => v.nodes.slice(0, 4).map((n) =>
      `${v.impact}: ${v.id}: ${n.target.join(" ")}: ${n.html.slice(0, 150)}: ` +
      n.failureSummary.split("\n").slice(1).join("; ").slice(0, 200)));
  },
};
