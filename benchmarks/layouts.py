"""One scene in the layouts of five programs: each is brought in, and trained on with the same seed.

    python benchmarks/layouts.py write scene.npz FOLDER
    python benchmarks/layouts.py train FOLDER [--backend cuda] [--steps 1000] [--seeds 2]

The first writes the scene in each layout, brings it in as the rule `import_views` does, and keeps what the trainer
would get in FOLDER; pictures that are the same are kept once. The second needs neither the scene nor what reads
pictures. It prints PSNR, and appends to benchmarks/layouts.csv.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from record import append
from scenes import read_scene

from obj2ngp.views.posed_images import PosedImages

SPLITS = ("train", "test")
PICTURES = "pictures"  # file of all layouts' pictures, each array named after its hash


def bring_in(layout, views, folder):
    """split -> PosedImages of Views that are written in a layout and imported."""
    from obj2ngp.views.importing import import_set
    from obj2ngp.views.reading import read_images
    from obj2ngp.views.settings import Settings
    from obj2ngp.views.writing import SRN_NAME, WRITERS

    written, out = folder / layout, folder / f"{layout}_imported"
    written.mkdir()
    WRITERS[layout](views, written, "scene")
    source = written / f"{SRN_NAME}_train" / "scene" if layout == "srn" else written
    import_set("scene", source, Settings(), out)
    return {split: read_images(out / f"transforms_{split}.json") for split in SPLITS}


def write(scene, out):
    """Write what the trainer gets of the file `scene` in each layout into the folder `out`."""
    from obj2ngp.ngp.hull import fit_unit_cube
    from obj2ngp.views.nerf_synthetic import write_images
    from obj2ngp.views.writing import WRITERS, read_views

    out.mkdir(parents=True, exist_ok=True)
    pictures = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        splits = dict(zip(SPLITS, read_scene(scene), strict=True))
        for split, images in splits.items():
            images.scale = images.offset = None  # as published sets: nobody says where the object lies
            write_images(images, folder / "renders", split)
        scale, offset = fit_unit_cube(splits["train"])
        views = read_views(folder / "renders", {"scale": float(scale), "offset": offset.tolist()})
        for layout in WRITERS:
            content = {}
            for split, images in bring_in(layout, views, folder).items():
                name = hashlib.sha256(images.rgba.tobytes()).hexdigest()
                pictures[name] = images.rgba
                content[f"pictures_{split}"] = name
                for key in ("pose", "focal", "center", "names", "scale", "offset"):
                    if getattr(images, key) is not None:
                        content[f"{key}_{split}"] = getattr(images, key)
            np.savez(out / f"{layout}.npz", **content)
            print(layout, {key: content.get(f"{key}_train") for key in ("pictures", "scale", "offset")}, flush=True)
    np.savez_compressed(out / f"{PICTURES}.npz", **pictures)


def read(path, pictures):
    """(training views, test views) of a layout's file that `write` has made."""
    content = dict(np.load(path))
    return [
        PosedImages(
            pictures[str(content[f"pictures_{split}"])],
            content[f"pose_{split}"],
            float(content[f"focal_{split}"]),
            tuple(map(float, content[f"center_{split}"])),
            content[f"names_{split}"].tolist(),
            float(content[f"scale_{split}"]) if f"scale_{split}" in content else None,
            content.get(f"offset_{split}"),
        )
        for split in SPLITS
    ]


def train(folder, backend_name, steps, seeds):
    """Train on each layout in `folder`, print and append what it gave."""
    from quality import measure

    from obj2ngp.ngp import backends

    backend, pictures = backends.select(backend_name), dict(np.load(folder / f"{PICTURES}.npz"))
    layouts = {path.stem: read(path, pictures) for path in sorted(folder.glob("*.npz")) if path.stem != PICTURES}
    measure(backend, {"steps": 32}, next(iter(layouts.values())))  # compiles what is to be compiled
    for seed in range(seeds):
        means = []
        for layout, views in layouts.items():
            seconds, psnr, run = measure(backend, {"steps": steps, "seed": seed}, views)
            means.append(psnr.mean())
            row = {"backend": backend.NAME, "layout": layout, "seed": seed, "steps": run.config.steps}
            append("layouts", [{**row, "seconds": round(seconds, 3), "psnr": round(float(means[-1]), 3)}])
            print(f"seed {seed}  {layout:15} {means[-1]:.3f} dB after {seconds:.2f} s", flush=True)
        print(f"seed {seed}  they differ by {max(means) - min(means):.3f} dB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing, training = (commands.add_parser(name) for name in ("write", "train"))
    writing.add_argument("scene", type=Path)
    for command in (writing, training):
        command.add_argument("folder", type=Path)
    training.add_argument("--backend", default="auto")
    training.add_argument("--steps", default="auto", help="default: the recipe's")
    training.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if options.command == "write":
        write(options.scene, options.folder)
    else:
        steps = options.steps if options.steps == "auto" else int(options.steps)
        train(options.folder, options.backend, steps, options.seeds)


if __name__ == "__main__":
    main()
