"""Pages in headless Chromium without a graphics card: a finished object's own, and the gallery of very many objects.

    python benchmarks/pages.py demo/results/car            # agreement, time to the first picture, pictures a second
    python benchmarks/pages.py --gallery 50000             # time to the first cards and to answers, memory

Appends to benchmarks/pages.csv. An object's page draws by software GL. The gallery, which needs no GL, is measured in
Chromium as it comes, and again where software GL draws all that is seen, as it is on some machines without a card. The
arithmetic of a picture is counted, not timed: what a graphics card makes of it depends on how much of its peak it
reaches.
"""

import argparse
import base64
import json
import random
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from record import append, processor
from scenes import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from browser import SOFTWARE_GL, Browser  # noqa: E402
from obj2ngp.ngp import load_model  # noqa: E402
from obj2ngp.ngp.field import mlp_shapes  # noqa: E402
from obj2ngp.ngp.rendering import Renderer, on_white  # noqa: E402
from obj2ngp.ngp.settings import OrbitSettings  # noqa: E402
from obj2ngp.ngp.turntable import render_orbit  # noqa: E402
from obj2ngp.ngp.video import encode  # noqa: E402
from obj2ngp.report.gallery import PAGE, TEMPLATES, write_gallery  # noqa: E402
from obj2ngp.viewer.packing import packed  # noqa: E402
from obj2ngp.viewer.page import STATIC  # noqa: E402
from obj2ngp.views.pictures import psnr, truth_on_white  # noqa: E402
from obj2ngp.views.reading import read_images  # noqa: E402

VIEWS = 8  # test views that are compared
FIRST = 256  # pixels along the page's picture when its time is taken
COUNTED = 512  # pixels along the picture whose arithmetic is counted
FAINT, OPAQUE = 0.02, 1e-4  # as in shader.js
SYNSETS = [line.split("\t")[0] for line in (TEMPLATES.parent / "synsets.tsv").read_text().splitlines()]


