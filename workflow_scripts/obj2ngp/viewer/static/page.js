// The page of one object: the field to turn, and what is known of it.
"use strict";

const $ = (id) => document.getElementById(id);
const object = JSON.parse($("object").textContent);
const SPIN = 24; // degrees a second
const PICTURES = ["truth", "prediction", "error"]; // of a test view, as the page's picture of them has them
let player = null, camera = null, mesh = null, shown = -1;

function element(name, attributes = {}, ...children) {
  const svg = ["line", "polyline", "text", "path"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function press(button, on) {
  button.setAttribute("aria-pressed", on);
  return on;
}

const pressed = (button) => button.getAttribute("aria-pressed") === "true";

function explain(error) {
  const links = Object.entries({ "the turntable": "orbit.gif", "the mesh": object.mesh });
  const offers = links.filter(([, file]) => file && window === window.top).map(([text, file]) => element("a", { href: file }, text));
  $("problem").replaceChildren(error.message + (offers.length ? " Look at " : ""), ...offers.flatMap((a, i) => (i ? [" or ", a] : [a])));
  $("problem").hidden = false;
}

async function start() {
  const gl = object.field && $("canvas").getContext("webgl2", { antialias: false, depth: false });
  const begun = (async () => gl && new Field(gl, object.field))(); // runs at once; what it throws waits to be caught below
  describe();
  try {
    if (!object.field) throw new FieldError(object.problem);
    if (!gl) throw new FieldError("This browser has no WebGL 2, which the live view needs.");
    const field = await begun;
    field.fill(await inflated($("data").textContent));
    camera = new Camera(object.field);
    player = new Player(field, camera);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return explain(error);
  }
  $("over").querySelector("[value=mesh]").disabled = !object.source;
  steer($("stage"), camera);
  tools();
  camera.addEventListener("change", place);
  camera.addEventListener("own", () => window.parent.postMessage({ obj2ngp: camera.state }, "*"));
  window.addEventListener("message", ({ data }) => {
    if (data && data.obj2ngp) camera.state = data.obj2ngp;
  });
  player.addEventListener("picture", ({ detail: { width, height, rays, milliseconds } }) => {
    $("speed").textContent = `${width}×${height}${rays > 1 ? `, ${rays}×${rays} rays` : ""}, ${milliseconds.toFixed(0)} ms`;
  });
  $("canvas").addEventListener("webglcontextlost", () => explain(new FieldError("The graphics card gave up. Reload the page.")));
  new ResizeObserver(() => { player.fit(); place(); }).observe($("stage"));
}

function tools() {
  $("where").disabled = !object.lens;
  const toggles = {
    spin: (on) => on && spin(performance.now()),
    depth: (on) => { player.look.depth = on; player.redraw(); },
    where: (on) => {
      $("cameras").toggleAttribute("hidden", !on);
      if (on && !camera.view) camera.zoom(Math.max(1, (3.5 * camera.unit) / camera.distance)); // back to where they stand
      place();
    },
  };
  for (const [id, act] of Object.entries(toggles)) $(id).addEventListener("click", () => act(press($(id), !pressed($(id)))));
  $("reset").addEventListener("click", () => camera.reset());
  $("background").addEventListener("input", () => {
    player.look.background = [1, 3, 5].map((i) => parseInt($("background").value.slice(i, i + 2), 16) / 255);
    player.redraw();
    cover();
  });
  const keys = { d: "depth", c: "where", " ": "spin" };
  $("stage").addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    $(keys[event.key]).click();
  });
  $("stage").addEventListener("pointerdown", () => press($("spin"), false));
}

function spin(before) {
  requestAnimationFrame((now) => {
    if (!pressed($("spin"))) return;
    if (player.busy && player.stale) return spin(before); // the last picture is not there yet
    camera.turn((SPIN * Math.min(500, now - before)) / 1000, 0);
    spin(now);
  });
}

