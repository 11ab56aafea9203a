// Pictures of a field as its camera moves: coarse at once, then finer, as fast as the graphics card allows.
"use strict";

const FRAME = 40; // milliseconds that a picture may take while the camera moves
const STRIP = 60; // milliseconds of work between two looks at what the reader does
const STRIPS = 24; // of a picture, at most
const LEAST = 2000; // rays of a strip: coarse pictures are drawn at once
const COARSEST = 1 / 16; // of the canvas's pixels along an edge
const FINEST = 3; // rays along each edge of a pixel, at rest
const PATIENCE = 10000; // milliseconds beyond which a finer picture is not begun

class Player extends EventTarget {
  /** Draws `field` on its canvas as `camera` sees it. look: background [r, g, b] and depth. */
  constructor(field, camera) {
    super();
    Object.assign(this, { field, camera, look: { background: [1, 1, 1], depth: false } });
    this.cost = 0.02; // milliseconds a ray: at first that of a slow machine, then what the last pictures took
    this.work = LEAST; // rays of a strip
    this.stale = this.busy = false;
    this.finest = FINEST;
    camera.addEventListener("change", () => this.redraw());
  }

  redraw() {
    this.stale = true;
    if (!this.busy) this._work();
  }

  /** Fits the canvas to its place on the page. */
  fit() {
    const { canvas } = this.field.gl, dense = Math.min(devicePixelRatio, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((x) => Math.max(1, Math.round(x * dense)));
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      if (this.field.target.width && !this.busy) this.field.show(); // stretched, rather than nothing
    }
    this.redraw();
  }

  async _work() {
    this.busy = true;
    while (this.stale) {
      this.stale = false;
      await this._refine();
    }
    this.busy = false;
    this.dispatchEvent(new Event("rest"));
  }

  /** Pictures of rising quality, until the camera moves. The first is always shown. */
  async _refine() {
    const { canvas } = this.field.gl;
    const fitting = Math.sqrt(FRAME / (this.cost * canvas.width * canvas.height));
    const passes = [];
    for (let scale = Math.min(1, Math.max(COARSEST, fitting)); scale < 1; scale = scale > 0.4 ? 1 : 2 * scale)
      passes.push({ scale, rays: 1 });
    for (let rays = 1; rays <= this.finest; ++rays) passes.push({ scale: 1, rays });
    for (const [index, pass] of passes.entries()) {
      const time = this.cost * canvas.width * canvas.height * (pass.scale * pass.rays) ** 2;
      if (pass.rays > 1 && time > PATIENCE) return;
      if (!(await this._picture(pass, index === 0))) return;
    }
  }

  /** Draws one picture; false if the camera moved meanwhile, which does not stop a picture that `must` be shown. */
  async _picture({ scale, rays }, must) {
    const { field } = this, { canvas } = field.gl, begin = performance.now();
    const [width, height] = [canvas.width, canvas.height].map((x) => Math.max(1, Math.round(x * scale)));
    field.prepare(width, height, framed(this.camera.lens, width, height), { ...this.look, rays });
    for (let y = 0; y < height; ) {
      const fitting = Math.max(height / STRIPS, this.work / (width * rays * rays));
      const rows = Math.min(height - y, Math.ceil(fitting));
      const start = performance.now();
      field.draw(0, y, width, rows);
      await finished(field.gl);
      y += rows;
      this.work = Math.max(LEAST, this.work * Math.min(2, Math.max(0.5, STRIP / (performance.now() - start))));
      if (this.stale && !must) return false;
    }
    field.show();
    const milliseconds = performance.now() - begin, cost = milliseconds / (width * height * rays * rays);
    this.cost = Math.sqrt(this.cost * Math.min(cost, 4 * this.cost)); // a single hitch counts little
    const detail = { width, height, rays, milliseconds };
    this.dispatchEvent(new CustomEvent("picture", { detail }));
    await new Promise((next) => requestAnimationFrame(next));
    return !this.stale;
  }
}

/** A lens in sizes of a picture of width x height pixels, in whose middle the lens's own picture lies, just inside. */
function framed({ pose, focal, center, aspect }, width, height) {
  const inner = Math.min(width, height * aspect), high = inner / aspect;
  const middle = [(width - inner) / 2 + center[0] * inner, (height - high) / 2 + center[1] * high];
  return { pose, focal: (focal * inner) / width, center: [middle[0] / width, middle[1] / height] };
}

/** Waits until the graphics card has done what it was told. */
async function finished(gl) {
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  do await new Promise((next) => setTimeout(next, 1));
  while (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED);
  gl.deleteSync(fence);
}
