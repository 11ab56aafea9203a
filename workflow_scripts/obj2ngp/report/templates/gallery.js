// The gallery: what is known of the objects, which of them are shown in which order, and the object that is open.
"use strict";

const $ = (id) => document.getElementById(id);
const about = JSON.parse($("description").textContent);
const LOADING = 4; // scripts of data that are on their way at once
const FIELDS = ["q", "sort", "category", "status", "metric", "from", "to"];

const gallery = {
  columns: { name: [], status: [], files: [], backend: [], resolution: [] },
  loaded: 0,
  waiting: new Map(),
  all: null,
  /** Called by the scripts of data. */
  take(number, data) {
    const begin = number * about.shard;
    for (const [column, values] of Object.entries(data)) {
      const columns = this.columns;
      columns[column] ??= ["other", "exports"].includes(column) ? [] : new Float64Array(about.count).fill(NaN);
      for (let i = 0; i < values.length; ++i) columns[column][begin + i] = values[i] ?? (columns[column] instanceof Float64Array ? NaN : null);
    }
    this.waiting.get(number)?.();
  },
};

const shards = Math.ceil(about.count / about.shard);
const cards = new Cards($("cards"), write);
let haystack = null, category = null; // of each object: what is searched, and its category

function load(number) {
  return new Promise((done, failed) => {
    gallery.waiting.set(number, done);
    const script = made("script", { src: `data/${number}.js` });
    script.addEventListener("error", failed);
    document.head.append(script);
  }).then(() => ++gallery.loaded);
}

/** All scripts of data, from the first time that somebody wants more than the first objects. */
function loadAll() {
  gallery.all ??= (async () => {
    let next = 1;
    const worker = async () => { while (next < shards) await load(next++); };
    await Promise.all(Array.from({ length: LOADING }, worker));
    const { name } = gallery.columns;
    category = name.map(categoryOf);
    haystack = name.map((each, i) => `${each} ${about.categories[category[i]]?.[0] ?? ""}`.toLowerCase());
    if (cards.order.length) cards.show(cards.order); // what was not known is written now
  })();
  return gallery.all;
}

const categoryOf = (name) => (/^(\d{8})-/.exec(name) || /^([^-]+)-/.exec(name) || ["", ""])[1];
const bit = (file) => 1 << about.files.indexOf(file);
const has = (index, file) => (gallery.columns.files[index] & bit(file)) !== 0;
const address = (index, file, base = about.base) => base + [gallery.columns.name[index], ...file.split("/")].map(encodeURIComponent).join("/");
const number = (format, value) => {
  const [, digits, unit] = /^\{:\.(\d+)f\}(.*)$/.exec(format) ?? [null, 3, ""];
  return value.toFixed(digits) + unit;
};

