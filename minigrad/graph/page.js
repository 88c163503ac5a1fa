"use strict";
// The interactive page: lays the picture out and draws it, and opens and closes modules on a click.
//
// The layout is our own. dagre, the usual library for it, ranks all boxes of the picture together:
// a network becomes a staircase with the modules side by side, and the page twice as large. Here
// each open module is laid out by itself, so that what follows in the program stands below, and the
// data runs down through the middle of the modules.
//
// Boxes are items 0 .. n-1, groups are items n ..; each group lists its children.
const data = JSON.parse(document.getElementById("data").textContent);
const boxes = data.boxes, groups = data.groups, n = boxes.length, ROOT = n;
const isGroup = (id) => id >= n;
const item = (id) => (isGroup(id) ? groups[id - n] : boxes[id]);
const parent = [];
groups.forEach((g, i) => g.children.forEach((child) => { parent[child] = n + i; }));
let closed = new Set(data.closed.map((g) => n + g));
const startClosed = [...closed];
const across = data.direction === "LR" || data.direction === "RL";
const backwards = data.direction === "BT" || data.direction === "RL";
const TOP = -1, BOTTOM = -2;
const GAP = { node: 14, line: 12, layer: 28, pad: 12, title: 24 };

// ---- measuring text --------------------------------------------------------------------------

const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
function textWidth(text, font) {
  const key = font + text;
  if (!widths.has(key)) {
    pen.font = `${font} Helvetica, Arial, sans-serif`;
    widths.set(key, pen.measureText(text).width);
  }
  return widths.get(key);
}
const NAME = "13px", BOLD = "bold 13px", SMALL = "10px", TITLE = "bold 12px";
const clip = (text, most = 46) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function titleOf(g) {
  const count = g.count > 1 ? ` × ${g.count.toLocaleString("en")}` : "";
  return { name: clip(g.name || g.kind || "model"), kind: (g.name && g.kind ? `: ${g.kind}` : "") + count };
}

// Everything is laid out as if the picture ran down: a is the direction along a layer, b the one
// through the layers. These turn the result to the direction of the page.
const alongA = (w, h) => (across ? h : w), alongB = (w, h) => (across ? w : h);
function turned(point, whole) {
  const [a, b] = point, flow = backwards ? whole.b - b : b;
  return across ? [flow, a] : [a, flow];
}

// The width and height of a box with its text.
function boxSize(id) {
  const one = item(id), grouped = isGroup(id), title = grouped ? titleOf(one) : null;
  const names = grouped ? [title.name + title.kind] : one.name.split("\n");
  const wide = names.map((t) => textWidth(clip(t), one.kind === "operator" && !grouped ? NAME : BOLD));
  one.lines.forEach((t) => wide.push(textWidth(clip(t), SMALL)));
  let w = Math.max(...wide) + 22, h = 12 + 15 * names.length + 12 * one.lines.length;
  if (one.histogram) { w = Math.max(w, 92); h += 18; }
  if (one.kind === "input" || one.kind === "output") w += 14;
  if (grouped) { h += 4; w += 8; }
  return { a: alongA(w, h), b: alongB(w, h) };
}

// ---- which lines are seen, and which groups they pass through --------------------------------

function shown(id) {
  let seen = id;
  for (let g = parent[id]; g !== undefined && g !== ROOT; g = parent[g]) if (closed.has(g)) seen = g;
  return seen;
}

function chain(id) {
  const found = [id];
  while (found[found.length - 1] !== ROOT) found.push(parent[found[found.length - 1]]);
  return found;
}

function seenLines() {
  const found = new Map();
  for (const [tail, head, again] of data.lines) {
    const u = shown(tail), v = shown(head);
    if (u === v && u !== tail) continue;
    const key = u * (n + groups.length) + v;
    if (found.has(key)) continue;
    const up = chain(u), down = chain(v);
    let i = up.length - 1, j = down.length - 1;
    while (i > 1 && j > 1 && up[i - 1] === down[j - 1]) { i -= 1; j -= 1; }
    found.set(key, { u, v, again, source: tail, up: up.slice(0, i), down: down.slice(0, j), meet: up[i] });
  }
  return [...found.values()];
}

