"""What is made of all objects together in a real run: Snakemake's report in a browser, and what failed."""

import csv
import zipfile

import pytest

from browser import drive, needs_chromium
from gallery_page import read_gallery
from workflow_project import Project


def report_of(project, folder):
    """The page of the project's report, unpacked into `folder`."""
    made = project.snakemake("--report", "report.zip")
    assert made.returncode == 0, made.stdout
    zipfile.ZipFile(project.root / "report.zip").extractall(folder)
    return folder / "report" / "report.html"


@needs_chromium
def test_turntables_move_and_links_lead_somewhere_in_the_report(finished_project, tmp_path):
    project = finished_project.copy(tmp_path / "obj2ngp")
    script = """
    const report = frame.contentDocument;
    (await wait(() => [...report.querySelectorAll("a")].find((a) => a.textContent.trim() === "Gallery"))).click();
    (await wait(() => report.querySelector("td a"))).click();
    const gallery = await wait(() => {
      const page = report.querySelector("iframe").contentDocument;
      return page.querySelector(".card img").naturalWidth && page;
    });
    gallery.querySelector(".card button").click();
    const object = await wait(() => gallery.querySelector("iframe").contentDocument.getElementById("links"));
    const links = {};
    for (const a of [...gallery.querySelectorAll("a"), ...object.querySelectorAll("a")])
      links[a.textContent] = (await fetch(a.href)).status;
    const names = [...gallery.querySelectorAll(".name")].map((name) => name.textContent);
    return { width: gallery.images[0].naturalWidth, names, links };
    """
    seen = drive(report_of(project, tmp_path / "unpacked"), script, profile=tmp_path)
    assert seen["names"] == ["first"] and seen["width"] == 32
    assert seen["links"].keys() > {"summary.csv", "turntable (MP4)", "metrics", "training", "model"}
    assert set(seen["links"].values()) == {200}


def test_the_report_of_a_packed_project_plans_a_few_objects_alone(tmp_path):
    """As an example: Snakemake keeps no account of their jobs, so that its report knows nothing of the others."""
    project, names = Project.create(tmp_path / "obj2ngp"), [f"object{number}" for number in range(400)]
    project.pretend_programs()
    project.configure(project={"pack": True})
    project.add_table(names)
    results = project.root / "results"
    for file in ("summary.csv", "failures.csv", "gallery/index.html", "excerpt/index.html", "plots/psnr.svg"):
        (results / file).parent.mkdir(parents=True, exist_ok=True)
        (results / file).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    made = project.snakemake("--report", "report.zip")
    assert made.returncode == 0, made.stdout
    assert 50 < len({name for name in names if f"results/{name}/model.safetensors" in made.stdout}) < 150


@pytest.mark.parametrize(
    "program, output, log",
    [("orbit.py", "orbit.gif", "orbit"), ("render.py", "renders/transforms_val.json", "render_val")],
)
def test_a_job_that_fails_alone_is_told(finished_project, tmp_path, program, output, log):
    """A turntable, or a pass that no other job reads, is missed in the summary and on the page."""
    project = finished_project.copy(tmp_path / "obj2ngp")
    project.unlink_programs()
    (project.root / "workflow_scripts" / program).write_text(
        "import sys\nsys.exit('error: object first: the disk is full')\n"
    )
    (project.root / "results" / "first" / output).unlink()
    run = project.snakemake()
    assert run.returncode != 0 and f"logs/first/{log}.log" in run.stdout
    with open(project.root / "results" / "summary.csv", newline="") as file:
        rows = {row["object"]: row for row in csv.DictReader(file)}
    assert rows["first"]["status"] == "the disk is full" and rows["first"]["psnr"]
    assert rows["(mean)"]["status"] == "0 of 1 objects" and not rows["(mean)"]["psnr"]
    shown, _ = read_gallery(project.root / "results" / "gallery")
    assert shown["first"]["status"] == "the disk is full"
