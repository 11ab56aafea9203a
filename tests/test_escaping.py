"""Text from files that others wrote stays text on the pages of objects and in the gallery, whatever it is."""

import json
import re
import shutil

import pytest

import viewer
from browser import needs_chromium
from damage import INF, NAN, at, with_json, written
from door_helpers import MODEL, assert_refused, end_of, named
from obj2ngp.common.pages import embedded
from obj2ngp.common.records import FILE, write_record
from obj2ngp.report.gallery import read_summary
from tensor_damage import own
from test_gallery import run as show
from test_gallery import write_results, write_summary
from test_viewer import told, write_full_page

EVILS = [
    "</script><script>owned = 1</script>",
    "<!--<script>owned = 1</script>",
    "<img src=x onerror='owned = 1'>",
    '"\' onmouseover="owned = 1" x="',
    "</title><svg onload=owned=1>",
    "</template></textarea></style><script>owned = 1</script>",
    "${owned = 1}{{owned = 1}}$title$object\\u003cb\\",
    "\u2028owned = 1\u2029//",
    "\u202eeval\u0000\u001b[31m",
    "&lt;b&gt;&quot;",
]
EVIL = " ".join(EVILS)
FORBIDDEN = ("\u2028", "\u2029", "</script><", "<!--", "<img", "<svg onload")
NOTHING_RAN = "typeof owned === 'undefined' && !document.querySelector('img[onerror], [onmouseover], svg[onload]')"


@pytest.mark.parametrize("evil", [*EVILS, "a\ud800b", {"</script>": ["<", None, 1.5, True]}])
def test_what_is_embedded_is_the_same_value_and_ends_no_script(evil):
    text = embedded(evil)
    assert json.loads(text) == evil and not set("<\u2028\u2029") & set(text)
    text.encode("utf-8")


@pytest.mark.parametrize("number", [NAN, INF])
def test_numbers_that_json_has_not_are_not_embedded(number):
    with pytest.raises(ValueError):
        embedded({"psnr": number})


def shows(results, *words, name="ball"):
    """How the program of an object's page ends."""
    return end_of(viewer.main, "--object", name, "--results", results, "--out", results / "out" / "page.html", *words)


@needs_chromium
def test_a_page_shows_hostile_texts_as_they_are(browser, tmp_path):
    """The object's name, facts, versions, settings, jobs and their reasons, in the browser."""
    write_full_page(tmp_path)
    results = tmp_path / "ball"
    for key in ("backend", "device", "versions.torch"):
        own(key, EVIL[:200])(results / MODEL)
    own("views", EVIL)(results / MODEL)
    record = results / "renders/train/record.json"
    with_json(lambda content: content.update(versions={EVIL: EVIL}, category=EVIL))(record)
    with_json(lambda content: content["settings"].update({EVIL: {EVIL: EVIL}}))(record)
    with_json(at("comparison.rows", ["000", EVIL]))(results / "metrics.json")
    made = {"job": EVIL.replace("\0", ""), "rule": "train", "state": "ok", "seconds": 3.2, "reason": EVIL}
    write_record(results / FILE, {**made, "parameters": {}, "files": {}, "results": {}, "outputs": {}})
    end = shows(results, "--source", tmp_path / "model/model.obj", name=EVIL.replace("\0", ""))
    assert end.code == 0 and not end.err, end
    text = (results / "out/page.html").read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 5 and not any(word in text for word in FORBIDDEN)
    page = browser.open((results / "out/page.html").as_uri())
    page.wait("document.getElementById('speed').textContent")
    assert page.run(f"return {NOTHING_RAN}") and page.messages == []
    shown = page.run(
        "return [document.getElementById('name'), document.querySelector('aside')].map((e) => e.textContent)"
    )
    assert shown[0] == EVIL.replace("\0", "") and shown[1].count(EVILS[0]) >= 6
    assert "owned" in page.run("return document.title") and all(not url.startswith("http") for url in page.requests)
    page.close()


@needs_chromium
def test_the_gallery_shows_hostile_texts_as_they_are(browser, tmp_path):
    """Whatever a summary says of an object: what stopped it, its backend and its size; on the card and its pane."""
    write_results(tmp_path, ["chair", "car", "last"])
    words = EVIL.replace("\0", "")
    write_summary(tmp_path, [("chair", words, 30, 0.9, 0.05, 60, 2500, words, words, 1234)])
    out = show(tmp_path)
    for file in out.rglob("*.[hj]*"):
        if "files" not in file.relative_to(out).parts:
            assert not any(word in file.read_text(encoding="utf-8") for word in FORBIDDEN), file
    page = browser.open((out / "index.html").as_uri())
    page.wait("document.querySelectorAll('.card').length === 3")
    page.run("document.querySelector('.card button').click()")
    page.wait("document.getElementById('dialog').open")
    status = read_summary(tmp_path / "summary.csv")["chair"]["status"]
    assert page.run(f"return {NOTHING_RAN}") and page.messages == []
    assert EVILS[0] in status and EVILS[0] in page.run("return document.body.textContent")
    page.close()


# What a page is made of, as nobody made it: it is refused by name, or the page leaves it out.
REFUSED = [
    (f"{key} {index}", own(key, value), f"{MODEL}: {key}: ")
    for key in ("steps", "training_seconds", "backend", "device", "resolution", "versions")
    for index, value in enumerate((..., None, [], {"a": 1}, True, NAN, "") if key != "versions" else (..., None, 3, []))
]


@pytest.mark.parametrize("spoil, words", named(REFUSED))
def test_models_whose_header_no_page_can_tell_are_refused(scene, spoil, words):
    spoil(scene / MODEL)
    assert_refused(shows(scene), scene, MODEL, words)


def deep(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


LEFT_OUT = [
    ("metrics.csv", written("object,view,psnr\nball,000,nan\nball,001,inf\nball,002,1e999\n")),
    ("training.csv", written("step,seconds,psnr\n1,nan,3\n2,1,inf\n3,x,\n")),
    ("metrics.json", written('{"comparison": {"rows": [NaN, null, {"a": "\\ud800"}, ["</script>"]]}}')),
    ("metrics.json", written("[" * 100_000)),
    ("metrics.json", written('{"comparison": 3}')),
    ("renders/train/record.json", written(json.dumps({"settings": deep(900)}))),
    (
        "renders/train/record.json",
        written(json.dumps({"settings": {"a": [NAN, "\ud800", -INF]}, "mesh": {"faces": NAN}})),
    ),
    ("renders/train/record.json", written(json.dumps({"settings": [], "mesh": [], "versions": 3}))),
    ("renders/transforms_test.json", written("{}")),
    ("renders/transforms_test.json", written('{"frames": NaN}')),
    ("provenance.jsonl", written('{"job": "train", "state": "ok"}\n' + "\0" * 99)),
    ("model.safetensors", own("versions", {"torch": "2", "\ud800": "\ud800", "deep": deep(500)})),
    ("model.safetensors", own("views", [NAN])),
]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    write_full_page(folder)
    return folder / "ball"


@pytest.mark.parametrize("file, spoil", LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_a_page_leaves_out_what_it_cannot_tell(full, tmp_path, file, spoil):
    shutil.copytree(full, tmp_path / "ball")
    spoil(tmp_path / "ball" / file)
    end = shows(tmp_path / "ball", name="b\udcffll")
    assert end.code == 0 and not end.err, end
    page = tmp_path / "ball/out/page.html"
    assert not re.search(r"\b(NaN|Infinity)\b", re.sub(r'"(\\.|[^"\\])*"', "", json.dumps(told(page))))
