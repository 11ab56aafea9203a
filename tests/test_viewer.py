"""The page of an object: right in a real browser, whatever the network, and complete in its file."""

import base64
import dataclasses
import json
import re
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
import torch

import viewer
from browser import needs_chromium, serious
from obj2ngp.common.cameras import transforms
from obj2ngp.common.files import UserError
from obj2ngp.common.records import FILE, write_record
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.field import Field, GridLevels
from obj2ngp.ngp.model_file import Model
from obj2ngp.ngp.rendering import Renderer, on_white
from obj2ngp.ngp.settings import OrbitSettings
from obj2ngp.ngp.turntable import orbit_poses
from obj2ngp.viewer import packing
from obj2ngp.viewer.page import STATIC, thinned
from obj2ngp.viewer.source import LARGEST, packed_source
from obj2ngp.viewer.window import Window
from obj2ngp.views.pictures import psnr

SIZE, FOCAL = 32, 0.5 / np.tan(np.radians(49.13) / 2)
NETWORKS = {
    "dense": dict(levels=3, features=4, table_log2=16, base_resolution=4, finest_resolution=16, sh_degree=1),
    "hashed": dict(levels=4, features=2, table_log2=8, base_resolution=8, finest_resolution=64, sh_degree=2),
    "deep": dict(levels=5, features=1, density_layers=4, color_layers=4, density_width=16, color_width=16),
    "wide": dict(levels=3, features=3, density_width=128, color_width=128, color_layers=1, sh_degree=3),
    "odd": dict(levels=3, features=5, density_width=20, color_width=30, geometry_features=7, sh_degree=4),
}


def make_model(scale=1.0, offset=(0.5, 0.5, 0.5), **network):
    """A Model of random parameters, with a lopsided lump of matter in the middle of its cube."""
    settings = dict(table_log2=10, base_resolution=4, finest_resolution=32, density_width=16, color_width=16)
    network = NetworkConfig(**{**settings, **network})
    config = TrainConfig(network=network, occupancy=OccupancyConfig(resolution=16), march_steps=64, pixel_jitter=0.5)
    field = Field(network)
    field.start(0)
    random = np.random.default_rng(1)
    table = torch.from_numpy(random.normal(0, 1, field.table.shape).astype(np.float32))
    place = (np.indices((16, 16, 16)).T + 0.5) / 16 - 0.5
    occupied = torch.from_numpy((place**2).sum(-1) < 0.1 + 0.1 * place[..., 0])
    header = {"config": dataclasses.asdict(config), "steps": 1, "training_seconds": 1.0, "backend": "cpu"}
    header.update(device="2 threads", versions={"torch": "2"}, occupancy_shape=(16, 16, 16), scale=scale)
    header.update(resolution=[SIZE, SIZE])
    weights = 2 * field.weights
    return Model(table, weights, occupied, config, scale, torch.tensor(offset), {**header, "offset": list(offset)})


def save(model, path):
    """The file of a model."""
    from obj2ngp.ngp.model_file import save_tensors

    path.parent.mkdir(parents=True, exist_ok=True)
    bits = np.packbits(model.occupied.numpy())
    save_tensors(path, {"table": model.table.numpy(), "weights": model.weights.numpy(), "occupied": bits}, model.header)


def write_page(model, results, *words, **settings):
    """The page of `model`, by the program with the options `words`; it calls the object `ball`."""
    save(model, results / "model.safetensors")
    page = results / "viewer.html"
    options = ["--object", "ball", "--results", str(results), "--out", str(page)]
    viewer.main([*options, *map(str, words), "--settings", json.dumps(settings)])
    return page


def write_cameras(results):
    """Three test cameras."""
    poses, files = orbit_poses(OrbitSettings(frames=3)), ["test/000", "test/001", "test/002"]
    (results / "renders").mkdir(parents=True)
    (results / "renders" / "transforms_test.json").write_text(json.dumps(transforms(poses, files, (SIZE, SIZE), 0.8)))


