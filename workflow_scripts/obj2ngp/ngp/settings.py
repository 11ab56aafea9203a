"""The settings of what a trained model shows, test views and turntable, and the names of the backends.

It imports neither PyTorch nor Pillow, so that the workflow can read it in its own Python.
"""

from dataclasses import dataclass

from obj2ngp.common.settings import setting

# Raised by hand when the same settings give other results than before.
VIEWS_METHOD = 4
ORBIT_METHOD = 4

# The modules of `obj2ngp.ngp.backends`, in the order in which `auto` tries them.
BACKENDS = {"cuda": "Triton", "tcnn": "tiny-cuda-nn", "cpu": "numba"}


ORBIT_PIXEL_BYTES = 600  # of memory for each pixel of a frame: 60 frames of 1024x1024 in ffmpeg needed 0.5 GB


def _supersampling(default):
    return setting(default, "rays along each side of a pixel", 1, 8)


@dataclass(frozen=True)
class ViewSettings:
    """How test views are rendered."""

    supersampling: int = _supersampling(3)  # 0.13 dB more than 2 (H100, mean of four scenes); 4 gains 0.03 more
    geometry: bool = setting(
        True, "also measure how near the surface is to the source mesh, where there is one; see docs/geometry.md"
    )


@dataclass(frozen=True)
class OrbitSettings:
    """The turntable. Angles in degrees; distances in world units, in which the object is 1 long."""

    frames: int = setting(60, "pictures of one turn", 2, 1000)
    fps: int = setting(30, "pictures a second; browsers slow GIFs down that are faster than 50", 1, 50)
    size: int = setting(256, "width and height in pixels", 16, 2048)
    elevation: float = setting(20.0, "degrees above the ground", -89, 89)
    radius: float = setting(1.5, "distance of the camera from the centre", 0.1, 100)
    fov: float = setting(49.13, "horizontal field of view in degrees", 1, 120)
    supersampling: int = _supersampling(2)
