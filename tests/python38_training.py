"""Trains and renders with the programs on the tcnn backend's stand-ins: what Python 3.8 and PyTorch 1.9 run.

    python python38_training.py FOLDER

Writes renders of a ball, trains on them with train.py, and renders a view with render_views.py and a turntable
with orbit.py. Prints one JSON object: versions, and the PSNR of the view.
"""

import dataclasses
import json
import platform
import runpy
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow_scripts"
sys.path[:0] = [str(SCRIPTS), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402

from ball import ball_images, ball_pose  # noqa: E402
from obj2ngp.views.nerf_synthetic import write_images  # noqa: E402
from obj2ngp.views.picture_files import read_picture  # noqa: E402
from obj2ngp.views.pictures import psnr, truth_on_white  # noqa: E402
from tcnn_scene import TRAINING, backend_on_standins  # noqa: E402

SIZE = 32
TEST_ANGLES = (0.5, 0.3)


def run_program(name, **options):
    """Runs a program of the workflow in this process, which has the stand-ins."""
    sys.argv = [name] + [word for key, value in options.items() for word in ("--" + key, str(value))]
    runpy.run_path(str(SCRIPTS / name), run_name="__main__")


def main(folder):
    # Where the ball is must be found in the images.
    write_images(ball_images(size=SIZE, placed=False), folder / "renders", "train")
    test = ball_images([ball_pose(*TEST_ANGLES)], SIZE, placed=False)
    write_images(test, folder / "renders", "test")
    model, settings = folder / "model.safetensors", json.dumps(dataclasses.asdict(TRAINING))
    with backend_on_standins():
        run_program(
            "train.py",
            object="ball",
            renders=folder / "renders",
            settings=settings,
            backend="tcnn",
            model=model,
            log=folder / "training.csv",
        )
        run_program(
            "render_views.py",
            object="ball",
            model=model,
            transforms=folder / "renders/transforms_test.json",
            settings="{}",
            backend="tcnn",
            out=folder / "test",
        )
        run_program(
            "orbit.py",
            object="ball",
            model=model,
            settings=json.dumps({"frames": 3, "size": SIZE}),
            backend="tcnn",
            gif=folder / "orbit.gif",
            webp=folder / "orbit.webp",
            video=folder / "orbit.mp4",
        )
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "psnr": psnr(truth_on_white(test.rgba[0]), read_picture(folder / "test/000.png")),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
