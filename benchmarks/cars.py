"""Cars in the layout in which fields of ShapeNet's cars are published, through the whole workflow.

    python benchmarks/cars.py [--configuration '{"train": ...}'] car.obj ...

160 views of 128x128 from all over the upper half of the sphere, nine tenths of them to train on, the others to judge,
on white: what the code of Fused-Planes (Kassab et al. 2026, arXiv:2410.23742) reads, whose table of ShapeNet's cars has
28 to 31 dB after 7 to 75 minutes an object, and at most TensoRF's 36.74 dB. Their models and light are others. Appends
to benchmarks/cars.csv: seconds are those of training, PSNR and the worst view's as metrics.csv has them.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

from record import append
from scenes import ROOT
from throughput import snakemake

VIEWS = {"train": 144, "val": 0, "test": 16}
CAMERAS = {"distribution": "uniform", "elevation": [0, 90]}


def configure(folder, models, configuration):
    """Writes a configuration for the models into `folder`."""
    lines = ["object\tpath", *(f"{path.stem}\t{path.resolve()}" for path in models)]
    (folder / "own").mkdir()
    (folder / "own" / "objects.tsv").write_text("\n".join(lines) + "\n")
    content = {"objects": {"table": "own/objects.tsv"}, "render": {"views": VIEWS, "cameras": CAMERAS}, **configuration}
    (folder / "own" / "config.yaml").write_text(json.dumps(content))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument(
        "--configuration", type=json.loads, default={}, help="JSON: what the configuration says besides"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        configure(folder, options.models, options.configuration)
        names = [path.stem for path in options.models]
        snakemake(folder, *(f"results/{name}/metrics.csv" for name in names), "--snakefile", str(ROOT / "Snakefile"))
        rows = []
        for name in names:
            result = folder / "results" / name
            with open(result / "metrics.csv", newline="") as file:
                psnr = [float(row["psnr"]) for row in csv.DictReader(file)]
            with open(result / "training.csv", newline="") as file:
                last = list(csv.DictReader(file))[-1]
            rows.append(
                {
                    "object": name,
                    "steps": last["step"],
                    "seconds": last["seconds"],
                    "psnr": round(sum(psnr) / len(psnr), 3),
                    "psnr_worst_view": round(min(psnr), 3),
                    "configuration": json.dumps(options.configuration),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    append("cars", rows)


if __name__ == "__main__":
    main()