/** What is known of the object, on the panel. */
function describe() {
  $("name").textContent = object.name;
  $("mean").textContent = object.mean || "";
  for (const [name, value] of object.facts) $("facts").append(element("dt", {}, name), element("dd", {}, value));
  for (const [text, file] of object.files) $("links").append(element("li", {}, element("a", { href: file }, text)));
  $("files").hidden = !object.files.length;
  for (const id of ["times", "settings"]) {
    for (const [name, value] of object[id]) $(id).lastElementChild.append(element("dt", {}, name), element("dd", {}, value));
    $(id).hidden = !object[id].length;
  }
  if (object.curve.length > 1) curve();
  for (const option of $("over").options) option.disabled = option.value === "mesh" || (option.value !== "" && !object.rows.length);
  $("over").addEventListener("change", async () => {
    if ($("over").value === "mesh") mesh ??= new SourceMesh($("mesh"), object.source, await inflated($("source").textContent));
    if (PICTURES.includes($("over").value)) look(shown < 0 ? 0 : shown);
    cover();
  });
  $("slider").addEventListener("input", cover);
  if (object.rows.length) {
    const bytes = Uint8Array.from(atob($("pictures").textContent), (c) => c.charCodeAt(0));
    const style = document.documentElement.style;
    style.setProperty("--pictures", `url("${URL.createObjectURL(new Blob([bytes], { type: "image/webp" }))}")`);
    style.setProperty("--rows", object.rows.length);
    style.setProperty("--aspect", object.aspect);
  }
  if (object.views.length) views();
}

/** The test views: a bar for each, and its pictures. */
function views() {
  $("views").hidden = false;
  const numbers = object.views.map(({ psnr }) => psnr).filter((x) => x !== null);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const bars = object.views.map((view, index) => {
    const known = view.psnr !== null, part = known ? 25 + (75 * (view.psnr - low)) / Math.max(1e-6, high - low) : 25;
    const bar = element("button", { type: "button", style: `--part: ${part}%`, title: nameOf(view), "aria-label": nameOf(view), "aria-pressed": "false" });
    bar.addEventListener("click", () => look(index));
    return bar;
  });
  $("bars").append(...bars);
  for (const [id, extreme] of [["worst", low], ["best", high]]) {
    $(id).disabled = !numbers.length;
    $(id).addEventListener("click", () => look(object.views.findIndex(({ psnr }) => psnr === extreme)));
  }
  if (numbers.length) choose(object.views.findIndex(({ psnr }) => psnr === low));
}

const nameOf = ({ name, psnr }) => `View ${name}` + (psnr === null ? "" : `: ${psnr.toFixed(2)} dB`);

/** Shows the pictures of a test view beside its bar. */
function choose(index) {
  const view = object.views[index], row = object.rows.indexOf(view.name);
  shown = index;
  $("which").textContent = nameOf(view) + (row < 0 && object.rows.length ? "; its pictures are not in this page" : "");
  $("tiles").hidden = row < 0;
  document.documentElement.style.setProperty("--row", Math.max(0, row));
  for (const tile of document.querySelectorAll("#tiles .picture")) tile.setAttribute("aria-label", `View ${view.name}, ${tile.className.slice(8)}`);
}

/** Looks from a test view. */
function look(index) {
  choose(index);
  if (camera) camera.stand({ pose: object.views[index].pose, ...object.lens });
  $("bars").childNodes.forEach((bar, i) => press(bar, i === index));
  place();
}

/** Puts the source mesh, or a picture of the test view where the camera stands, over the live view. */
function cover() {
  const over = $("over").value, isPicture = PICTURES.includes(over), inset = $("inset");
  const row = isPicture && (!camera || camera.view) ? object.rows.indexOf(object.views[shown].name) : -1;
  inset.hidden = row < 0;
  $("mesh").toggleAttribute("hidden", over !== "mesh" || !mesh);
  $("front").className = `picture ${over}`;
  $("front").setAttribute("aria-label", isPicture ? `View ${object.views[shown].name}, ${over}` : "");
  $("back").className = "picture prediction";
  $("back").hidden = Boolean(camera); // the live view is there
  $("sliding").hidden = !over;
  $("stage").classList.toggle("split", !inset.hidden || !$("mesh").hidden);
  const at = $("slider").value / 100, { offsetLeft, offsetWidth } = inset.hidden ? $("stage") : inset;
  $("stage").style.setProperty("--at", `${100 * at}%`);
  $("stage").style.setProperty("--line-at", `${(inset.hidden ? 0 : offsetLeft) + at * offsetWidth}px`);
  if (!$("mesh").hidden) {
    const { clientWidth, clientHeight } = $("mesh");
    mesh.draw(framed(camera.lens, clientWidth, clientHeight), camera.unit, player.look.background);
  }
}

