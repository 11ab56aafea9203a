// The cards of the objects that are in sight: a handful of elements, however many objects there are.
"use strict";

const WIDEST = 260, GAP = 14; // pixels: of a card, and between cards
const TEXT = 124, NARROW = 200, MORE = 24; // pixels: of a card's text, and what it needs more on cards narrower than so many
const MARGIN = 1; // rows of cards beyond what is in sight
const HOVER = 120; // milliseconds before a turntable begins

function made(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

class Cards {
  /** Shows cards in the element `list`; `write(index)` makes the content of one. */
  constructor(list, write) {
    Object.assign(this, { list, write, order: [], shown: new Map() });
    addEventListener("scroll", () => this.update(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(list);
  }

  /** Shows the objects with these indices, in this order. */
  show(order) {
    this.order = order;
    for (const card of this.shown.values()) card.remove();
    this.shown.clear();
    this.layout();
  }

  layout() {
    const width = this.list.clientWidth;
    this.columns = Math.max(2, Math.ceil((width + GAP) / (WIDEST + GAP)));
    this.width = (width + GAP) / this.columns - GAP;
    this.height = this.width + TEXT + (this.width < NARROW ? MORE : 0);
    const rows = Math.ceil(this.order.length / this.columns);
    this.list.style.height = `${Math.max(0, rows * (this.height + GAP) - GAP)}px`;
    for (const [place, card] of this.shown) this._put(card, place);
    this.update();
  }

  /** Makes the cards that came into sight, and drops those that left it. */
  update() {
    const top = -this.list.getBoundingClientRect().top, step = this.height + GAP;
    const first = Math.max(0, Math.floor(top / step) - MARGIN) * this.columns;
    const last = Math.min(this.order.length, (Math.ceil((top + innerHeight) / step) + MARGIN) * this.columns);
    for (const [place, card] of this.shown)
      if ((place < first || place >= last) && !card.contains(document.activeElement)) {
        card.remove();
        this.shown.delete(place);
      }
    const missing = document.createDocumentFragment();
    for (let place = first; place < last; ++place) {
      if (this.shown.has(place)) continue;
      const card = made("div", { class: "card", role: "listitem", "aria-posinset": place + 1, "aria-setsize": this.order.length });
      card.append(...this.write(this.order[place]));
      this._put(card, place);
      this.shown.set(place, card);
      missing.append(card);
    }
    this.list.append(missing);
  }

  _put(card, place) {
    const [row, column] = [Math.floor(place / this.columns), place % this.columns];
    Object.assign(card.style, {
      width: `${this.width}px`, height: `${this.height}px`,
      transform: `translate(${column * (this.width + GAP)}px, ${row * (this.height + GAP)}px)`,
    });
  }

  /** Brings the card at a place in the order into sight and gives it the focus. */
  focus(place) {
    const target = document.documentElement, step = this.height + GAP, row = Math.floor(place / this.columns);
    const top = this.list.getBoundingClientRect().top + scrollY + row * step;
    if (top < scrollY || top + step > scrollY + innerHeight) target.scrollTop = top - 40;
    this.update();
    this.shown.get(place)?.querySelector("button")?.focus({ preventScroll: true });
  }
}

/** The first frame of an animation: a picture that is not in the page does not move. */
function still(address) {
  const canvas = made("canvas", { "aria-hidden": "true" }), image = new Image();
  image.onload = () => {
    Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
    canvas.getContext("2d").drawImage(image, 0, 0);
  };
  image.src = address;
  return canvas;
}

/** Plays the turntable at `address` over the picture `view` while the pointer or the focus is there; dragging turns it. */
function turntable(button, view, address) {
  let video = null, timer = 0, from = null, dragged = false;
  const begin = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (video) return;
      video = made("video", { src: address, loop: "", playsinline: "", "aria-hidden": "true" });
      video.muted = true;
      video.play().catch(() => {}); // it left the page, or cannot be played: the picture stays
      view.append(video);
    }, HOVER);
  };
  const end = () => {
    clearTimeout(timer);
    if (video) video.remove();
    video = from = null;
  };
  button.addEventListener("pointerenter", begin);
  button.addEventListener("pointerleave", end);
  button.addEventListener("focus", begin);
  button.addEventListener("blur", end);
  view.addEventListener("pointerdown", (event) => {
    dragged = false;
    from = { x: event.clientX, time: video ? video.currentTime : 0 };
  });
  view.addEventListener("pointermove", (event) => {
    if (!from || !video || !video.duration) return;
    const away = event.clientX - from.x;
    if (!dragged && Math.abs(away) < 6) return;
    if (!dragged) view.setPointerCapture(event.pointerId);
    dragged = true;
    video.pause();
    const time = from.time + (away / view.clientWidth) * video.duration;
    video.currentTime = ((time % video.duration) + video.duration) % video.duration;
  });
  const drop = () => {
    from = null;
    if (dragged && video) video.play().catch(() => {});
  };
  view.addEventListener("pointerup", drop);
  view.addEventListener("pointercancel", drop);
  button.addEventListener("click", (event) => {
    if (dragged) event.stopImmediatePropagation();
    dragged = false;
  });
}