def told(page):
    """What the page holds about its object."""
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search('id="object">(.*?)</script>', text, re.DOTALL)[1])


def test_quantised_tables_are_near_and_use_all_steps():
    offset = np.array([0, 8, 24])
    table = np.random.default_rng(0).normal(0, [[0.1]] * 8 + [[3.0]] * 16, (24, 2)).astype(np.float32)
    numbers, scales = packing.quantise(table, offset)
    assert numbers.dtype == np.int8 and [abs(numbers[a:b]).max() for a, b in ((0, 8), (8, 24))] == [127, 127]
    error = abs(packing.dequantise(numbers, scales, offset) - table)
    assert (error <= np.repeat(scales, [8, 16])[:, None] / 254 * 1.001).all()
    assert not packing.quantise(np.zeros((24, 2), np.float32), offset)[0].any()


@pytest.mark.parametrize(
    "network, words",
    [
        (dict(table_log2=24, levels=2, base_resolution=256, finest_resolution=300), "hash table has"),
        (dict(density_layers=8, color_layers=5), "more layers"),
        (dict(color_width=256), "wider ones"),
        (dict(preset="gmnerf", encoding="hash", head="gmnerf"), "the head gmnerf"),
    ],
)
def test_a_field_too_large_for_a_page_is_told(network, words):
    network = NetworkConfig(**network)
    model = dataclasses.replace(make_model(), config=TrainConfig(network=network))
    model = dataclasses.replace(model, table=np.broadcast_to(0.0, (GridLevels(network).entries, network.features)))
    with pytest.raises(packing.Unsuited, match=words):
        packing.check_kind(model)