/** The content of an object's card. */
function write(index) {
  const { columns } = gallery, name = columns.name[index];
  if (name === undefined) return [made("p", { class: "text" }, "…")];
  const view = made("span", { class: "view" }, has(index, "orbit.webp") ? "" : "no turntable");
  if (has(index, about.files[0])) {
    const image = made("img", { src: address(index, about.files[0]), alt: "", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    view.append(image);
  } else if (has(index, "orbit.webp")) view.append(still(address(index, "orbit.webp")));
  const wanted = [state().get("metric"), (state().get("sort") ?? "").split("-")[0]]; // beside the first few
  const metrics = about.metrics.filter((metric, place) => place < about.few || wanted.includes(metric.name));
  const figures = metrics.filter((metric) => !isNaN(columns[metric.name][index])).map((metric) =>
    made("span", {}, made("small", {}, metric.title + " "), number(metric.format, columns[metric.name][index])));
  const facts = [
    !isNaN(columns.steps[index]) && `${columns.steps[index]} steps in ${columns.training_seconds[index].toFixed(0)} s on ${columns.backend[index]}`,
    columns.resolution[index], !isNaN(columns.faces[index]) && `${columns.faces[index].toLocaleString("en")} faces`,
  ].filter(Boolean);
  const status = columns.status[index];
  const text = made("span", { class: "text" }, made("span", { class: "name", title: name }, name),
    figures.length ? made("span", { class: "figures" }, ...figures) : null,
    status ? made("span", { class: "bad" }, status) : made("span", { class: "facts" }, facts.join(", ")));
  const button = made("button", { type: "button" }, view, text);
  if (has(index, "orbit.mp4")) turntable(button, view, address(index, "orbit.mp4"));
  button.addEventListener("click", () => change({ object: name }));
  return [button];
}

// The state: what the address's hash says.

const state = () => new URLSearchParams(location.hash.slice(1));

function change(values) {
  const next = state();
  for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
  history.replaceState(null, "", `#${next}`);
  apply();
}

/** Shows what the hash says. */
async function apply() {
  const now = state();
  for (const field of FIELDS) if ($("form").elements[field].value !== (now.get(field) ?? "")) $("form").elements[field].value = now.get(field) ?? "";
  if ([...now].length) await loadAll();
  const order = chosen(now);
  cards.show(order);
  $("none").hidden = order.length > 0;
  $("shown").textContent = `${order.length} of ${about.count} object${about.count === 1 ? "" : "s"}`;
  open(now.get("object"), now.get("with"));
}

/** The indices of the objects that the state wants, in its order. */
function chosen(now) {
  const { columns } = gallery, order = [];
  const words = (now.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const [of, status] = [now.get("category"), now.get("status")];
  const values = columns[now.get("metric") || about.metrics[0]?.name];
  const [from, to] = [parseFloat(now.get("from")), parseFloat(now.get("to"))];
  for (let i = 0; i < about.count; ++i) {
    if (words.length && !words.every((word) => haystack[i].includes(word))) continue;
    if (of && category[i] !== of) continue;
    if (status && (columns.status[i] === "") !== (status === "ok")) continue;
    if (!isNaN(from) && !(values[i] >= from)) continue;
    if (!isNaN(to) && !(values[i] <= to)) continue;
    order.push(i);
  }
  const [key, down] = (now.get("sort") ?? "").split("-");
  if (!key) return order;
  const keys = key === "change" ? columns.psnr.map((x, i) => x - (columns.other[i] ?? NaN)) : columns[key === "name" ? "rank" : key];
  if (!keys) return order;
  return sorted(order, keys, down !== undefined);
}

/** Indices by their keys, those without a number last: by numbers that hold key and place, which sort at once. */
function sorted(order, keys, down) {
  let low = Infinity, high = -Infinity, known = 0;
  for (const i of order) if (keys[i] < low) low = keys[i];
  for (const i of order) if (keys[i] > high) high = keys[i];
  const PLACES = 2 ** 20, scale = high > low ? (2 ** 32 - 1) / (high - low) : 0;
  const numbers = new Float64Array(order.length), unknown = [];
  for (let place = 0; place < order.length; ++place) {
    const key = keys[order[place]];
    if (isNaN(key)) unknown.push(order[place]);
    else numbers[known++] = Math.round(scale * (down ? high - key : key - low)) * PLACES + place;
  }
  const result = Array(known);
  numbers.subarray(0, known).sort().forEach((number, i) => { result[i] = order[number - Math.floor(number / PLACES) * PLACES]; });
  return result.concat(unknown);
}

// The object that is open.

function pane(index, base, title) {
  const heading = title ? made("h3", {}, title) : null;
  const exports = (base === about.base && gallery.columns.exports?.[index]) || [];
  const more = exports.length ? made("p", { class: "exports" }, "Exports: ", ...exports.flatMap((file, i) => [i ? ", " : "", made("a", { href: address(index, file) }, file.replace("export/", ""))])) : null;
  if (base !== about.base || has(index, "viewer.html")) {
    const frame = made("iframe", { src: address(index, "viewer.html", base), title: title || gallery.columns.name[index] });
    return made("div", { class: "pane" }, heading, frame, more);
  }
  const links = about.files.slice(1).filter((file) => has(index, file)).map((file) => made("li", {}, made("a", { href: address(index, file) }, file)));
  const video = has(index, "orbit.mp4") ? made("video", { src: address(index, "orbit.mp4"), loop: "", controls: "", muted: "", "aria-label": "Turntable" }) : null;
  const status = gallery.columns.status[index];
  return made("div", { class: "pane" }, heading, made("div", {}, video, made("p", status ? { class: "bad" } : {}, status || "It has no page of its own."), made("ul", {}, ...links), more));
}

function open(name, other) {
  const index = name ? gallery.columns.name.indexOf(name) : -1;
  if (index < 0) return void ($("dialog").open && $("dialog").close());
  const beside = other ? gallery.columns.name.indexOf(other) : -1, key = `${index} ${beside}`;
  if ($("dialog").open && $("dialog").key === key) return;
  $("dialog").key = key;
  $("title").textContent = name;
  $("with").value = beside < 0 ? "" : other;
  const panes = [pane(index, about.base, beside >= 0 || about.other ? name : "")];
  if (beside >= 0) panes.push(pane(beside, about.base, other));
  else if (about.other && gallery.columns.other[index] !== null) panes.push(pane(index, about.other, `${name} of the other run`));
  $("panes").replaceChildren(...panes);
  if (!$("dialog").open) $("dialog").showModal();
  $("title").focus();
}

function step(by) {
  const order = cards.order, place = order.indexOf(gallery.columns.name.indexOf(state().get("object")));
  const next = order[(place + by + order.length) % order.length];
  if (next !== undefined) change({ object: gallery.columns.name[next], with: "" });
}

/** Cameras of pages that are open beside each other move together. */
addEventListener("message", ({ data, source }) => {
  if (!data || !data.obj2ngp) return;
  for (const frame of $("panes").querySelectorAll("iframe"))
    if (frame.contentWindow !== source) frame.contentWindow.postMessage(data, "*");
});

function begin() {
  const option = (value, text) => made("option", { value }, text);
  $("sort").append(option("", "of the run"), option("name", "name"),
    ...about.metrics.flatMap(({ name, title, better }) => [
      option(better === "higher" ? `${name}-down` : name, `${title}, best first`),
      option(better === "higher" ? name : `${name}-down`, `${title}, worst first`)]),
    option("training_seconds", "training time, shortest first"));
  if (about.other && about.metrics.some(({ name }) => name === "psnr"))
    $("sort").append(option("change", "PSNR lost against the other run"), option("change-down", "PSNR gained on the other run"));
  $("category").append(option("", "all"), ...Object.entries(about.categories).map(([key, [title, count]]) => option(key, `${title} (${count})`)));
  $("categories").hidden = !Object.keys(about.categories).length;
  $("metric").append(option("", about.metrics[0]?.title ?? "nothing"), ...about.metrics.slice(1).map(({ name, title }) => option(name, title)),
    ...about.numbers.map((name) => option(name, name.replaceAll("_", " "))));
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("form").addEventListener("input", () => change(Object.fromEntries(FIELDS.map((field) => [field, $("form").elements[field].value]))));
  $("form").addEventListener("reset", (event) => {
    event.preventDefault();
    change(Object.fromEntries(FIELDS.map((field) => [field, ""])));
  });
  $("close").addEventListener("click", () => $("dialog").close());
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("beside").addEventListener("submit", (event) => event.preventDefault());
  $("with").addEventListener("change", () => change({ with: $("with").value }));
  $("with").addEventListener("input", () => {
    const start = $("with").value.toLowerCase(), near = gallery.columns.name.filter((name) => name.toLowerCase().includes(start)).slice(0, 20);
    $("names").replaceChildren(...near.map((name) => option(name, name)));
  });
  $("dialog").addEventListener("close", () => {
    $("panes").replaceChildren();
    const place = cards.order.indexOf(gallery.columns.name.indexOf(state().get("object")));
    change({ object: "", with: "" });
    if (place >= 0) cards.focus(place);
  });
  addEventListener("hashchange", apply);
  for (const kind of ["pointermove", "keydown", "touchstart", "focusin", "scroll"])
    addEventListener(kind, loadAll, { once: true, passive: true });
}

(about.count ? load(0) : Promise.resolve()).then(() => {
  begin();
  return apply();
});
