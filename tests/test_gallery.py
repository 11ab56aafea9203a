"""The gallery: escaped, relative, complete; and alive in a real browser."""

import json
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import imageio.v3 as iio
import numpy as np
import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "gallery.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NAMES = ["chair", "car+2", "стул", "a.b-c", "NaN", "007"]
EVIL = """<img src=x onerror="document.title='owned'">'&"""


def build(folder, names):
    """A results folder of `names` and its gallery. The last name has no row in the summary."""
    results = folder / "results"
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    rows = ["object,status,psnr,ssim,flip,training_seconds,steps,backend,resolution,faces"]
    for index, name in enumerate(names):
        target = results / name.replace("/", "")
        target.mkdir(parents=True)
        if index != 1:
            iio.imwrite(target / "orbit.gif", frames, loop=0)
        (target / "metrics.csv").write_text("view,psnr\n")
        status = "ok" if index != 1 else "metrics.csv: <missing>"
        quoted = '"' + name.replace('"', '""') + '"'
        figures = f"{30 + index},0.9,0.05,{60 - index},2500,cpu,128x128,1234" if index != 1 else ",,,,,,,"
        rows.append(f"{quoted},{status},{figures}")
    rows[-1:] = ["(mean),5 of 6 objects,33.5,0.9,0.05,57,2500,,,1234"]
    (results / "summary.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (results / "objects.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    page = results / "gallery" / "index.html"
    command = [
        *(sys.executable, PROGRAM, "--results", results, "--objects", results / "objects.txt"),
        *("--summary", results / "summary.csv", "--out", page),
    ]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return page


class Page(HTMLParser):
    """Tags with their attributes, and all text outside style and script."""

    def __init__(self, file):
        super().__init__()
        self.tags, self.text, self.raw = [], "", False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.raw = tag in ("style", "script")

    def handle_endtag(self, tag):
        self.raw = False

    def handle_data(self, data):
        self.text += "" if self.raw else data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return build(tmp_path_factory.mktemp("gallery"), NAMES)


def test_every_object_has_a_card_and_every_link_leads_somewhere(page):
    parsed = Page(page)
    assert [card["data-name"] for card in parsed.all("li")] == NAMES
    links = [a["href"] for a in parsed.all("a")] + [img["src"] for img in parsed.all("img")]
    assert len(links) == 1 + len(NAMES) + len(NAMES) - 1  # summary, metrics, GIFs but one
    for link in links:
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc and not link.startswith("/")
        assert (page.parent / unquote(parts.path)).is_file()
    assert all(img["loading"] == "lazy" and img["alt"] for img in parsed.all("img"))
    assert not parsed.all("link") and not any("src" in script for script in parsed.all("script"))


def test_numbers_and_reasons_are_shown(page):
    text = Page(page).text
    assert "30.00 dB" in text and "34.00 dB" in text and "mean 33.50 dB" in text
    assert "metrics.csv: <missing>" in text  # as text, though it looks like a tag
    assert "no turntable" in text
    assert "not in the summary" in text


def test_names_cannot_become_markup(tmp_path):
    parsed = Page(build(tmp_path, ["chair", "car", EVIL, "last"]))
    assert [card["data-name"] for card in parsed.all("li")] == ["chair", "car", EVIL, "last"]
    assert not any("onerror" in attributes for _, attributes in parsed.tags)


def test_a_missing_summary_is_named(tmp_path):
    (tmp_path / "objects.txt").write_text("chair\n")
    command = [
        *(sys.executable, PROGRAM, "--results", tmp_path, "--objects", tmp_path / "objects.txt"),
        *("--summary", tmp_path / "summary.csv", "--out", tmp_path / "gallery" / "index.html"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 1 and "summary.csv" in finished.stderr


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing about requests."""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_search_and_order_in_a_real_browser(page, tmp_path):
    """A page in the same folder drives the gallery in a frame and writes what it saw as its text."""
    script = """
    const gallery = document.querySelector("iframe").contentDocument;
    const names = () => [...gallery.querySelectorAll("li")].filter((li) => li.offsetHeight)
      .map((li) => li.dataset.name);
    const set = (id, value, event) => {
      gallery.getElementById(id).value = value;
      gallery.getElementById(id).dispatchEvent(new Event(event));
    };
    const seen = { width: gallery.images[0].naturalWidth, all: names() };
    set("search", "B- A", "input"); seen.found = names();
    seen.shown = gallery.getElementById("shown").textContent;
    set("search", "", "input");
    for (const order of ["psnr -", "psnr", "seconds", "name", ""]) {
      set("order", order, "change"); seen["by " + order] = names();
    }
    document.body.textContent = JSON.stringify(seen);
    """
    driver = page.parent / "driver.html"
    driver.write_text(
        '<!doctype html><meta charset="utf-8"><body onload="drive()">'
        '<iframe src="index.html" width="1000" height="800"></iframe>'
        f"<script>function drive() {{{script}}}</script>"
    )
    # Two files are strangers to each other in a browser, two pages of one server are not.
    handler = partial(QuietHandler, directory=page.parents[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/gallery/driver.html"
        finished = chromium("--virtual-time-budget=5000", "--dump-dom", address, profile=tmp_path)
        server.shutdown()
    seen = json.loads(re.search("<body[^>]*>(.*)</body>", finished.stdout, re.DOTALL)[1])
    assert seen["width"] == 16  # the GIF was loaded
    assert seen["all"] == NAMES == seen["by "]
    assert seen["found"] == ["a.b-c"] and seen["shown"] == "1"
    assert seen["by psnr -"] == ["NaN", "a.b-c", "стул", "chair", "car+2", "007"]
    assert seen["by psnr"] == ["chair", "стул", "a.b-c", "NaN", "car+2", "007"]
    assert seen["by seconds"] == ["NaN", "a.b-c", "стул", "chair", "car+2", "007"]
    assert seen["by name"][0] == "007" and sorted(seen["by name"]) == sorted(NAMES)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("dark", [False, True])
def test_page_opens_from_the_disk_in_either_scheme(page, tmp_path, dark):
    shot = tmp_path / "shot.png"
    chromium(
        f"--screenshot={shot}",
        "--window-size=900,700",
        page.as_uri(),
        profile=tmp_path,
        scheme=["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else [],
    )
    picture = iio.imread(shot)[..., :3]
    assert (picture[:, :8].mean() < 100) == dark  # the page's ground
    assert picture.std() > 10


def chromium(*arguments, profile, scheme=()):
    """Run headless Chromium that reaches nothing outside."""
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={profile / 'profile'}", *scheme, *arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