// In each group, all lines from one source form a net: from a child (or from outside, TOP) to
// children (or to outside, BOTTOM).
function collectNets(lines) {
  const nets = new Map();
  const add = (group, u, source, target) => {
    if (!nets.has(group)) nets.set(group, new Map());
    const here = nets.get(group);
    if (!here.has(u)) here.set(u, { u, source, targets: new Set(), faint: false });
    here.get(u).targets.add(target);
    here.get(u).faint = !isGroup(u) && boxes[u].kind === "parameter";
  };
  for (const line of lines) {
    if (line.again) continue;
    const { u, up, down, meet } = line;
    add(meet, u, up[up.length - 1], down[down.length - 1]);
    for (let i = 1; i < up.length; i++) add(up[i], u, up[i - 1], BOTTOM);
    for (let j = 1; j < down.length; j++) add(down[j], u, TOP, down[j - 1]);
  }
  return nets;
}

// ---- layout of one group: layers, order within them, positions -------------------------------

function layoutGroup(group, nets, plans) {
  const children = item(group).children;
  const mine = nets.has(group) ? [...nets.get(group).values()] : [];
  const layer = new Map(children.map((c) => [c, 0]));
  const incoming = new Map(children.map((c) => [c, []]));
  for (const net of mine) {
    if (net.source === TOP) continue;
    for (const t of net.targets) if (t !== BOTTOM) incoming.get(t).push(net.source);
  }
  for (const c of children) for (const s of incoming.get(c)) layer.set(c, Math.max(layer.get(c), layer.get(s) + 1));
  for (const net of mine) {  // what has no input stands close to where it is used
    if (net.source === TOP || incoming.get(net.source).length || net.targets.has(BOTTOM)) continue;
    if (mine.some((other) => other.source === TOP && other.targets.has(net.source))) continue;
    const nearest = Math.min(...[...net.targets].map((t) => layer.get(t)));
    layer.set(net.source, Math.max(layer.get(net.source), nearest - 1));
  }
  const count = 1 + Math.max(0, ...layer.values());
  const layers = Array.from({ length: count }, () => []);
  const nodes = new Map();
  for (const c of children) {
    const size = plans.get(c);
    const node = { id: c, a: size.a, b: size.b, layer: layer.get(c), above: [], below: [] };
    nodes.set(c, node);
    layers[node.layer].push(node);
  }
  for (const net of mine) {
    const first = net.source === TOP ? 0 : layer.get(net.source) + 1;
    let last = first - 1;
    for (const t of net.targets) last = Math.max(last, t === BOTTOM ? count - 1 : layer.get(t) - 1);
    net.first = first;
    net.dummies = [];
    let previous = net.source === TOP ? null : nodes.get(net.source);
    const weight = net.faint ? 0.1 : 1;
    for (let l = first; l <= last; l++) {
      const dummy = { id: null, a: 2, b: 0, layer: l, above: [], below: [] };
      if (previous) join(previous, dummy, previous.id === null ? 4 * weight : weight, port(previous.id, net.u, plans, true));
      // What passes through the group goes through its middle, between the parameters.
      if (net.source === TOP) layers[l].splice(Math.ceil(layers[l].length / 2), 0, dummy);
      else layers[l].push(dummy);
      net.dummies.push(dummy);
      previous = dummy;
    }
    for (const t of net.targets) {
      if (t === BOTTOM) continue;
      const at = layer.get(t) - 1;
      const from = at >= first ? net.dummies[at - first] : net.source === TOP ? null : nodes.get(net.source);
      if (from) join(from, nodes.get(t), weight, port(from.id, net.u, plans, true) - port(t, net.u, plans, false));
    }
  }
  order(layers);
  place(layers);
  return { nodes, layers, nets: mine };
}

function join(upper, lower, weight, shift) {
  upper.below.push([lower, weight, -shift]);
  lower.above.push([upper, weight, shift]);
}

