"""Takes whole.png and part.png, the pixels (5, 3) to (20, 7) of it, in the folder that is named last: a grey wall.

Runs in Python with bpy and inside Blender.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import bpy  # noqa: E402

from obj2ngp.common.cameras import orbit_pose  # noqa: E402
from obj2ngp.scene import studio  # noqa: E402
from obj2ngp.scene.settings import Cameras, Light, Settings  # noqa: E402

RESOLUTION = (32, 24)
folder = Path(sys.argv[-1])
studio.reset("cpu")
bpy.ops.mesh.primitive_cube_add(size=2)  # so near that it fills the picture
studio.add_light(Light())
camera = studio.add_camera(Cameras(), RESOLUTION)
studio.configure_cycles(Settings(preset="draft"), threads=1)
pose = orbit_pose(0.3, 0.4, 1.5)
studio.take_picture(camera, pose, 1, folder / "whole.png", False)
studio.show_only((5, 3, 21, 8), RESOLUTION)
studio.take_picture(camera, pose, 1, folder / "part.png", False)