def agreement(browser, model, results):
    """Decibels of the browser's pictures of test views to ours, and of both to the truth."""
    description, data = packed(model)
    scripts = "".join("<script>{}</script>".format((STATIC / name).read_text()) for name in ("shader.js", "field.js"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text("<!doctype html><canvas></canvas>" + scripts)
        page = browser.open(Path(folder, "page.html").as_uri())
        page.run(
            "window.gl = document.querySelector('canvas').getContext('webgl2');"
            f"window.field = new Field(gl, {json.dumps(description)}); field.fill(await inflated('{data}'))"
        )
    views = read_images(results / "renders" / "transforms_test.json")
    height, width = views.rgba.shape[1:3]
    ours = Renderer(model, "cpu", 2).render_views(views.pose[:VIEWS], width, height, views.focal, views.center)
    scores = []
    for pose, (rgb, opacity, _), rgba in zip(views.pose, ours, views.rgba, strict=False):
        center = [views.center[0] / width, views.center[1] / height]
        lens = {"pose": np.asarray(pose).tolist(), "focal": views.focal / width, "center": center}
        pixels = page.run(
            f"field.prepare({width}, {height}, {json.dumps(lens)}, {{ rays: 2, background: [1, 1, 1], depth: false }});"
            f"field.draw(0, 0, {width}, {height}); return btoa(String.fromCharCode(...field.pixels()))"
        )
        theirs = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)[..., :3]
        own, truth = on_white(rgb, opacity), truth_on_white(rgba)
        scores.append((psnr(own, theirs), psnr(truth, own), psnr(truth, theirs)))
    page.close()
    to_ours, own, theirs = np.mean(scores, axis=0)
    yield "agreement with our pictures, mean of 8 test views", to_ours, "dB"
    yield "agreement with our pictures, worst of 8 test views", min(score[0] for score in scores), "dB"
    yield "lost against the truth, mean of 8 test views", own - theirs, "dB"


def times(browser, file):
    """Seconds to the first picture and to one of all pixels, and pictures a second while the camera turns."""
    address, blank = file.resolve().as_uri(), "about:blank"
    page = browser.open(blank + "#", FIRST, FIRST + 600)
    begin = time.perf_counter()
    page.call("Page.navigate", url=address)
    page.wait("document.getElementById('speed').textContent")
    yield f"first picture, {FIRST}x{FIRST}", time.perf_counter() - begin, "s"
    page.wait(f"document.getElementById('speed').textContent.startsWith('{FIRST}×')", 120)
    yield f"first picture of all pixels, {FIRST}x{FIRST}", time.perf_counter() - begin, "s"
    page.wait("!player.busy", 120)
    rate = page.run(
        "const begin = performance.now(); let count = 0; player.addEventListener('picture', () => ++count);"
        "while (performance.now() < begin + 4000) {"
        "  camera.turn(1, 0); await new Promise((next) => setTimeout(next, 10));"
        "}"
        "return count / ((performance.now() - begin) / 1000)"
    )
    yield "pictures while turning, as coarse as it takes", rate, "1/s"
    seconds = page.run(
        "const look = { ...player.look, rays: 1 }, { field } = player, begin = performance.now();"
        "field.prepare(512, 512, framed(camera.lens, 512, 512), look);"
        "for (let y = 0; y < 512; y += 16) { field.draw(0, y, 512, 16); await finished(field.gl); }"
        "return (performance.now() - begin) / 1000"
    )
    yield "a picture of 512x512, one ray a pixel", seconds, "s"
    yield "page", file.stat().st_size / 1e6, "MB"
    page.close()


def counts(model, results):
    """Samples, colours, arithmetic and reads of a picture as the page's shader makes it: a test view, one ray."""
    views = read_images(results / "renders" / "transforms_test.json")
    scale = COUNTED / views.rgba.shape[2]
    renderer, total, colors = Renderer(model, "cpu", 1), 0, 0
    backend = renderer.backend

    def counting(rays, grid, samples, step):
        nonlocal total, colors
        backend.march(rays, grid, samples, step)
        if int(samples.count) > samples.capacity:
            return False
        backend.encode(samples)
        backend.evaluate(rays, samples, step)
        backend.composite(rays, samples, step)
        active = int(rays.active)
        density = samples.density.numpy()
        for first, count in zip(rays.first[:active].tolist(), rays.count[:active].tolist(), strict=True):
            left, owed = 1.0, 0.0
            for sample in range(first, first + max(count, 0)):
                after = left * np.exp(-density[sample] * step)
                left, owed, total = after, owed + left - after, total + 1
                if owed > FAINT or (left < OPAQUE and owed > 0):
                    colors, owed = colors + 1, 0.0
                if left < OPAQUE:
                    break
        return True

    backend.render = counting
    focal, center = views.focal * scale, [x * scale for x in views.center]
    list(renderer.render_views(views.pose[:1], COUNTED, COUNTED, focal, center))
    network = model.config.network
    density, color = (2 * sum(a * b for a, b in shapes) for shapes in mlp_shapes(network))
    encoding = network.levels * (8 * 2 * network.features + 40)  # eight weighted entries, and where they lie
    yield f"samples of a picture of {COUNTED}x{COUNTED}", total, ""
    yield f"colours of a picture of {COUNTED}x{COUNTED}", colors, ""
    yield "arithmetic of it", (total * (density + encoding) + colors * color) / 1e9, "GFLOP"
    yield "reads of the table", total * network.levels * 8 / 1e6, "million"
    rate = 0.25e12 / (total * (density + encoding) + colors * color)
    yield "that makes at a quarter of 1 TFLOP/s", rate, "pictures/s"


def turntable(model):
    """Sizes of the turntable's files, and decibels of their frames to what was rendered."""
    settings = OrbitSettings()
    frames = list(render_orbit(model, "cpu", settings))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"orbit.{kind}") for kind in ("gif", "webp", "mp4")]
        encode(iter(frames), settings.size, settings.size, settings.fps, *files)
        for file in files:
            what = (
                f"turntable of {settings.frames} frames of {settings.size}x{settings.size}, {file.suffix[1:].upper()}"
            )
            shown = np.stack(list(iio.imiter(file, **({} if file.suffix == ".mp4" else {"mode": "RGB"}))))
            yield what, file.stat().st_size / 1e6, "MB"
            yield f"{what}, to its frames", psnr(shown, np.stack(frames)), "dB"


def many_objects(folder, count):
    """The results of `count` objects of ShapeNet's synsets: table, summary, and one picture, which all of them show."""
    chance = random.Random(0)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    (folder / "results of one" / "test").mkdir(parents=True)
    iio.imwrite(folder / "results of one" / "test" / "000.png", np.kron(noise, np.ones((8, 8, 1), np.uint8)))
    names = sorted(f"{chance.choice(SYNSETS)}-{chance.getrandbits(128):032x}" for _ in range(count))
    for name in names:
        (folder / name).symlink_to("results of one")
    objects = [f"{name}\tmetrics.csv orbit.gif viewer.html\n" for name in names]
    (folder / "objects.tsv").write_text("".join(["object\tresults\n", *objects]))
    rows = ["object,status,psnr,ssim,flip,training_seconds,steps,backend,resolution,faces\n"]
    for index, name in enumerate(names):
        psnrs = f"{chance.gauss(36, 3):.4f},{chance.uniform(0.95, 1):.4f},{chance.uniform(0, 0.04):.4f}"
        failed = index % 97 == 5
        figures = '"train: CUDA ran out of memory",,,,,,,,' if failed else f"ok,{psnrs},0.52,3000,cuda,128x128,3360"
        rows.append(f"{name},{figures}\n")
    (folder / "summary.csv").write_text("".join(rows))