// How far from its middle an open group is left, or entered, by the line of source u.
function port(id, u, plans, leaving) {
  const plan = plans.get(id);
  return plan && plan.nodes ? plan.port(u, leaving) : 0;
}

function mean(pairs, value) {
  let sum = 0, weights = 0;
  for (const [other, weight, shift] of pairs) { sum += weight * value(other, shift); weights += weight; }
  return weights ? sum / weights : null;
}

function crossings(layers) {
  let total = 0;
  for (const row of layers) {
    const ends = [];
    for (const node of row) for (const [other] of node.below) ends.push([node.rank, other.rank]);
    if (ends.length > 400) continue;
    for (let i = 0; i < ends.length; i++)
      for (let j = i + 1; j < ends.length; j++)
        if ((ends[i][0] - ends[j][0]) * (ends[i][1] - ends[j][1]) < 0) total += 1;
  }
  return total;
}

function order(layers) {
  const number = (row) => row.forEach((node, i) => { node.rank = i; });
  layers.forEach(number);
  let best = null, fewest = Infinity;
  for (let sweep = 0; sweep < 8; sweep++) {
    const now = crossings(layers);
    if (now < fewest) { fewest = now; best = layers.map((row) => [...row]); }
    if (!now) break;
    const down = sweep % 2 === 0;
    for (const row of down ? layers : [...layers].reverse()) {
      for (const node of row) {
        const wanted = mean(down ? node.above : node.below, (other) => other.rank / Math.max(1, layers[other.layer].length - 1));
        node.wanted = wanted === null ? node.rank / Math.max(1, row.length - 1) : wanted;
      }
      row.sort((p, q) => p.wanted - q.wanted || p.rank - q.rank);
      number(row);
    }
  }
  if (crossings(layers) > fewest) best.forEach((row, i) => { layers[i] = row; number(row); });
}

const apart = (p, q) => (p.a + q.a) / 2 + (p.id === null || q.id === null ? GAP.line : GAP.node);

// The positions nearest to the wanted ones that keep the order and the distances: blocks of nodes
// that would overlap move as one, to their mean.
function settle(row) {
  const blocks = [];
  let offset = 0;
  row.forEach((node, i) => {
    if (i) offset += apart(row[i - 1], node);
    node.offset = offset;
    let block = { first: i, sum: node.pull * (node.wanted - offset), weight: node.pull };
    while (blocks.length && blocks[blocks.length - 1].sum * block.weight >= block.sum * blocks[blocks.length - 1].weight) {
      const before = blocks.pop();
      block = { first: before.first, sum: before.sum + block.sum, weight: before.weight + block.weight };
    }
    blocks.push(block);
  });
  blocks.forEach((block, k) => {
    const end = k + 1 < blocks.length ? blocks[k + 1].first : row.length;
    for (let i = block.first; i < end; i++) row[i].x = block.sum / block.weight + row[i].offset;
  });
}

function place(layers) {
  for (const row of layers) {
    row.forEach((node) => { node.wanted = 0; node.pull = 1; });
    settle(row);
  }
  for (let sweep = 0; sweep < 24; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? layers : [...layers].reverse()) {
      for (const node of row) {
        const pairs = sweep < 20 ? (down ? node.above : node.below) : [...node.above, ...node.below];
        const wanted = mean(pairs, (other, shift) => other.x + shift);
        node.wanted = wanted === null ? node.x : wanted;
        node.pull = wanted === null ? 0.05 : node.id === null ? 3 : pairs.reduce((sum, [, w]) => sum + w, 0);
      }
      settle(row);
    }
  }
}

// ---- layout of everything, and absolute positions --------------------------------------------