def test_numbers_that_16_bits_do_not_hold_are_no_page_s():
    model = make_model()
    model.weights[3] = 1e5
    with pytest.raises(packing.Unsuited, match="numbers beyond 65504"):
        packing.packed(model)


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    write_cameras(tmp_path / "ball")
    page = write_page(make_model(), tmp_path / "ball")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)\w|url\(|import\(|fetch\(""", text.split('id="object"')[0])
    assert "$" not in re.sub(r"\$\{|\$\(|const \$ |\$\$", "", text.split("<script>")[0])
    content = told(page)
    assert [view["name"] for view in content["views"]] == ["000", "001", "002"]
    assert [text for text, _ in content["files"]] == ["model", "test cameras"] and content["field"]["grid"] == 16
    assert ["seed", "0"] in content["facts"] and content["lens"]["focal"] > 0.5


def test_the_page_tells_what_each_job_took(tmp_path):
    """As the records of the finished ones have it; those of older versions have no times."""
    parts = {"parameters": {}, "files": {}, "results": {}, "outputs": {}}
    for job, state, more in (
        ("train", "running", {}),
        ("train", "ok", {"seconds": 41.234}),
        ("render_val", "ok", {}),
        ("orbit", "failed", {"seconds": 3.0}),
        ("viewer", "ok", {"seconds": 2.0}),
    ):
        write_record(tmp_path / "ball" / FILE, {"job": job, "state": state, "rule": job, **parts, **more})
    assert told(write_page(make_model(), tmp_path / "ball"))["times"] == [["train", "41.2 s"]]


def test_a_page_for_itself_links_nothing(tmp_path):
    write_cameras(tmp_path / "ball")
    assert told(write_page(make_model(), tmp_path / "ball", "--alone"))["files"] == []


def write_source(folder):
    """An .obj file: a red square, and a textured one that faces it; and the record of its views, which moves it."""
    folder.mkdir(parents=True, exist_ok=True)
    corners = [(x, y, z) for z in (0, 2) for x, y in ((0, 0), (2, 0), (2, 2), (0, 2))]
    lines = [
        "mtllib m.mtl",
        *("v {} {} {}".format(*corner) for corner in corners),
        "vt 0 0",
        "vt 1 0",
        "vt 1 1",
        "vt 0 1",
    ]
    lines += ["usemtl red", "f 1 2 3 4", "usemtl picture", "f 5/1 6/2 7/3 8/4"]
    (folder / "model.obj").write_text("\n".join(lines) + "\n")
    (folder / "m.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl picture\nmap_Kd picture.png\n")
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :, 1], picture[4:, :, 2] = 255, 255  # green over blue
    iio.imwrite(folder / "picture.png", picture)
    record = {"settings": {"up": "Z"}, "normalization": {"scale": 0.5, "translation": [-0.5, -0.5, 1.0]}}
    (folder / "record.json").write_text(json.dumps(record))
    return folder / "model.obj", folder / "record.json"


def test_the_source_mesh_lies_in_the_world_of_the_views_with_its_colours(tmp_path):
    about, content = packed_source(*write_source(tmp_path))
    count, columns = about["vertices"], np.frombuffer(content, "<u2", 3 * (about["vertices"] + about["triangles"]))
    place = np.cumsum(columns[: 3 * count].reshape(3, -1), axis=1, dtype=np.uint16).T * about["step"] + about["low"]
    index = np.cumsum(columns[3 * count :].reshape(3, -1), axis=1, dtype=np.uint16).T
    colors = np.frombuffer(content, np.uint8)[-3 * count :].reshape(3, -1).T / about["color"]
    np.testing.assert_allclose([place.min(0), place.max(0)], [[-0.5, -0.5, 1], [0.5, 0.5, 2]], atol=1e-3)
    middle, color = place[index].mean(1), colors[index].mean(1)
    assert (color[middle[:, 2] < 1.5] == (1, 0, 0)).all() and (middle[:, 2] > 1.5).sum() > 100  # split for its texture
    inside = (middle[:, 2] > 1.5) & (abs(middle[:, 1]) > 0.1)
    np.testing.assert_allclose(color[inside, 1], middle[inside, 1] > 0)
    np.testing.assert_allclose(color[inside, 2], middle[inside, 1] < 0)


def test_a_large_mesh_is_made_coarser_until_it_fits(tmp_path):
    side = np.linspace(-1, 1, 120)
    heights = np.random.default_rng(0).normal(0, 0.02, (120, 120))
    lines = [
        "v {:.5f} {:.5f} {:.5f}".format(x, y, heights[i, j]) for i, x in enumerate(side) for j, y in enumerate(side)
    ]
    lines += [
        "f {} {} {} {}".format(a, a + 1, a + 121, a + 120)
        for i in range(119)
        for a in range(120 * i + 1, 120 * i + 120)
    ]
    _, record = write_source(tmp_path)
    (tmp_path / "large.obj").write_text("\n".join(lines) + "\n")
    about, content = packed_source(tmp_path / "large.obj", record)
    assert 1000 < about["triangles"] <= 2 * 119**2 == 2 * about["faces"] and about["step"] > 1 / 600
    assert len(zlib.compress(content, 9)) <= LARGEST


def test_the_page_of_a_larger_field_says_so(tmp_path):
    content = told(write_page(make_model(table_log2=16, finest_resolution=128), tmp_path / "ball", largest=0.1))
    assert content["field"] is None and "too large: it takes 1.1 MB" in content["problem"]


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match="object x: .*model.safetensors"):
        viewer.main(["--object", "x", "--results", str(tmp_path), "--out", str(tmp_path / "viewer.html")])
    assert not (tmp_path / "viewer.html").exists()


def test_many_points_are_thinned():
    assert thinned(list(range(10)), 4) == [0, 3, 6, 9] and thinned([], 4) == []


@pytest.fixture(scope="module")
def blank(browser, tmp_path_factory):
    """A page with the renderer and no field."""
    file = tmp_path_factory.mktemp("blank") / "blank.html"
    scripts = "".join(f"<script>{(STATIC / name).read_text()}</script>" for name in ("shader.js", "field.js"))
    file.write_text(f"<!doctype html><canvas></canvas>{scripts}")
    page = browser.open(file.as_uri())
    yield page
    page.close()


def pictures(page, model, poses, rays=2, background=(1, 1, 1)):
    """What the page's renderer makes of a model: (SIZE, SIZE, 3) uint8 each."""
    description, data = packing.packed(model)
    page.run(
        "window.gl = document.createElement('canvas').getContext('webgl2');"
        f"window.field = new Field(gl, {json.dumps(description)}); field.fill(await inflated('{data}'))"
    )
    for pose in poses:
        lens = {"pose": pose.tolist(), "focal": FOCAL, "center": [0.5, 0.5]}
        look = {"rays": rays, "background": background, "depth": False}
        pixels = page.run(
            f"field.prepare({SIZE}, {SIZE}, {json.dumps(lens)}, {json.dumps(look)}); field.draw(0, 0, {SIZE}, {SIZE});"
            "const pixels = btoa(String.fromCharCode(...field.pixels())); return pixels"
        )
        yield np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(SIZE, SIZE, 4)[..., :3]
    page.run("gl.getExtension('WEBGL_lose_context').loseContext()")


@needs_chromium
@pytest.mark.parametrize("name", NETWORKS)
def test_the_browser_shows_what_we_render(blank, name):
    """Also of networks whose sizes fill no vec4, and of a cube that lies elsewhere in the world."""
    model = make_model(0.5, (0.4, 0.5, 0.6), **NETWORKS[name])
    center = (0.5 - model.offset.numpy()) / model.scale
    poses = orbit_poses(OrbitSettings(frames=2, elevation=20.0), center, 2.0)
    ours = [
        on_white(rgb, opacity)
        for rgb, opacity, _ in Renderer(model, "cpu").render_views(poses, SIZE, SIZE, FOCAL * SIZE)
    ]
    theirs = list(pictures(blank, model, poses))
    assert np.mean([psnr(*pair) for pair in zip(ours, theirs, strict=True)]) >= 40
    assert min(picture.std() for picture in ours) > 10  # there is something to see


def write_full_page(folder):
    """A page with all that one can have: test views and their pictures, metrics, a curve, times, a source mesh."""
    results = folder / "ball"
    write_cameras(results)
    (results / "metrics.csv").write_text("object,view,psnr\nball,000,30.5\nball,001,29.0\nball,002,31.0\n")
    (results / "metrics.json").write_text(json.dumps({"comparison": {"rows": ["000", "001"]}}))
    iio.imwrite(
        results / "comparison.webp",
        np.kron(np.array([[0, 80, 160], [200, 240, 40]], np.uint8), np.ones((32, 32), np.uint8)),
    )
    (results / "renders" / "train").mkdir()
    model, record = write_source(folder / "model")
    record.rename(results / "renders" / "train" / "record.json")
    (results / "training.csv").write_text("step,seconds,psnr\n10,1,20\n20,2,25\n30,3,27\n")
    made = {"job": "train", "rule": "train", "state": "ok", "seconds": 3.2}
    write_record(results / FILE, {**made, "parameters": {}, "files": {}, "results": {}, "outputs": {}})
    return write_page(make_model(), results, "--source", model)


@needs_chromium
@pytest.mark.parametrize("width, scheme", [(360, "dark"), (1000, "light")])
def test_a_page_with_everything_is_accessible(tmp_path, browser, width, scheme):
    page = browser.open(write_full_page(tmp_path).as_uri(), width, 800, prefers_color_scheme=scheme)
    page.wait("document.getElementById('speed').textContent")
    page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    for over in ("", "mesh", "truth", "prediction", "error"):
        page.run(f"const o = document.getElementById('over'); o.value = '{over}'; o.dispatchEvent(new Event('change'))")
        page.wait(f"'{over}' !== 'mesh' || mesh")
        assert serious(page) == []
        assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.messages == []
    page.close()


@needs_chromium
@pytest.mark.parametrize(
    "harm, words",
    [
        ("WebGL2RenderingContext.prototype.getProgramParameter = () => false", "refuses a shader"),
        ("HTMLCanvasElement.prototype.getContext = () => null", "no WebGL 2"),
        ("delete window.DecompressionStream", "too old"),
    ],
)
def test_a_page_that_cannot_show_its_field_says_why_and_shows_the_rest(browser, tmp_path, harm, words):
    page = browser.open("about:blank#", 420, 500)
    page.call("Page.addScriptToEvaluateOnNewDocument", source=harm)
    page.go(write_full_page(tmp_path).as_uri())
    page.wait("!document.getElementById('problem').hidden")
    assert words in page.run("return document.getElementById('problem').textContent")
    assert page.run("return document.getElementById('facts').children.length") > 0
    assert page.messages == []


@needs_chromium
def test_the_page_lives(browser, tmp_path):
    """It shows the field, follows keys and mouse, and says nothing on the console."""
    file = write_full_page(tmp_path)
    page = browser.open(file.as_uri(), 420, 500)
    page.wait("document.getElementById('speed').textContent && !player.busy")
    page.run("document.getElementById('stage').focus()")
    page.key("ArrowLeft")
    page.key("+")
    page.wait("camera.distance !== 1.5")  # keys that follow one another fast come together
    assert page.run("return [camera.azimuth, camera.distance]") == pytest.approx([50, 1.5 / 1.1])
    page.mouse("Pressed", 100, 100)
    page.mouse("Moved", 142, 100)
    page.mouse("Released", 142, 100)
    page.wait(f"Math.abs(camera.azimuth - {50 - 180 * 42 / min(420, 350)}) < 2")
    page.mouse("Wheel", 100, 100, deltaX=0, deltaY=100)
    page.wait("camera.distance > 1.5")
    before = page.run("return camera.distance")
    for kind, apart in (("Start", 20), ("Move", 40), ("End", 0)):  # two fingers, twice as far from each other
        points = [{"x": 200 - apart, "y": 150, "id": 0}, {"x": 200 + apart, "y": 150, "id": 1}] if apart else []
        page.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points)
    page.wait(f"Math.abs(camera.distance / {before} - 0.5) < 0.02")
    page.run("document.getElementById('worst').click()")
    assert page.run("return camera.lens.pose") == told(file)["views"][1]["pose"]
    page.key("d")
    page.wait("!player.busy && player.look.depth")

    def shade(over):
        """The middle of the stage, left of the slider, with something over the live view."""
        page.run(f"const o = document.getElementById('over'); o.value = '{over}'; o.dispatchEvent(new Event('change'))")
        page.wait(f"'{over}' !== 'mesh' || mesh")
        return iio.imread(page.screenshot())[175, 200, :3].astype(int)

    assert [
        abs(shade(over) - grey).max() < 9 for over, grey in (("truth", 200), ("prediction", 240), ("error", 40))
    ] == [True] * 3
    page.run("camera.stand({ ...camera.lens, pose: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]] })")
    red, green, blue = shade("mesh")  # the middle of its upper square, above the picture's edge or below it
    assert red < 20 and max(green, blue) > 150
    assert page.messages == [] and all(url.startswith(("file:", "blob:")) for url in page.requests)
    page.close()


def test_the_window_sees_as_the_renderer_does():
    """A camera of viser's, from the x axis, with the model's own up direction."""
    model = make_model()
    window = Window(model, "cpu", port=0)
    try:
        wxyz = np.array([0.5, -0.5, -0.5, 0.5])  # looks along -x, with z up, in OpenCV's axes
        shown = window.picture(window.resting, (1.5, 0, 0), wxyz, 2 * np.arctan(0.5 / FOCAL), 1.0, SIZE)
        pose = orbit_poses(OrbitSettings(frames=2, elevation=0.0))[0]
        pose[:3, :3], pose[:3, 3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]], (1.5, 0, 0)
        [(rgb, opacity, _)] = window.resting.render_views([pose], SIZE, SIZE, FOCAL * SIZE)
        assert psnr(shown, on_white(rgb, opacity)) > 60 and shown.std() > 10
    finally:
        window.close()