def memory(browser):
    """Megabytes of all of the browser's processes, what they share counted once."""
    total = 0
    for process in browser.call("SystemInfo.getProcessInfo")["processInfo"]:
        smaps = Path("/proc", str(process["id"]), "smaps_rollup").read_text()
        total += int(next(line for line in smaps.splitlines() if line.startswith("Pss:")).split()[1])
    return total / 1024


ANSWER = """
const begin = performance.now(), { scrollHeight } = document.body;
const set = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event("input", { bubbles: true }));
};
ACTION;
await null; await null;
document.body.getBoundingClientRect();
await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 0)));
return performance.now() - begin"""
ACTIONS = {
    "search": [f"set('search', '{text}')" for text in ("p", "pl", "plane", "plane a", "")],
    "order": [f"set('sort', '{key}')" for key in ("psnr-down", "name", "flip", "")],
    "filter": [
        *("set('status', 'failed')", "set('status', '')", "set('category', '02691156')", "set('category', '')"),
        *("set('from', '38')", "set('from', '')"),
    ],
    "scroll": [f"scrollTo(0, {part} / 6 * scrollHeight)" for part in range(1, 6)],
}


def answer(page, action):
    """(milliseconds until the answer is painted, those of the main thread's processor time) of an action on a page."""

    def spent():
        metrics = page.call("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration") * 1000

    before = spent()
    milliseconds = page.run(ANSWER.replace("ACTION", action))
    return milliseconds, spent() - before


def gallery(browser, count):
    """Seconds to the first cards, milliseconds to the slowest answers, and memory, of a gallery of so many objects."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        many_objects(results, count)
        begin = time.perf_counter()
        write_gallery(results, results / "objects.tsv", results / "summary.csv", results / "gallery")
        yield "gallery written", time.perf_counter() - begin, "s"
        files = [results / "gallery" / file for file in (PAGE, "data/0.js")]
        yield "page and data before scrolling", sum(file.stat().st_size for file in files) / 1e6, "MB"
        page, empty = browser.open("about:blank#", 1280, 900), memory(browser)
        begin = time.perf_counter()
        page.call("Page.navigate", url=files[0].as_uri())
        page.wait("document.querySelectorAll('.card').length")
        yield "first cards", time.perf_counter() - begin, "s"
        begin = time.perf_counter()
        page.mouse("Moved", 600, 500)
        page.wait(f"gallery.loaded === {-(-count // 1000)} && haystack", 60)
        yield "all data", time.perf_counter() - begin, "s"
        page.call("Performance.enable", timeDomain="threadTicks")
        for what, actions in ACTIONS.items():
            shown, computed = zip(*(answer(page, action) for action in actions), strict=True)
            yield f"slowest answer: {what}", max(shown), "ms"
            yield f"slowest answer: {what}, processor time of the page's thread", max(computed), "ms"
        yield "memory of an empty browser", empty, "MB"
        yield "memory that the gallery takes", memory(browser) - empty, "MB"
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", help="folder of a finished object")
    parser.add_argument("--gallery", type=int, metavar="N", help="measure a gallery of so many objects")
    options = parser.parse_args()

    def measured(browser):
        for results in options.results:
            model = load_model(results / "model.safetensors")
            yield results.name, times(browser, results / "viewer.html")
            yield results.name, agreement(browser, model, results)
            yield results.name, counts(model, results)
            yield results.name, turntable(model)
        if options.gallery:
            yield f"gallery of {options.gallery}, software GL", gallery(browser, options.gallery)

    def measured_plainly(browser):
        if options.gallery:
            yield f"gallery of {options.gallery}", gallery(browser, options.gallery)

    rows = []
    for measure, flags in ((measured, SOFTWARE_GL), (measured_plainly, ())):
        with tempfile.TemporaryDirectory() as profile, closing(Browser(profile, flags)) as browser:
            for page, figures in measure(browser):
                for what, value, unit in figures:
                    rows.append({"page": page, "what": what, "value": float(f"{value:.4g}"), "unit": unit})
                    print("{page}: {what}: {value:g} {unit}".format(**rows[-1]), flush=True)
    append("pages", rows, processor())


if __name__ == "__main__":
    main()