function layout() {
  const lines = seenLines();
  const nets = collectNets(lines);
  const plans = new Map();
  const open = [];
  const stack = [ROOT];
  while (stack.length) {
    const g = stack.pop();
    open.push(g);
    for (const c of item(g).children) if (isGroup(c) && !closed.has(c)) stack.push(c);
  }
  for (const g of open.reverse()) {
    for (const c of item(g).children) if (!plans.has(c)) plans.set(c, boxSize(c));
    const plan = layoutGroup(g, nets, plans);
    plan.inner = new Map(item(g).children.filter((c) => plans.get(c).port).map((c) => [c, plans.get(c).port]));
    finish(g, plan);
    plans.set(g, plan);
  }
  const spots = new Map(), at = new Map(), whole = plans.get(ROOT);
  const go = [[ROOT, 0, 0]];
  while (go.length) {
    const [g, a, b] = go.pop();
    const plan = plans.get(g);
    plan.startA += a; plan.startB += b; plan.end = a + plan.a;
    for (const [c, node] of plan.nodes) {
      const middle = (plan.tops[node.layer] + plan.bottoms[node.layer]) / 2;
      const spot = { a: plan.startA + node.x - node.a / 2, b: plan.startB + middle - node.b / 2, da: node.a, db: node.b };
      spots.set(c, spot);
      const [x, y] = turned([spot.a, backwards ? spot.b + spot.db : spot.b], whole);
      at.set(c, { x, y, w: alongA(node.a, node.b), h: alongB(node.a, node.b) });
      if (plans.get(c).nodes) go.push([c, spot.a, spot.b]);
    }
  }
  return { lines, plans, spots, at, w: alongA(whole.a, whole.b), h: alongB(whole.a, whole.b) };
}

// The extent of a group, and where its layers stand in it.
function finish(group, plan) {
  const { layers } = plan;
  let low = Infinity, high = -Infinity, flow = 0;
  plan.tops = []; plan.bottoms = [];
  for (const row of layers) {
    const deep = Math.max(8, ...row.map((node) => node.b));
    plan.tops.push(flow); plan.bottoms.push(flow + deep);
    flow += deep + GAP.layer;
    for (const node of row) { low = Math.min(low, node.x - node.a / 2); high = Math.max(high, node.x + node.a / 2); }
  }
  flow = Math.max(0, flow - GAP.layer);
  if (low > high) { low = 0; high = 0; }
  // The title stands at the top of the screen, and needs a width.
  const text = titleOf(item(group)), inner = group !== ROOT;
  const pad = inner ? GAP.pad : 0, title = inner ? GAP.title : 0, least = inner ? textWidth(text.name + text.kind, TITLE) + 34 : 0;
  plan.a = high - low + 2 * pad + alongB(title, 0);
  plan.b = flow + 2 * pad + alongA(title, 0);
  const missing = Math.max(0, least - alongA(plan.a, plan.b));
  plan.startA = pad - low + alongB(title, 0);
  plan.startB = pad + (across === backwards ? alongA(title, missing) : 0);
  if (across) plan.b += missing; else { plan.a += missing; plan.startA += missing / 2; }
  plan.netOf = new Map(plan.nets.map((net) => [net.u, net]));
  const offset = plan.startA - plan.a / 2;
  plan.port = (u, leaving) => {
    const net = plan.netOf.get(u), place = (id) => plan.nodes.get(id).x + (plan.inner.get(id) ? plan.inner.get(id)(u, leaving) : 0);
    const dummy = leaving ? net.dummies[net.dummies.length - 1] : net.first === 0 && net.dummies[0];
    if (dummy) return dummy.x + offset;
    const ends = leaving ? [net.source] : [...net.targets].filter((t) => t !== BOTTOM);
    return ends.reduce((sum, id) => sum + place(id), 0) / ends.length + offset;
  };
}

