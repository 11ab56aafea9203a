"""Plots of a collection, from its summary and training logs."""

import numpy as np
import pytest

import plots
from obj2ngp.common.files import UserError
from obj2ngp.common.tables import write_table


@pytest.fixture
def collection(tmp_path):
    """40 objects of two categories: those of the second are 5 dB worse."""
    random, rows = np.random.default_rng(0), []
    for number in range(40):
        name = f"{'02958343' if number % 2 else '03001627'}-{number:03d}"
        psnr = 38 - 5 * (number % 2) + random.normal()
        rows.append({"object": name, "status": "ok", "psnr": psnr, "ssim": 0.98, "flip": 0.01, "f_score_1": 0.9})
        (tmp_path / name).mkdir()
        log = [{"seconds": 0.1 * (i + 1), "psnr": 20 + i + random.normal()} for i in range(10)]
        write_table(tmp_path / name / "training.csv", ["seconds", "psnr"], log)
    rows += [{"object": "lost", "status": "failed"}, {"object": "(mean)", "status": "40 of 41 objects", "psnr": 35}]
    write_table(tmp_path / "summary.csv", ["object", "status", "psnr", "ssim", "flip", "f_score_1"], rows)
    return tmp_path


def test_the_same_collection_gives_the_same_plots(collection):
    for out in ("a", "b"):
        plots.main(["--results", str(collection), "--out", str(collection / out)])
    names = sorted(file.name for file in (collection / "a").iterdir())
    assert names == [f"{name}.{kind}" for name in ("categories", "metrics", "training") for kind in ("png", "svg")]
    for name in names:
        assert (collection / "a" / name).read_bytes() == (collection / "b" / name).read_bytes()
    assert "car (20)" in (collection / "a" / "categories.svg").read_text()


def test_a_lost_log_is_left_out(collection):
    (collection / "02958343-001" / "training.csv").write_text("seconds,psnr\n0.1,")
    plots.main(["--results", str(collection), "--out", str(collection / "out")])
    assert (collection / "out" / "training.svg").exists()


def test_logs_of_trainings_that_took_no_time_are_drawn(collection):
    for log in collection.glob("*/training.csv"):
        log.write_text("seconds,psnr\n0,20\n0,21\n")
    plots.main(["--results", str(collection), "--out", str(collection / "out")])
    assert (collection / "out" / "training.svg").exists()


@pytest.mark.parametrize("cell", ["nan", "1e308", "-5", "9" * 400, "dark"])
def test_figures_that_there_cannot_be_are_left_out(tmp_path, cell):
    for name, value in (("one", cell), ("two", 30)):
        write_table(
            tmp_path / "summary.csv", ["object", "status", "psnr"], [dict(object=name, status="ok", psnr=value)]
        )
        plots.main(["--results", str(tmp_path), "--out", str(tmp_path / name)])
    assert not list((tmp_path / "one").iterdir()) and len(list((tmp_path / "two").iterdir())) == 2


def test_nothing_to_plot(tmp_path):
    write_table(tmp_path / "summary.csv", ["object", "status"], [{"object": "a", "status": "failed"}])
    with pytest.raises(UserError, match="no finished object"):
        plots.main(["--results", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
