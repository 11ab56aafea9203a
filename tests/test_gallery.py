"""The gallery: escaped, complete in its folder; and alive in a real browser."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import imageio.v3 as iio
import numpy as np
import pytest

from browser import chromium, drive, needs_chromium
from obj2ngp.report import gallery
from obj2ngp.report.gallery import write_gallery
from result_files import write_objects

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "gallery.py"
NAMES = ["chair", "car+2", "стул", "a.b-c", "NaN", "007"]
EVIL = """<img src=x onerror="document.title='owned'">'&"""
COLUMNS = "object,status,psnr,ssim,flip,training_seconds,steps,backend,resolution,faces"


def write_summary(results, rows):
    """summary.csv with these rows of cells."""
    lines = [COLUMNS, *(",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) for row in rows)]
    (results / "summary.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return results / "summary.csv"


def write_results(results, names):
    """The results of `names`; the second has no turntable, the last has no row in the summary."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    rows = []
    for index, name in enumerate(names):
        target = results / name.replace("/", "")
        target.mkdir(parents=True)
        if index != 1:
            iio.imwrite(target / "orbit.gif", frames, loop=0)
        (target / "metrics.csv").write_text("view,psnr\n")
        figures = (30 + index, 0.9, 0.05, 60 - index, 2500, "cpu", "128x128", 1234)
        rows.append((name, "ok", *figures) if index != 1 else (name, "metrics.csv: <missing>", *[""] * 8))
    rows[-1:] = [("(mean)", "5 of 6 objects", 33.5, 0.9, 0.05, 57, 2500, "", "", 1234)]
    write_summary(results, rows)
    write_objects(results / "objects.tsv", names)


def run(results):
    command = [
        *(sys.executable, PROGRAM, "--results", results, "--objects", results / "objects.tsv"),
        *("--summary", results / "summary.csv", "--out", results / "gallery"),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def build(results, names):
    """The page of `names`."""
    write_results(results, names)
    finished = run(results)
    assert finished.returncode == 0, finished.stderr
    return results / "gallery" / "index.html"


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


def check_links(folder):
    """The page in `folder` has a card for each of NAMES, and every link leads to a file inside the folder."""
    parsed = Page(folder / "index.html")
    assert [card["data-name"] for card in parsed.all("li")] == NAMES
    links = [a["href"] for a in parsed.all("a")] + [img["src"] for img in parsed.all("img")]
    assert len(links) == 1 + len(NAMES) + len(NAMES) - 1  # summary, metrics, GIFs but one
    for link in links:
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc and not link.startswith("/") and ".." not in link
        assert (folder / unquote(parts.path)).is_file()
    assert all(img["loading"] == "lazy" and img["alt"] for img in parsed.all("img"))
    assert not parsed.all("link") and not any("src" in script for script in parsed.all("script"))


def test_every_object_has_a_card_and_every_link_leads_somewhere(page, tmp_path):
    check_links(page.parent)
    shutil.copytree(page.parent, tmp_path / "published")
    check_links(tmp_path / "published")


def test_the_page_takes_no_room_for_what_it_links(page):
    assert (page.parent / "orbit" / "chair.gif").samefile(page.parents[1] / "chair" / "orbit.gif")


def test_files_are_copied_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted", source)

    write_results(tmp_path, NAMES)
    monkeypatch.setattr(gallery.os, "link", refuse)
    write_gallery(tmp_path, tmp_path / "objects.tsv", tmp_path / "summary.csv", tmp_path / "gallery")
    check_links(tmp_path / "gallery")


def test_a_page_holds_nothing_of_a_former_one(tmp_path):
    build(tmp_path, NAMES)
    shutil.rmtree(tmp_path / "chair")
    assert run(tmp_path).returncode == 0
    assert not list((tmp_path / "gallery").rglob("chair.*"))


def test_numbers_and_reasons_are_shown(page):
    text = Page(page).text
    assert "30.00 dB" in text and "34.00 dB" in text and "mean PSNR 33.50 dB, SSIM 0.900" in text
    assert "2500 steps in 60 s on cpu, 128x128, 1,234 faces" in text
    assert "Better: higher PSNR, higher SSIM, lower FLIP." in text
    assert "metrics.csv: <missing>" in text  # as text, though it looks like a tag
    assert "no turntable" in text
    assert "not in the summary" in text


@pytest.mark.parametrize("cell", ["nan", "inf", "dark", "", EVIL])
@pytest.mark.parametrize("column", range(2, 10))
def test_a_cell_that_is_no_number_concerns_its_object_alone(tmp_path, column, cell):
    figures = (31, 0.9, 0.05, 60, 2500, "cpu", "128x128", 1234)
    bad = ["bad", "ok", *figures]
    bad[column] = cell
    summary = write_summary(tmp_path, [("good", "ok", *figures), bad])
    objects = write_objects(tmp_path / "objects.tsv", ["good", "bad"])
    write_gallery(tmp_path, objects, summary, tmp_path / "gallery")
    parsed = Page(tmp_path / "gallery" / "index.html")
    good, spoilt = parsed.all("li")
    assert good == {"data-name": "good", "data-psnr": "31", "data-ssim": "0.9", "data-flip": "0.05"} | {
        "data-training_seconds": "60"
    }
    assert len(spoilt) == len(good) - (column < 6)
    assert not any("onerror" in attributes for _, attributes in parsed.tags)


def test_a_row_that_is_cut_off_or_too_long_does_not_end_the_page(tmp_path):
    row = ",0.9,0.05,60,2500,cpu,128x128,1234"
    (tmp_path / "summary.csv").write_text(f"{COLUMNS}\ngood,ok,31{row}\nlong,ok,32{row},7\nshort,ok,33{row[:-1]}")
    objects = write_objects(tmp_path / "objects.tsv", ["short", "good", "long"])
    write_gallery(tmp_path, objects, tmp_path / "summary.csv", tmp_path / "gallery")
    page = Page(tmp_path / "gallery" / "index.html")
    assert [card.get("data-psnr") for card in page.all("li")] == [None, "31", None]
    assert page.text.count("not in the summary") == 2


def test_text_cannot_become_markup(tmp_path):
    build(tmp_path, ["chair", "car", "last"])
    write_summary(tmp_path, [("chair", EVIL, 30, 0.9, 0.05, 60, 2500, EVIL, EVIL, 1234)])
    assert run(tmp_path).returncode == 0
    parsed = Page(tmp_path / "gallery" / "index.html")
    assert parsed.text.count(EVIL) == 3  # status, backend, resolution
    assert not any("onerror" in attributes for _, attributes in parsed.tags)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"name,psnr\nchair,30\n"])
def test_an_unfit_summary_is_named(tmp_path, content):
    write_objects(tmp_path / "objects.tsv", ["chair"])
    if content:
        (tmp_path / "summary.csv").write_bytes(content)
    finished = run(tmp_path)
    assert finished.returncode == 1 and "summary.csv: " in finished.stderr
    assert finished.stderr.count("\n") == 1 and not (tmp_path / "gallery").exists()


@needs_chromium
def test_search_and_order_in_a_real_browser(page, tmp_path):
    script = """
    const gallery = frame.contentDocument;
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
    for (const order of ["psnr -", "psnr", "training_seconds", "name", ""]) {
      set("order", order, "change"); seen["by " + order] = names();
    }
    return seen;
    """
    seen = drive(page, script, profile=tmp_path)
    assert seen["width"] == 16  # the GIF was loaded
    assert seen["all"] == NAMES == seen["by "]
    assert seen["found"] == ["a.b-c"] and seen["shown"] == "1"
    assert seen["by psnr -"] == ["NaN", "a.b-c", "стул", "chair", "car+2", "007"]
    assert seen["by psnr"] == ["chair", "стул", "a.b-c", "NaN", "car+2", "007"]
    assert seen["by training_seconds"] == ["NaN", "a.b-c", "стул", "chair", "car+2", "007"]
    assert seen["by name"][0] == "007" and sorted(seen["by name"]) == sorted(NAMES)


@needs_chromium
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
