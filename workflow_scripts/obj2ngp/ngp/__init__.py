"""Instant-NGP: multiresolution hash encoding, small MLPs, occupancy grid (Müller et al., SIGGRAPH 2022).

from obj2ngp.ngp import load_model

density, color = load_model("model.safetensors").query(positions, directions)
"""


def __getattr__(name):
    # Only when it is asked for: the settings of this room are read where there is no PyTorch.
    if name == "load_model":
        from .model_file import load_model

        return load_model
    raise AttributeError("module {} has no attribute {}".format(__name__, name))
