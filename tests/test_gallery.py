"""The gallery: escaped, complete in its folder; and alive in a real browser."""

import shutil
from html.parser import HTMLParser

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

import gallery as program
from browser import needs_chromium, serious, served
from gallery_page import read_gallery
from obj2ngp.common.files import UserError
from obj2ngp.ngp.video import encode
from obj2ngp.report import gallery
from obj2ngp.report.gallery import FILES
from result_files import write_objects
from test_viewer import make_model, write_page

NAMES = ["chair", "03001627-9", "03001627-10", "стул", "a.b-c", "NaN", "007"]
EVIL = """<img src=x onerror="document.title='owned'">'&</script>"""
COLUMNS = "object,status,psnr,ssim,flip,training_seconds,steps,backend,resolution,faces"


def write_summary(results, rows):
    """summary.csv with these rows of cells."""
    lines = [COLUMNS, *(",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) for row in rows)]
    (results / "summary.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return results / "summary.csv"


def write_results(results, names):
    """The results of `names`: the first has a page, the second stopped, the last has no row in the summary."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    rows = []
    for index, name in enumerate(names):
        (results / name / "test").mkdir(parents=True)
        if index != 1:
            iio.imwrite(results / name / "orbit.gif", frames, loop=0)
            iio.imwrite(results / name / "test" / "000.png", frames[0])
        (results / name / "metrics.csv").write_text("object,view,psnr\n")
        figures = (30 + index, 0.9, 0.05, 60 - index, 2500, "cpu", "128x128", 1234)
        rows.append((name, "ok", *figures) if index != 1 else (name, "metrics.csv: <missing>", *[""] * 8))
    rows[-1:] = [("(mean)", "5 of 7 objects", 33.5, 0.9, 0.05, 57, 2500, "", "", 1234)]
    write_page(make_model(), results / names[0])
    write_summary(results, rows)
    write_objects(results / "objects.tsv", names)


def run(results, *options):
    """The folder of the page of `results`, by the program."""
    paths = {"--results": results, "--objects": results / "objects.tsv", "--summary": results / "summary.csv"}
    out = results / "gallery"
    program.main([*(str(word) for pair in paths.items() for word in pair), "--out", str(out), *map(str, options)])
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = tmp_path_factory.mktemp("gallery")
    write_results(results, NAMES)
    return run(results)


class Tags(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def check_files(folder):
    """The page in `folder` has NAMES, and all that they are said to have lies inside the folder."""
    objects, about = read_gallery(folder)
    assert list(objects) == NAMES and about["base"] == "files/" and about["count"] == len(NAMES)
    for name, row in objects.items():
        assert all((folder / "files" / name / file).is_file() for file in row["files"])
    assert [name for name, row in objects.items() if "orbit.gif" not in row["files"]] == [NAMES[1]]
    links = [
        value for _, tag in Tags(folder / "index.html").found for key, value in tag.items() if key in ("href", "src")
    ]
    assert links == ["summary.csv"] and (folder / "summary.csv").is_file()


def test_every_object_is_there_and_every_file_inside(folder, tmp_path):
    check_files(folder)
    shutil.copytree(folder, tmp_path / "published")
    check_files(tmp_path / "published")


def test_the_page_takes_no_room_for_what_it_links(folder):
    assert (folder / "files" / "chair" / "orbit.gif").samefile(folder.parent / "chair" / "orbit.gif")


def test_files_are_copied_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted", source)

    write_results(tmp_path, NAMES)
    monkeypatch.setattr(gallery.os, "link", refuse)
    check_files(run(tmp_path))


def test_pages_and_exports_come_along(tmp_path):
    """But for those of very many files."""
    write_results(tmp_path, NAMES)
    write_objects(tmp_path / "objects.tsv", NAMES, ["viewer.html", "export/mesh", "export/nsvf"])
    for export, count in (("mesh", 2), ("nsvf", gallery.MOST_FILES + 1)):
        (tmp_path / "chair" / "export" / export / "rgb").mkdir(parents=True)
        for number in range(count):
            (tmp_path / "chair" / "export" / export / "rgb" / f"{number}.png").touch()
    out = run(tmp_path)
    chair = read_gallery(out)[0]["chair"]
    assert chair["exports"] == ["export/mesh/rgb/0.png", "export/mesh/rgb/1.png"] and "viewer.html" in chair["files"]
    assert all((out / "files/chair" / file).is_file() for file in chair["exports"])


def test_names_are_sorted_by_the_numbers_in_them():
    """A superscript is a digit, and no number."""
    assert sorted(["m10", "m²", "m9", "m"], key=gallery.natural) == ["m", "m9", "m10", "m²"]


def test_an_excerpt_has_the_best_the_worst_and_failed_ones(tmp_path):
    names = [f"object{number}" for number in range(200)]
    figures = [30 + (number * 37 % 200) / 10 for number in range(200)]
    rows = [
        (name, "it stopped" if number % 10 == 0 else "ok", "" if number % 10 == 0 else figures[number], *[""] * 7)
        for number, name in enumerate(names)
    ]
    write_summary(tmp_path, rows)
    write_objects(tmp_path / "objects.tsv", names)
    objects, about = read_gallery(run(tmp_path, "--most", 40))
    assert (
        len(objects) == about["count"] == 40
        and about["total"] == 200
        and list(objects) == sorted(objects, key=names.index)
    )
    known = sorted(row[2] for row in rows if row[2])
    shown = sorted(row["psnr"] for row in objects.values() if row["psnr"])
    assert shown[:10] == known[:10] and shown[-10:] == known[-10:]
    assert sum(row["status"] != "" for row in objects.values()) >= 10
    assert "An excerpt of 200 objects" in (tmp_path / "gallery" / "index.html").read_text()
    assert len(read_gallery(run(tmp_path, "--most", 300))[0]) == 200


def test_a_page_holds_nothing_of_a_former_one(tmp_path):
    write_results(tmp_path, NAMES)
    run(tmp_path)
    shutil.rmtree(tmp_path / "chair")
    assert not list(run(tmp_path).rglob("*chair*"))


def test_very_many_objects_are_shown_where_their_results_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "COMPLETE", 3)
    monkeypatch.setattr(gallery, "SHARD", 3)
    write_results(tmp_path, NAMES)
    objects, about = read_gallery(run(tmp_path))
    assert about["base"] == "../" and about["shard"] == 3 and list(objects) == NAMES
    assert not (tmp_path / "gallery" / "files").exists()
    assert objects["chair"]["files"] == set(FILES) - {"viewer.html"} and objects[NAMES[1]]["files"] == {"metrics.csv"}


def test_numbers_reasons_and_categories(folder):
    objects, about = read_gallery(folder)
    assert objects["chair"]["psnr"] == 30 and objects["chair"]["status"] == ""
    assert objects[NAMES[1]]["status"] == "metrics.csv: <missing>" and objects[NAMES[1]]["psnr"] is None
    assert objects["007"]["status"] == "not in the summary"
    assert about["categories"] == {"03001627": ["chair", 2]}
    assert objects["03001627-9"]["rank"] < objects["03001627-10"]["rank"]
    assert [metric["name"] for metric in about["metrics"]] == ["psnr", "ssim", "flip"]
    page = (folder / "index.html").read_text()
    assert "mean PSNR 33.50 dB, SSIM 0.900" in page and "Better: higher PSNR, higher SSIM, lower FLIP." in page


@pytest.mark.parametrize("cell", ["nan", "inf", "dark", "", EVIL])
@pytest.mark.parametrize("column", range(2, 10))
def test_a_cell_that_is_no_number_concerns_its_object_alone(tmp_path, column, cell):
    figures = (31, 0.9, 0.05, 60, 2500, "cpu", "128x128", 1234)
    bad = ["bad", "ok", *figures]
    bad[column] = cell
    write_summary(tmp_path, [("good", "ok", *figures), bad])
    write_objects(tmp_path / "objects.tsv", ["good", "bad"])
    objects, _ = read_gallery(run(tmp_path))
    name = COLUMNS.split(",")[column]
    good, spoilt = objects["good"], objects["bad"]
    assert spoilt == {**good, "name": "bad", "rank": 0, name: (cell or None) if name in gallery.WORDS else None}


def test_a_row_that_is_cut_off_or_too_long_does_not_end_the_page(tmp_path):
    row = ",0.9,0.05,60,2500,cpu,128x128,1234"
    (tmp_path / "summary.csv").write_text(f"{COLUMNS}\ngood,ok,31{row}\nlong,ok,32{row},7\nshort,ok,33{row[:-1]}")
    write_objects(tmp_path / "objects.tsv", ["short", "good", "long"])
    objects, _ = read_gallery(run(tmp_path))
    assert {name: row["psnr"] for name, row in objects.items()} == {"short": None, "good": 31, "long": None}
    assert objects["short"]["status"] == objects["long"]["status"] == "not in the summary"


def test_text_cannot_become_markup(tmp_path):
    write_results(tmp_path, ["chair", "car", "last"])
    write_summary(tmp_path, [("chair", EVIL, 30, 0.9, 0.05, 60, 2500, EVIL, EVIL, 1234)])
    out = run(tmp_path)
    assert not any("onerror" in attributes for _, attributes in Tags(out / "index.html").found)
    assert read_gallery(out)[0]["chair"]["status"] == EVIL and "</script" not in (out / "data" / "0.js").read_text()


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"name,psnr\nchair,30\n"])
def test_an_unfit_summary_is_named(tmp_path, content):
    write_objects(tmp_path / "objects.tsv", ["chair"])
    if content:
        (tmp_path / "summary.csv").write_bytes(content)
    with pytest.raises((UserError, OSError), match="summary.csv"):
        run(tmp_path)
    assert not (tmp_path / "gallery").exists()


def test_another_run_is_set_beside(tmp_path):
    for results in ("one", "two"):
        (tmp_path / results).mkdir()
        write_results(tmp_path / results, NAMES[:4])
    write_summary(tmp_path / "two", [("chair", "ok", 35, *[""] * 7)])
    objects, about = read_gallery(run(tmp_path / "one", "--compare", tmp_path / "two"))
    assert about["other"] == "../../two/"
    assert [row["other"] for row in objects.values()] == [35, None, None, None]


def shown(page):
    """The names on the cards, in the order on the screen."""
    return page.run("""
        const place = (card) => +card.getAttribute("aria-posinset");
        const cards = [...document.querySelectorAll(".card")].sort((a, b) => place(a) - place(b));
        return cards.map((card) => card.querySelector(".name").textContent)""")


@needs_chromium
def test_search_order_filters_and_hash(folder, browser):
    page = browser.open((folder / "index.html").as_uri())
    page.wait("document.querySelectorAll('.card').length === 7")
    assert shown(page) == NAMES and not page.run("return document.querySelector('img').naturalWidth === 0")

    def set_field(name, value):
        page.run(f"""const field = document.getElementById("form").elements["{name}"]; field.value = "{value}";
            field.dispatchEvent(new Event("input", {{ bubbles: true }})); await gallery.all;""")
        return shown(page)

    assert set_field("q", "B- A") == ["a.b-c"]
    assert set_field("q", "chair") == ["chair", "03001627-9", "03001627-10"]  # the category's name is searched as well
    set_field("q", "")
    assert set_field("sort", "psnr-down") == ["NaN", "a.b-c", "стул", "03001627-10", "chair", "03001627-9", "007"]
    assert set_field("sort", "training_seconds")[:2] == ["NaN", "a.b-c"]
    assert set_field("sort", "name")[:3] == ["007", "03001627-9", "03001627-10"]
    assert set_field("category", "03001627") == ["03001627-9", "03001627-10"]
    assert set_field("status", "failed") == ["03001627-9"]
    set_field("category", "")
    set_field("status", "")
    assert set_field("from", "33.5") == ["a.b-c", "NaN"]
    assert page.run("return location.hash") == "#sort=name&from=33.5"
    page.run("location.hash = 'q=u'")
    page.wait("document.querySelectorAll('.card').length === 0")
    assert page.run("return document.getElementById('shown').textContent") == "0 of 7 objects"
    assert page.messages == [] and all(url.startswith("file:") for url in page.requests)
    page.close()


@needs_chromium
@pytest.mark.parametrize("width, scheme", [(360, "dark"), (1000, "light")])
def test_pages_are_accessible_in_either_scheme_and_any_width(tmp_path, browser, width, scheme):
    write_results(tmp_path, NAMES)
    write_objects(tmp_path / "objects.tsv", NAMES, ["viewer.html"])
    out = run(tmp_path)
    page = browser.open((out / "index.html").as_uri(), width, 600, prefers_color_scheme=scheme)
    page.wait("document.querySelectorAll('.card').length")
    assert page.run("return document.documentElement.scrollWidth") <= width
    picture = iio.imread(page.screenshot())[..., :3]
    assert (picture[:, :8].mean() < 100) == (scheme == "dark")  # the page's ground
    assert serious(page) == []
    page.run("document.querySelector('.card button').click()")
    frame = page.wait("document.querySelector('iframe').src")
    assert frame.endswith("files/chair/viewer.html") and serious(page) == []
    page.key("Escape")
    page.wait("!document.getElementById('dialog').open && location.hash === ''")
    assert page.run("return document.activeElement.textContent.includes('chair')")
    assert page.messages == []
    page.go(frame)
    assert serious(page) == []
    page.close()


@needs_chromium
@pytest.mark.parametrize("width, scheme", [(360, "dark"), (1000, "light")])
def test_two_runs_beside_each_other_are_accessible_and_turn_together(tmp_path, browser, width, scheme):
    for results in (tmp_path / "one", tmp_path / "two"):
        write_results(results, NAMES[:3])
        write_objects(results / "objects.tsv", NAMES[:3], ["viewer.html"])
    out = run(tmp_path / "one", "--compare", tmp_path / "two")
    with served(tmp_path) as server:  # two files are strangers to each other, two pages of a server are not
        address = f"{server}/{out.relative_to(tmp_path)}/index.html#object=chair"
        page = browser.open(address, width, 800, prefers_color_scheme=scheme)
        page.wait("document.querySelectorAll('iframe').length === 2")
        frames = "[...document.querySelectorAll('iframe')].map((frame) => frame.contentWindow"
        page.wait(f"{frames}.eval('player')).every(Boolean)")
        addresses = page.run(f"return {frames}.location.pathname)")
        assert addresses == ["/one/gallery/files/chair/viewer.html", "/two/chair/viewer.html"]
        page.run(f"{frames})[0].eval('camera.turn(30, 10)')")
        page.wait(f"{frames}.eval('camera.azimuth === 85 && camera.elevation === 30')).every(Boolean)")
        assert serious(page) == [] and page.run("return document.documentElement.scrollWidth") <= width
        page.close()


@needs_chromium
def test_turntables_play_under_the_pointer_and_turn_by_dragging(tmp_path, browser):
    write_results(tmp_path, NAMES[:3])
    frames = (np.full((64, 64, 3), shade, np.uint8) for shade in range(0, 240, 4))
    encode(frames, 64, 64, 25, *(tmp_path / "chair" / f"orbit.{kind}" for kind in ("gif", "webp", "mp4")))
    page = browser.open((run(tmp_path) / "index.html").as_uri(), 800, 600)
    x, y = page.wait("""(() => {
        const { left, top, width, height } = document.querySelector(".card .view").getBoundingClientRect();
        return [left + width / 2, top + height / 2];
    })()""")
    page.mouse("Moved", x, y, button="none", buttons=0)
    page.wait("document.querySelector('.card video').currentTime > 0.1")
    page.mouse("Pressed", x, y)
    page.mouse("Moved", x + 60, y)
    page.wait("document.querySelector('.card video').paused")
    page.mouse("Released", x + 60, y)
    page.wait("!document.querySelector('.card video').paused")
    assert page.run("return location.hash") == ""  # a drag opens nothing
    page.mouse("Moved", 5, 5, button="none", buttons=0)
    page.wait("!document.querySelector('.card video')")
    assert page.messages == []
    page.close()


@needs_chromium
def test_a_packed_object_shows_the_first_frame_of_its_turntable(tmp_path, browser):
    frames = np.stack([np.full((16, 16, 3), shade, np.uint8) for shade in (200, 0, 0)])
    (tmp_path / "chair").mkdir()
    Image.fromarray(frames[0]).save(
        tmp_path / "chair" / "orbit.webp", save_all=True, append_images=map(Image.fromarray, frames[1:]), duration=40
    )
    write_summary(tmp_path, [("chair", "ok", 30, *[""] * 7)])
    write_objects(tmp_path / "objects.tsv", ["chair"])
    page = browser.open((run(tmp_path) / "index.html").as_uri(), 800, 600)
    x, y = page.run("""
        while (document.querySelector(".card canvas")?.width !== 16) await new Promise((next) => setTimeout(next, 20));
        const { left, top, width, height } = document.querySelector(".card canvas").getBoundingClientRect();
        return [left + width / 2, top + height / 2]""")
    shade = iio.imread(page.screenshot())[int(y), int(x), :3]
    assert abs(shade.astype(int) - 200).max() < 8 and page.messages == []
    page.close()


@needs_chromium
def test_of_many_objects_only_a_handful_is_in_the_page(tmp_path, browser):
    names = [f"object{number}" for number in range(5000)]
    write_objects(tmp_path / "objects.tsv", names)
    write_summary(tmp_path, [(name, "ok", 20 + index % 20, *[""] * 7) for index, name in enumerate(names)])
    page = browser.open((run(tmp_path) / "index.html").as_uri(), 800, 600)
    page.wait("document.querySelectorAll('.card').length")
    assert [url.rsplit("/", 1)[1] for url in page.requests if "/data/" in url] == ["0.js"]
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.wait("document.body.textContent.includes('object4999')")
    assert page.run("return document.querySelectorAll('.card').length") < 40
    page.close()
