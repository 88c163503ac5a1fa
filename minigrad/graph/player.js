// The player: goes through the recorded steps, marks them in the picture, and shows their arrays.
//
// steps[i].at is the box of step i, or -1 where the picture leaves it out; a part of a rule's step
// has the box that its cotangent goes to.
const steps = data.steps;
let now = 0, timer = null;
const slider = document.getElementById("slider"), play = document.getElementById("play");
const where = document.getElementById("where"), panel = document.getElementById("step");
slider.max = steps.length - 1;

// The step at which each box is computed; those without one (inputs) are there from the start.
const computedAt = new Map();
steps.forEach((step, i) => { if (step.kind === "forward" && step.at >= 0 && !computedAt.has(step.at)) computedAt.set(step.at, i); });

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- the picture -----------------------------------------------------------------------------

function paint() {
  const step = steps[now], returning = step.kind !== "forward";
  const seenNow = step.at >= 0 ? shown(step.at) : -1;
  const reached = new Set();  // boxes to which a cotangent has come
  for (let i = 0; i <= now; i++) {
    if (steps[i].kind === "forward") continue;
    if (steps[i].at >= 0) reached.add(shown(steps[i].at));
    for (const part of steps[i].parts) if (part.to >= 0) reached.add(shown(part.to));
  }
  const ready = new Set(reached);  // boxes whose value is there
  boxes.forEach((one, id) => {
    if (one.kind !== "output" && !(computedAt.get(id) > now)) ready.add(shown(id));
  });
  const lines = [...document.getElementById("lines").children];
  for (const { dataset } of lines) {
    const from = Number(dataset.from), to = Number(dataset.to);
    if (boxes[to]?.kind === "output" && ready.has(from)) ready.add(to);
  }
  for (const box of svg.querySelectorAll(".box, .group")) {
    const id = Number(box.dataset.id), group = box.classList.contains("group");
    box.classList.toggle("todo", !group && !ready.has(id));
    box.classList.toggle("now", id === seenNow);
    box.classList.toggle("returning", id === seenNow && returning);
    box.classList.toggle("reached", !group && reached.has(id) && id !== seenNow);
  }
  const targets = new Set(step.parts.filter((part) => part.to >= 0).map((part) => shown(part.to)));
  for (const path of lines) {
    const from = Number(path.dataset.from), to = Number(path.dataset.to);
    const flow = to === seenNow && (returning ? targets.has(from) : true) && step.kind !== "gradient";
    path.classList.toggle("flow", flow);
    path.classList.toggle("returning", flow && returning);
    path.classList.toggle("todo", !ready.has(from) || !ready.has(to));
  }
}

// Moves the picture only if the step's box cannot be seen.
function follow() {
  const at = steps[now].at;
  if (at < 0) return;
  const spot = drawn.at.get(shown(at));
  if (!spot) return;
  const inside = spot.x >= view.x && spot.x + spot.w <= view.x + view.w && spot.y >= view.y && spot.y + spot.h <= view.y + view.h;
  if (!inside) center(shown(at));
}

// ---- the panel -------------------------------------------------------------------------------

function describeStep() {
  const step = steps[now];
  const half = { forward: "forwards", backward: "backwards", gradient: "a gradient of this pass is complete" }[step.kind];
  where.textContent = `Step ${now + 1} of ${steps.length}, ${half}`;
  panel.replaceChildren();
  const heading = element("h2", step.title);
  if (step.module) heading.append(" ", element("small", `in ${step.module}`));
  panel.append(heading);
  if (step.settings) panel.append(element("p", step.settings));
  if (step.line) {
    panel.append(element("h3", `your line, ${step.file}`), element("pre", step.line, "yours"));
  }
  if (step.rule) panel.append(element("h3", "the rule"), element("pre", step.rule, "rule"));
  for (const part of step.parts) panel.append(...describePart(part));
  for (const wide of panel.querySelectorAll("pre, .numbers")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0; // scrolled by keyboard
  }
}