function route(line, { plans, spots }) {
  const from = spots.get(line.u), to = spots.get(line.v), whole = plans.get(ROOT);
  const fixed = (...points) => points.map((point) => fix(turned(point, whole))).join(" ");
  if (line.again) return around(from, to, edgeBeside(line, from, to, plans, spots), fixed);
  const points = [[from.a + from.da / 2, from.b + from.db]];
  const through = (group, first, last) => {
    const plan = plans.get(group), net = plan.netOf.get(line.u);
    for (let l = first; l <= last; l++)
      for (const t of [plan.tops[l], plan.bottoms[l]]) points.push([plan.startA + net.dummies[l - net.first].x, plan.startB + t]);
  };
  const { up, down, meet } = line, layer = (group, id) => plans.get(group).nodes.get(id).layer;
  for (let i = 1; i < up.length; i++) through(up[i], layer(up[i], up[i - 1]) + 1, plans.get(up[i]).layers.length - 1);
  through(meet, layer(meet, up[up.length - 1]) + 1, layer(meet, down[down.length - 1]) - 1);
  for (let j = down.length - 1; j >= 1; j--) through(down[j], 0, layer(down[j], down[j - 1]) - 1);
  points.push([to.a + to.da / 2, to.b]);
  let path = `M${fixed(points[0])}`;
  for (let i = 1; i < points.length; i++) {
    const [a0, b0] = points[i - 1], [a1, b1] = points[i];
    path += `C${fixed([a0, (b0 + b1) / 2], [a1, (b0 + b1) / 2], [a1, b1])}`;
  }
  return path;
}

// A line into the next round of a repeated block goes back along the side of what is between.
function edgeBeside(line, from, to, plans, spots) {
  const plan = plans.get(line.meet), first = Math.min(from.b, to.b), last = Math.max(from.b + from.db, to.b + to.db);
  let most = 0;
  for (const c of plan.nodes.keys()) {
    const spot = spots.get(c);
    if (spot.b < last && spot.b + spot.db > first) most = Math.max(most, spot.a + spot.da);
  }
  most = Math.max(most, from.a + from.da, to.a + to.da);
  return Math.min(most + 12, plan.end - 4);
}

function around(from, to, edge, fixed) {
  const end = (spot) => [spot.a + spot.da, spot.b + spot.db / 2];
  if (from === to) {
    const [a, b] = end(from);
    return `M${fixed([a, b + 6])}C${fixed([a + 15, b + 14], [a + 15, b - 14], [a, b - 6])}`;
  }
  const a = (4 * edge - (from.a + from.da)) / 3;
  return `M${fixed(end(from))}C${fixed([a, end(from)[1]], [a, end(to)[1]], end(to))}`;
}

const fix = (point) => point.map((v) => v.toFixed(1)).join(" ");

// ---- drawing ---------------------------------------------------------------------------------

const svg = document.getElementById("picture");
const SVG = "http://www.w3.org/2000/svg";
function make(tag, attributes = {}, inside = null, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  if (inside) inside.appendChild(element);
  return element;
}

function outline(kind, w, h) {
  if (kind === "parameter") return `M0 0H${w - 8}L${w} 8V${h}H0ZM${w - 8} 0V8H${w}`;
  if (kind === "output") return `M8 0H${w - 8}L${w} 8V${h - 8}L${w - 8} ${h}H8L0 ${h - 8}V8Z`;
  if (kind === "module") return `M0 6V${h}H${w}V6H${w - 8}L${w - 12} 0H${w - 38}L${w - 42} 6Z`;
  const r = Math.min(kind === "input" ? h / 2 : 9, w / 2);
  return `M${r} 0H${w - r}A${r} ${r} 0 0 1 ${w} ${r}V${h - r}A${r} ${r} 0 0 1 ${w - r} ${h}H${r}A${r} ${r} 0 0 1 0 ${h - r}V${r}A${r} ${r} 0 0 1 ${r} 0Z`;
}