/** Moves what lies over the live view to where the camera has it. */
function place() {
  const { clientWidth: width, clientHeight: height } = $("stage"), lens = camera ? camera.lens : object.lens;
  const inner = Math.min(width, height * lens.aspect), high = inner / lens.aspect;
  Object.assign($("inset").style, {
    left: `${(width - inner) / 2}px`, top: `${(height - high) / 2}px`, width: `${inner}px`, height: `${high}px`,
  });
  if (camera && !camera.view) $("bars").childNodes.forEach((bar) => press(bar, false));
  cover();
  if (pressed($("where"))) drawCameras(lens, (width - inner) / 2, (height - high) / 2, inner);
}

/** The cameras of the test and training views, as pyramids. */
function drawCameras({ pose, focal, center, aspect }, left, top, inner) {
  const project = (point) => {
    const away = point.map((x, i) => x - pose[i][3]);
    const [x, y, z] = [0, 1, 2].map((c) => away[0] * pose[0][c] + away[1] * pose[1][c] + away[2] * pose[2][c]);
    if (z > -1e-3) return null;
    return [left + inner * (center[0] - (focal * x) / z), top + inner * (center[1] / aspect + (focal * y) / z)];
  };
  const size = 0.05 / object.field.scale, reach = 0.5 / object.lens.focal, wide = object.lens.aspect;
  const paths = [["training", object.cameras], ["test", object.views.map((view) => view.pose)]].flatMap(([kind, poses]) =>
    poses.map((from) => {
      const at = (x, y, z) => project([0, 1, 2].map((i) => from[i][3] + size * (from[i][0] * x + from[i][1] * y + from[i][2] * z)));
      const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => at(x * reach, (y * reach) / wide, -1));
      const tip = at(0, 0, 0);
      if (!tip || corners.some((corner) => !corner)) return null;
      const line = (points) => "M" + points.map((p) => p.map((x) => x.toFixed(1)).join(" ")).join("L");
      const d = line([...corners, corners[0]]) + corners.map((corner) => line([tip, corner])).join("");
      return element("path", { d, fill: "none", stroke: kind === "test" ? "#c2410c" : "#0f6a73", "stroke-width": 1 });
    }));
  $("cameras").replaceChildren(...paths.filter(Boolean));
}

/** PSNR of the training batches over the seconds of training. */
function curve() {
  $("training").hidden = false;
  const [width, height, edge] = [300, 120, 24];
  const seconds = object.curve.map(([x]) => x), decibels = object.curve.map(([, y]) => y);
  const [last, low, high] = [Math.max(...seconds), Math.floor(Math.min(...decibels)), Math.ceil(Math.max(...decibels))];
  const x = (value) => edge + ((width - edge - 6) * value) / last;
  const y = (value) => height - edge - ((height - edge - 8) * (value - low)) / Math.max(1, high - low);
  $("curve").setAttribute("aria-label", `PSNR of the training batches: ${decibels.at(-1).toFixed(1)} dB after ${last.toFixed(0)} s`);
  $("curve").append(
    element("line", { x1: edge, x2: width - 6, y1: y(low), y2: y(low) }), element("line", { x1: edge, x2: edge, y1: y(low), y2: y(high) }),
    element("polyline", { points: object.curve.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") }),
    element("text", { x: 0, y: y(high) + 4 }, `${high} dB`), element("text", { x: 0, y: y(low) }, `${low} dB`),
    element("text", { x: edge, y: height - 8 }, "0 s"), element("text", { x: width - 6, y: height - 8, "text-anchor": "end" }, `${last.toFixed(0)} s`),
  );
}

document.body.classList.toggle("bare", location.hash === "#bare");
start();
