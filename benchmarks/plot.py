"""Plots PSNR over training time from benchmarks/quality.csv: medians over seeds of the newest commit, against ngp_pl.

python benchmarks/plot.py [--machine "NVIDIA H200"]      writes benchmarks/quality.png
"""

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas

FOLDER = Path(__file__).resolve().parent

# ngp_pl (tiny-cuda-nn, vren, apex) at the tutorial's settings on one H200: (seconds, dB), measured 2026.
NGP_PL = {
    "police128": [(3.3, 26.86), (6.4, 27.58), (61.2, 29.42)],
    "cow128": [(3.1, 24.09), (6.0, 24.23), (56.1, 24.77)],
    "armchair128": [(3.0, 27.65), (5.4, 28.00), (58.8, 28.59)],
    "chairA128": [(6.0, 34.31), (60.0, 33.95)],
    "chair400": [(2.9, 30.26), (5.5, 32.39), (57.9, 36.54)],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="NVIDIA H200", help="rows of machines whose name holds this")
    options = parser.parse_args()
    rows = pandas.read_csv(FOLDER / "quality.csv").fillna({"settings": "{}"})
    rows = rows[rows.machine.str.contains(options.machine, regex=False) & (rows.settings == "{}")]
    rows = rows[rows.commit == rows.commit.iloc[-1]]
    medians = rows.groupby(["scene", "steps"])[["seconds", "psnr"]].median().reset_index()
    matplotlib.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 5))
    for color, (scene, points) in zip(plt.cm.tab10.colors, NGP_PL.items(), strict=False):
        ours = medians[medians.scene == scene].sort_values("seconds")
        axes.plot(ours.seconds, ours.psnr, "o-", color=color, label=scene)
        axes.plot(*zip(*points, strict=True), "x--", color=color, alpha=0.6)
    axes.set(
        xscale="log",
        xlabel="training time in seconds",
        ylabel="mean test PSNR in dB",
        title="obj2ngp (circles) and ngp_pl on an H200 (crosses)",
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(FOLDER / "quality.png", dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