function drawBox(id, spot, inside) {
  const one = item(id), grouped = isGroup(id);
  const look = data.looks[grouped ? "module" : one.look], broken = data.broken[one.mark];
  const g = make("g", { class: grouped ? "box toggle" : "box", transform: `translate(${fix([spot.x, spot.y])})`, "data-id": id }, inside);
  if (grouped) asButton(g, id, false);
  if (grouped && one.count > 1) make("path", { d: outline("module", spot.w, spot.h), fill: look.fill, stroke: look.line, transform: "translate(4 4)" }, g);
  make("path", {
    class: "shape", d: outline(grouped ? "module" : one.kind, spot.w, spot.h), fill: broken ? broken[0] : look.fill,
    stroke: broken ? data.broken.first[0] : look.line, "stroke-width": one.kind === "output" && !grouped ? 1.8 : 1,
    ...(one.look === "gradient" ? { "stroke-dasharray": "4 3" } : {}),
  }, g);
  const ink = broken ? { style: `fill:${broken[1]}` } : {};
  let y = grouped ? 22 : 18;
  const middle = spot.w / 2;
  if (grouped) {
    const text = make("text", { class: "name strong", x: middle, y, "text-anchor": "middle", ...ink }, g);
    const title = titleOf(one);
    make("tspan", {}, text, title.name);
    make("tspan", { class: "kind", ...ink }, text, title.kind);
    y += 15;
  } else {
    for (const name of one.name.split("\n")) {
      make("text", { class: one.kind === "operator" ? "name" : "name strong", x: middle, y, "text-anchor": "middle", ...ink }, g, clip(name));
      y += 15;
    }
  }
  y -= 2;
  for (const line of one.lines) {
    make("text", { class: "small", x: middle, y, "text-anchor": "middle", ...ink }, g, clip(line));
    y += 12;
  }
  if (one.histogram) bars(one.histogram, make("g", { class: "bars", transform: `translate(${middle - 36} ${y - 6})` }, g), 72, 14);
  return g;
}

function bars(counts, g, w, h) {
  const most = Math.max(...counts), step = w / counts.length;
  counts.forEach((c, i) => {
    const high = c ? Math.max(1, (h * c) / most) : 0;
    make("rect", { x: (i * step).toFixed(1), y: (h - high).toFixed(1), width: (step - 0.6).toFixed(1), height: high.toFixed(1) }, g);
  });
}

function drawOpen(id, spot, inside, above) {
  const one = item(id), title = titleOf(one), fill = data.fills[Math.max(0, one.level) % data.fills.length];
  const move = { transform: `translate(${fix([spot.x, spot.y])})`, "data-id": id };
  const g = make("g", { class: one.count > 1 ? "group repeated" : "group", ...move }, inside);
  make("rect", { class: "shape", width: spot.w.toFixed(1), height: spot.h.toFixed(1), rx: 9, fill }, g);
  // The title lies above the lines, with a rim, so that it stays legible where one crosses it.
  const head = make("g", { class: "head toggle", ...move }, above);
  asButton(head, id, true);
  make("rect", { width: spot.w.toFixed(1), height: 22, fill: "transparent" }, head);
  const text = make("text", { class: "title strong", x: 9, y: 16, style: `stroke:${fill}` }, head);
  make("tspan", { class: "kind" }, text, "▾ ");
  make("tspan", {}, text, title.name);
  make("tspan", { class: "kind" }, text, title.kind);
}

function asButton(element, id, open) {
  const title = titleOf(item(id));
  for (const [key, value] of [["tabindex", 0], ["role", "button"], ["aria-expanded", open], ["aria-label", `${title.name}${title.kind}`]])
    element.setAttribute(key, value);
}

// The order of the computation, which is also that of the Tab key.
function firstIn(id) {
  while (isGroup(id) && item(id).children.length) id = item(id).children[0];
  return id;
}

let drawn = null;
let afterDraw = () => {};  // the player marks its step in each new drawing
let view = { x: 0, y: 0, w: 100, h: 100 };

