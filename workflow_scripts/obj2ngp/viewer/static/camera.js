// A camera that people turn: poses as in obj2ngp.common.cameras, hands and keys on the stage.
"use strict";

const FOV = 49.13, FIRST = { azimuth: 55, elevation: 20 }; // degrees: those of the turntable
const RADIUS = 1.5; // edges of the unit cube between the camera and its middle, as in the turntable
const radians = (degrees) => (degrees * Math.PI) / 180;

/** Pose (4 rows, camera to world, OpenGL axes) of a camera at `distance` from the point that it looks at. */
function orbitPose({ azimuth, elevation, distance, target }) {
  const [a, e] = [radians(azimuth), radians(elevation)];
  const backward = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [0, 1, 2].map((i) => {
    const [j, k] = [(i + 1) % 3, (i + 2) % 3];
    return backward[j] * right[k] - backward[k] * right[j];
  });
  const rows = [0, 1, 2].map((i) => [right[i], up[i], backward[i], target[i] + distance * backward[i]]);
  return [...rows, [0, 0, 0, 1]];
}

class Camera extends EventTarget {
  /** Looks at the middle of the unit cube of a model (the page's description), as the turntable's first frame does. */
  constructor(model) {
    super();
    this.middle = model.offset.map((x) => (0.5 - x) / model.scale);
    this.unit = 1 / model.scale;
    this.reset();
  }

  reset() {
    Object.assign(this, { ...FIRST, distance: RADIUS * this.unit, target: [...this.middle], view: null });
    this._changed();
  }

  /** What it sees: pose, and focal, center and aspect (width / height) in sizes of the picture. */
  get lens() {
    if (this.view) return this.view;
    return { pose: orbitPose(this), focal: 0.5 / Math.tan(radians(FOV) / 2), center: [0.5, 0.5], aspect: 1 };
  }

  /** Stands where a given camera stands, until somebody moves it. */
  stand(view) {
    const away = view.pose.slice(0, 3).map((row, i) => row[3] - this.middle[i]);
    this.distance = Math.max(1e-3 * this.unit, Math.hypot(...away));
    this.azimuth = (Math.atan2(away[1], away[0]) * 180) / Math.PI;
    this.elevation = (Math.asin(away[2] / this.distance) * 180) / Math.PI;
    Object.assign(this, { target: [...this.middle], view });
    this._changed();
  }

  turn(right, up) {
    this.azimuth = (this.azimuth + right) % 360;
    this.elevation = Math.min(89.9, Math.max(-89.9, this.elevation + up));
    this._moved();
  }

  zoom(factor) {
    this.distance = Math.min(20 * this.unit, Math.max(0.05 * this.unit, this.distance * factor));
    this._moved();
  }

  /** Moves sideways, by parts of what is seen. */
  pan(right, up) {
    const { pose } = { pose: orbitPose(this) }, size = 2 * this.distance * Math.tan(radians(FOV) / 2);
    this.target = this.target.map((x, i) => x - size * (right * pose[i][0] + up * pose[i][1]));
    this._moved();
  }

  /** What another camera needs to stand there as well: `state = other.state`. */
  get state() {
    const { azimuth, elevation, distance, target, view, unit, middle } = this;
    return { azimuth, elevation, distance: distance / unit, target: target.map((x, i) => (x - middle[i]) / unit), view };
  }

  set state({ azimuth, elevation, distance, target, view }) {
    target = target.map((x, i) => x * this.unit + this.middle[i]);
    Object.assign(this, { azimuth, elevation, distance: distance * this.unit, target, view });
    this.dispatchEvent(new Event("change"));
  }

  _moved() {
    this.view = null;
    this._changed();
  }

  _changed() {
    this.dispatchEvent(new Event("change"));
    this.dispatchEvent(new Event("own")); // not one that it was told
  }
}

/** Lets hands, wheels and keys on `stage` move the camera. */
function steer(stage, camera) {
  const held = new Map();
  const spread = () => {
    const [a, b] = [...held.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  stage.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.x, event.clientY - before.y], size = Math.min(stage.clientWidth, stage.clientHeight);
    const apart = held.size === 2 ? spread() : 0;
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (held.size === 2) {
      camera.zoom(apart / Math.max(1, spread()));
      camera.pan(x / size / 2, -y / size / 2);
    } else if (event.shiftKey || event.buttons & 6) camera.pan(x / size, -y / size);
    else camera.turn((-180 * x) / size, (180 * y) / size);
  });
  for (const kind of ["pointerup", "pointercancel"])
    stage.addEventListener(kind, (event) => held.delete(event.pointerId));
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    camera.zoom(1.0015 ** (event.deltaY * (event.deltaMode ? 33 : 1)));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => camera.turn(-5, 0), ArrowRight: () => camera.turn(5, 0),
    ArrowUp: () => camera.turn(0, 5), ArrowDown: () => camera.turn(0, -5),
    "+": () => camera.zoom(1 / 1.1), "=": () => camera.zoom(1 / 1.1), "-": () => camera.zoom(1.1),
    Home: () => camera.reset(), 0: () => camera.reset(),
  };
  const sideways = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && sideways[event.key]) camera.pan(...sideways[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
}
