"""What jobs ask a cluster for: enough where it was measured, and more where the settings make it so."""

import pytest

from obj2ngp.ngp.settings import BACKENDS
from obj2ngp.workflow import resources
from obj2ngp.workflow.configuration import Resolved


def need(rule, backend="cpu", threads=2, part="train", **sections):
    """The Need of `rule` (of a split, or a format) with the configuration `sections`."""
    resolved = Resolved(sections)
    config = resolved.train_config(backend)
    return resources.need(rule, resolved.configuration, config, backend != "cpu", threads, part)


@pytest.mark.parametrize(
    "rule, sections, minutes, megabytes",
    [
        ("render", {"render": {"preset": "high", "resolution": [800, 800], "views": {"train": 100}}}, 60, 1100),
        ("train", {}, 1, 430),
        ("train", {"train": {"occupancy": {"resolution": 256}}}, 1, 2260),
        ("train", {"train": {"occupancy": {"resolution": 512}}}, 1, 7500),
        ("train", {"train": {"samples_per_step": 2**20}}, 30, 2620),
        ("train", {"train": {"network": {"levels": 16, "table_log2": 21, "finest_resolution": 4096}}}, 1, 1040),
        ("train", {"render": {"resolution": [800, 800], "views": {"train": 100}}}, 1, 1590),
        ("render_test", {}, 0.2, 600),
        ("orbit", {}, 0.7, 600),
    ],
)
def test_what_was_measured_fits(rule, sections, minutes, megabytes):
    """On two cores."""
    asked = need(rule, **sections)
    assert asked.runtime >= 1.5 * minutes and asked.mem_mb >= 1.2 * megabytes


def test_a_large_model_asks_for_what_it_was_measured_to_need(tmp_path):
    model = tmp_path / "model.obj"
    assert resources.model_need(model, 24) == resources.Need(0, 0)
    with open(model, "wb") as file:
        file.truncate(205_000_000)  # 5 million triangles without textures
    added = resources.model_need(model, 24)
    assert 8600 <= need("render").mem_mb + added.mem_mb <= 12_500
    assert 4 * 60 <= 60 * added.runtime / resources.MARGIN <= 8 * 60  # 100 s to read, 24 times 5.5 s for a view
    assert resources.model_need(model, 240).runtime > 4 * added.runtime
    with open(model, "wb") as file:
        file.truncate(850_000_000)  # 20 million
    assert need("render").mem_mb + resources.model_need(model, 24).mem_mb >= 300 + 20 * 1670  # as one and five need


def test_defaults_ask_for_little():
    for rule in ("render", "train", "render_test", "orbit"):
        for backend in BACKENDS:
            asked = need(rule, backend)
            assert asked.mem_mb <= 4000 and asked.runtime <= 20, (rule, backend, asked)


def test_a_card_renders_large_sets_in_less_time_and_may_have_kernels_compiled_first():
    large = {"preset": "high", "resolution": [800, 800], "views": {"train": 100}}
    device = {"device": "gpu"}
    assert need("render", render=device).runtime >= need("render").runtime + 9
    assert need("render", render={**large, **device}).runtime < need("render", render=large).runtime / 2


MORE = {
    "render": [
        ("runtime", {"render": {"preset": "high", "views": {"train": 500}}}),
        ("runtime", {"render": {"views": {"train": 2000}}}),
        ("runtime", {"render": {"resolution": [1000, 1000]}}),
        ("mem_mb", {"render": {"resolution": [1000, 1000]}}),
    ],
    "train": [
        ("runtime", {"train": {"steps": 20000}}),
        ("runtime", {"train": {"samples_per_step": 2**20}}),
        ("runtime", {"train": {"network": {"color_width": 256}}}),
        ("mem_mb", {"train": {"samples_per_step": 2**20}}),
        ("mem_mb", {"train": {"network": {"table_log2": 24}}}),
        ("mem_mb", {"train": {"network": {"density_width": 256}}}),
        ("mem_mb", {"train": {"occupancy": {"resolution": 256}}}),
        ("mem_mb", {"render": {"views": {"train": 1000}}}),
    ],
    "render_test": [
        ("runtime", {"render": {"views": {"test": 1000}}}),
        ("runtime", {"render": {"resolution": [800, 800]}}),
        ("runtime", {"test": {"supersampling": 8}}),
        ("mem_mb", {"train": {"network": {"table_log2": 24}}}),
        ("mem_mb", {"train": {"occupancy": {"resolution": 512}}}),
    ],
    "orbit": [
        ("runtime", {"orbit": {"frames": 1000}}),
        ("runtime", {"orbit": {"size": 2048}}),
        ("runtime", {"train": {"march_steps": 8192}}),
        ("mem_mb", {"orbit": {"size": 2048}}),
    ],
}


@pytest.mark.parametrize("rule, what, sections", [(rule, *more) for rule, all_of in MORE.items() for more in all_of])
def test_more_work_asks_for_more(rule, what, sections):
    assert getattr(need(rule, **sections), what) > getattr(need(rule), what)


@pytest.mark.parametrize(
    "format, settings, megabytes, seconds",
    [
        ("mesh", {"resolution": 256}, 1240, 63),
        ("mesh", {"resolution": 32, "colors": "texture", "texture_size": 2048}, 1551, 29),
        ("points", {"resolution": 64, "count": 2_000_000}, 1099, 20),
        ("volume", {"resolution": 128}, 576, 6),
    ],
)
def test_exports_ask_for_what_was_measured_and_for_more_where_more_is_wanted(format, settings, megabytes, seconds):
    """Above what PyTorch needs, 540 MB; with an occupancy grid of 16 cells."""
    grid = {"train": {"occupancy": {"resolution": 16}}}
    least = {"export": {format: {"resolution": 16}}}
    base = need("export", part=format, **grid, **least)
    asked = need("export", part=format, **grid, export={format: settings})
    assert asked.mem_mb - base.mem_mb >= megabytes - 540 - 200  # what is small is in the base
    assert asked.runtime * 60 >= seconds
    large = need("export", part=format, **grid, export={format: {**settings, "resolution": 512}})
    assert large.mem_mb > base.mem_mb + 3000 and large.runtime > base.runtime
    assert need("export", part="nsvf") == resources.Need(resources.EXPORT_MB, resources.EXPORT_MINUTES)


def test_more_threads_ask_for_less_time():
    sections = {"train": {"steps": 20000}}
    assert need("train", threads=16, **sections).runtime < need("train", threads=2, **sections).runtime