function draw() {
  drawn = layout();
  svg.replaceChildren();
  const defs = make("defs", {}, svg);
  for (const [name, color] of [["arrow", "#475569"], ["red", "#d92d20"]]) {
    const marker = make("marker", { id: name, viewBox: "0 0 8 8", refX: 7.4, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" }, defs);
    make("path", { d: "M0 .8L8 4L0 7.2Z", fill: color }, marker);
  }
  const back = make("g", {}, svg), middle = make("g", { id: "lines" }, svg), front = make("g", {}, svg);
  const opened = [...drawn.at.keys()].filter((id) => isGroup(id) && !closed.has(id));
  for (const id of opened.sort((p, q) => item(p).depth - item(q).depth)) drawOpen(id, drawn.at.get(id), back, front);
  for (const line of drawn.lines) {
    const faint = !isGroup(line.u) && boxes[line.u].kind === "parameter", broken = boxes[line.source].mark;
    make("path", {
      class: `line${faint ? " parameter" : ""}${line.again ? " again" : ""}${broken ? " broken" : ""}`, d: route(line, drawn),
      "data-from": line.u, "data-to": line.v, ...(faint ? {} : { "marker-end": `url(#${broken ? "red" : "arrow"})` }),
    }, middle);
  }
  const boxed = [...drawn.at.keys()].filter((id) => !isGroup(id) || closed.has(id));
  for (const id of boxed.sort((p, q) => firstIn(p) - firstIn(q))) drawBox(id, drawn.at.get(id), front);
  mark();
  afterDraw();
}

// ---- looking around --------------------------------------------------------------------------

function show() {
  svg.setAttribute("viewBox", `${fix([view.x, view.y])} ${fix([view.w, view.h])}`);
}

function fit() {
  const area = svg.getBoundingClientRect(), w = drawn.w + 40, h = drawn.h + 40;
  // Never larger than life, and never smaller than legible: then the top is shown.
  const scale = Math.max(0.6, Math.min(1.25, area.width / w, area.height / h));
  view = { w: area.width / scale, h: area.height / scale };
  view.x = drawn.w / 2 - view.w / 2;
  view.y = h * scale <= area.height ? drawn.h / 2 - view.h / 2 : -20;
  if (across && w * scale > area.width) view.x = -20;
  show();
}

function center(id) {
  const spot = drawn.at.get(id);
  view.x = spot.x + spot.w / 2 - view.w / 2;
  view.y = spot.y + Math.min(spot.h / 2, view.h / 3) - view.h / 2;
  show();
}

function toggle(id) {
  const before = drawn.at.get(id);
  if (closed.has(id)) closed.delete(id); else closed.add(id);
  draw();
  const after = drawn.at.get(id);
  view.x += after.x + after.w / 2 - before.x - before.w / 2;
  view.y += after.y - before.y;
  show();
  const button = svg.querySelector(`.toggle[data-id="${id}"]`);
  if (button) button.focus({ preventScroll: true });
}

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const area = svg.getBoundingClientRect(), factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004);
  if (view.w * factor > 60000 || view.w * factor < 60) return;
  const px = (event.clientX - area.left) / area.width, py = (event.clientY - area.top) / area.height;
  view = { x: view.x + view.w * px * (1 - factor), y: view.y + view.h * py * (1 - factor), w: view.w * factor, h: view.h * factor };
  show();
}, { passive: false });

let drag = null;
svg.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, y: event.clientY, moved: false }; });
window.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true;
  svg.classList.add("dragging");
  const scale = view.w / svg.getBoundingClientRect().width;
  view.x -= dx * scale; view.y -= dy * scale;
  drag.x = event.clientX; drag.y = event.clientY;
  show();
});
window.addEventListener("pointerup", () => { svg.classList.remove("dragging"); setTimeout(() => { drag = null; }); });
svg.addEventListener("click", (event) => {
  const button = event.target.closest(".toggle");
  if (button && !(drag && drag.moved)) toggle(Number(button.dataset.id));
});
svg.addEventListener("keydown", (event) => {
  const button = event.target.closest(".toggle");
  if (button && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); toggle(Number(button.dataset.id)); }
});

// ---- details on hovering ---------------------------------------------------------------------