function describePart(part) {
  const heading = element("h3", part.of ? `${part.part} = ${part.of}` : part.part);
  if (part.kept) heading.append(" ", element("span", "kept for the rule", "tag"));
  if (part.shape === undefined) return [heading];
  heading.append(" ", element("span", `${part.shape} ${part.dtype}`));
  const found = [heading];
  if (part.note) found.push(element("p", part.note));
  if (part.numbers) {
    const table = element("table");
    for (const line of part.numbers) {
      const row = table.insertRow();
      for (const number of line) row.insertCell().textContent = number;
    }
    const around = element("div", undefined, "numbers");
    around.append(table);
    found.push(around);
  } else {
    found.push(element("p", part.about));
  }
  if (part.image) {
    found.push(...images(part.image), element("p", part.image.what));
  }
  return found;
}

// Blue is below zero, red above, white zero; without negative values from white to black.
function images({ count, height, width, signed, bytes }) {
  const levels = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
  const scale = Math.max(1, Math.min(6, Math.floor(54 / Math.max(height, 1)), Math.floor(340 / Math.max(width, 1))));
  const found = [];
  for (let k = 0; k < count; k++) {
    const canvas = element("canvas");
    canvas.width = width; canvas.height = height;
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      const level = levels[k * height * width + i], t = (level - 1) / 254;
      let color;
      if (!level) color = [160, 32, 200];
      else if (signed) color = t < 0.5 ? [510 * t, 510 * t, 255] : [255, 510 * (1 - t), 510 * (1 - t)];
      else color = [255 * (1 - t), 255 * (1 - t), 255 * (1 - t)];
      image.data.set([...color.map(Math.round), 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    found.push(canvas);
  }
  return found;
}

// ---- going through ---------------------------------------------------------------------------

function goTo(i) {
  now = Math.max(0, Math.min(steps.length - 1, i));
  slider.value = now;
  slider.setAttribute("aria-valuetext", `step ${now + 1}, ${steps[now].title}`);
  describeStep();
  paint();
  follow();
}

function pause() {
  clearInterval(timer);
  timer = null;
  play.textContent = "▶ play";
}

function playOrPause() {
  if (timer) { pause(); return; }
  if (now === steps.length - 1) goTo(0);
  play.textContent = "‖ pause";
  timer = setInterval(() => { if (now === steps.length - 1) pause(); else goTo(now + 1); }, 900);
}

on("first", () => { pause(); goTo(0); });
on("back", () => { pause(); goTo(now - 1); });
on("play", playOrPause);
on("forth", () => { pause(); goTo(now + 1); });
on("last", () => { pause(); goTo(steps.length - 1); });
slider.addEventListener("input", () => { pause(); goTo(Number(slider.value)); });
document.addEventListener("keydown", (event) => {
  const inText = event.target === search, onButton = event.target.closest && event.target.closest("button, .toggle");
  if (inText || event.altKey || event.ctrlKey || event.metaKey) return;
  const keys = { ArrowRight: () => goTo(now + 1), ArrowLeft: () => goTo(now - 1), Home: () => goTo(0), End: () => goTo(steps.length - 1) };
  if (event.key === " " && !onButton) { event.preventDefault(); playOrPause(); }
  if (keys[event.key]) { event.preventDefault(); pause(); keys[event.key](); }
});
// A double click on a box goes to the next step that it takes part in.
svg.addEventListener("dblclick", (event) => {
  const box = event.target.closest(".box");
  if (!box) return;
  const id = Number(box.dataset.id);
  for (let k = 1; k <= steps.length; k++) {
    const i = (now + k) % steps.length;
    if (steps[i].at >= 0 && shown(steps[i].at) === id) { pause(); goTo(i); return; }
  }
});
afterDraw = paint;
goTo(0);
fit();
