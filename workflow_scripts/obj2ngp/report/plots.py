"""Plots of a collection, as SVG for print and PNG for the screen: how its metrics are spread, and how fast they came.

They read the summary and the training logs alone. matplotlib is wanted only here.
"""

import statistics

import numpy as np

from obj2ngp.common.files import UserError, atomic_folder
from obj2ngp.common.tables import read_table
from obj2ngp.evaluation.registry import METRICS

from .gallery import category, read_summary, synset_titles
from .table import AVERAGES, value_of

MOST_CATEGORIES = 24  # a plot has room for: those with the most objects
MOST_LOGS = 2000  # training logs that are read, evenly picked
POINTS = 60  # of a curve
INK, ACCENT, LIGHT = "#222222", "#1f5fa8", "#a9c4e2"
STYLE: dict = {
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "svg.hashsalt": "obj2ngp",  # the same data give the same file
}


def write_plots(results, out):
    """Write the plots of the collection in the folder `results` into the folder `out`. Raises UserError."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = read_summary(results / "summary.csv")
    rows = {name: row for name, row in rows.items() if row["status"] == "ok" and name not in AVERAGES}
    if not rows:
        raise UserError(f"{results / 'summary.csv'}: no finished object to plot")
    plots = {
        "metrics": lambda: _distributions(pyplot, rows),
        "categories": lambda: _categories(pyplot, rows),
        "training": lambda: _training(pyplot, results, sorted(rows)),
    }
    with atomic_folder(out) as folder, pyplot.rc_context(STYLE):
        for name, draw in plots.items():
            figure = draw()
            if figure is not None:
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                figure.savefig(folder / f"{name}.png")
                pyplot.close(figure)


def _distributions(pyplot, rows):
    """A histogram of each metric that objects have; None where they have none."""
    metrics = [metric for metric in METRICS if any(metric.name in row for row in rows.values())]
    if not metrics:
        return None
    figure, axes = pyplot.subplots(len(metrics), 1, figsize=(5, 1.6 * len(metrics)), squeeze=False)
    for axis, metric in zip(axes[:, 0], metrics, strict=True):
        values = [row[metric.name] for row in rows.values() if metric.name in row]
        median = statistics.median(values)
        axis.hist(values, bins=min(60, max(8, len(values) // 10)), color=LIGHT, edgecolor=ACCENT, linewidth=0.5)
        axis.axvline(median, color=INK, linewidth=1)
        better = "more" if metric.better == "higher" else "less"
        axis.set_xlabel(f"{metric.title} ({better} is better; median {metric.format.format(median)})")
        axis.set_ylabel("objects")
        axis.yaxis.get_major_locator().set_params(integer=True)
    return figure


def _categories(pyplot, rows):
    """PSNR by category: medians, quartiles, and the whole range; None where there are no categories."""
    groups: dict[str, list] = {}
    for name, row in rows.items():
        if "psnr" in row:
            groups.setdefault(category(name) or "(none)", []).append(row["psnr"])
    if len(groups) < 2:
        return None
    chosen = sorted(groups, key=lambda name: (-len(groups[name]), name))[:MOST_CATEGORIES]
    chosen.sort(key=lambda name: statistics.median(groups[name]))
    figure, axis = pyplot.subplots(figsize=(5, 0.8 + 0.25 * len(chosen)))
    titles = synset_titles()
    labels = [f"{titles.get(name, name)} ({len(groups[name])})" for name in chosen]
    axis.boxplot(
        [groups[name] for name in chosen],
        orientation="horizontal",
        tick_labels=labels,
        whis=(0, 100),
        patch_artist=True,
        boxprops={"facecolor": LIGHT, "edgecolor": ACCENT},
        medianprops={"color": INK},
    )
    axis.set_xlabel("PSNR of the test views, dB")
    return figure


def _training(pyplot, results, names):
    """PSNR of the training pixels over time: the median object and the middle half of them; None without logs."""
    curves = [_curve(results / name) for name in names[:: -(-len(names) // MOST_LOGS)]]
    curves = [curve for curve in curves if len(curve)]
    if not curves:
        return None
    first = max(min(c[0, 0] for c in curves), 1e-3)
    seconds = np.geomspace(first, max(first, *(c[-1, 0] for c in curves)), POINTS)
    # Before its first row an object has no value; after its last it keeps it.
    values = np.stack([np.interp(seconds, curve[:, 0], curve[:, 1], left=np.nan) for curve in curves])
    known = ~np.isnan(values).all(0)
    low, middle, high = np.nanpercentile(values[:, known], (25, 50, 75), axis=0)
    figure, axis = pyplot.subplots(figsize=(5, 3))
    axis.fill_between(seconds[known], low, high, color=LIGHT, label="middle half of the objects")
    axis.plot(seconds[known], middle, color=ACCENT, label="median object")
    axis.set_xscale("log")
    axis.set_xlabel("training time, s")
    axis.set_ylabel("PSNR of the step's pixels, dB")
    axis.legend(frameon=False)
    return figure


def _curve(folder):
    """(n, 2): seconds and PSNR of an object's training log; empty where it has none that can be read."""
    try:
        rows = read_table(folder / "training.csv", ["seconds", "psnr"])
        return np.array([[value_of(row, "seconds", low=0), value_of(row, "psnr")] for row in rows]).reshape(-1, 2)
    except (OSError, UserError, ValueError):
        return np.empty((0, 2))