const details = document.getElementById("details");
function describe(id, event) {
  const one = item(id);
  details.replaceChildren();
  const heading = document.createElement("h2");
  heading.textContent = isGroup(id) ? titleOf(one).name + titleOf(one).kind : one.full;
  const table = document.createElement("table");
  for (const [label, text, code] of one.details) {
    const row = table.insertRow();
    row.insertCell().textContent = label;
    const cell = row.insertCell();
    if (code) cell.appendChild(document.createElement("code")).textContent = text;
    else cell.textContent = text;
  }
  details.append(heading, table);
  if (one.values) {
    const chart = make("svg", { width: 240, height: 44 });
    bars(one.values, make("g", { class: "bars" }, chart), 240, 42);
    details.append(chart);
  }
  details.hidden = false;
  const w = details.offsetWidth, h = details.offsetHeight;
  details.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 6))}px`;
  details.style.top = `${event.clientY + 16 + h < innerHeight ? event.clientY + 16 : Math.max(4, event.clientY - h - 12)}px`;
}

svg.addEventListener("mouseover", (event) => {
  const target = event.target.closest(".box, .toggle");
  const lines = document.getElementById("lines");
  if (!target || (drag && drag.moved)) { details.hidden = true; lines.classList.remove("near"); return; }
  const id = Number(target.dataset.id);
  describe(id, event);
  let any = false;
  for (const path of lines.children) {
    const lit = Number(path.dataset.from) === id || Number(path.dataset.to) === id;
    path.classList.toggle("lit", lit);
    any = any || lit;
  }
  lines.classList.toggle("near", any);
});
svg.addEventListener("mouseleave", () => { details.hidden = true; document.getElementById("lines").classList.remove("near"); });

// ---- search ----------------------------------------------------------------------------------

const search = document.getElementById("search"), found = document.getElementById("found");
let matches = [], current = -1;
function find() {
  const wanted = search.value.trim().toLowerCase();
  matches = [];
  if (wanted) {
    const text = (one, grouped) => (grouped ? `${one.name} ${one.kind}` : `${one.full} ${one.module}`).toLowerCase();
    boxes.forEach((one, i) => { if (text(one, false).includes(wanted)) matches.push(i); });
    groups.forEach((one, i) => { if (i && text(one, true).includes(wanted)) matches.push(n + i); });
  }
  current = -1;
  found.textContent = wanted ? `${matches.length || "no"} match${matches.length === 1 ? "" : "es"}` : "";
  mark();
}
function mark() {
  svg.querySelectorAll(".match, .current").forEach((element) => element.classList.remove("match", "current"));
  matches.forEach((id, i) => {
    const seen = shown(id);
    svg.querySelectorAll(`.box[data-id="${seen}"], .group[data-id="${seen}"]`).forEach((element) => {
      element.classList.add("match");
      if (i === current) element.classList.add("current");
    });
  });
}
function next(step) {
  if (!matches.length) return;
  current = (current + step + matches.length) % matches.length;
  const id = matches[current];
  for (let g = parent[id]; g !== undefined; g = parent[g]) closed.delete(g);
  draw();
  center(id);
  found.textContent = `${current + 1} of ${matches.length}`;
}
search.addEventListener("input", find);
search.addEventListener("keydown", (event) => { if (event.key === "Enter") next(event.shiftKey ? -1 : 1); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
});

// ---- buttons, legend -------------------------------------------------------------------------

const on = (id, action) => document.getElementById(id).addEventListener("click", action);
const redraw = (set) => { closed = new Set(set); draw(); fit(); };
on("open-all", () => redraw(groups.flatMap((g, i) => (g.kind === "more operators" ? [n + i] : []))));
on("close-all", () => redraw(groups.flatMap((g, i) => (i ? [n + i] : []))));
on("reset", () => redraw(startClosed));
on("fit", fit);
const legend = document.getElementById("legend");
for (const [kind, look] of Object.entries(data.looks)) {
  if (!data.legend.includes(kind)) continue;
  const entry = document.createElement("span");
  const picture = make("svg", { width: 30, height: 16 });
  make("path", { d: outline(kind, 44, 22), fill: look.fill, stroke: look.line, transform: "translate(1 1) scale(.62)", ...(kind === "gradient" ? { "stroke-dasharray": "4 3" } : {}) }, picture);
  entry.append(picture, look.title);
  legend.append(entry);
}
document.getElementById("remarks").textContent = data.remarks.join(" · ");
window.addEventListener("resize", fit);
draw();
fit();
