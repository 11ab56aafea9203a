"""The tcnn backend: the CUDA extensions of ngp_pl behind the stages of `ngp.backends`.

The hash grid is a tiny-cuda-nn Encoding that shares the field's table, the MLPs are Networks whose padded,
transposed parameters are copied from the field's weights before each evaluation. `encode` and `evaluate` each
leave an autograd graph, which `encode_backward` and `evaluate_backward` run with the gradients in `samples`; no
graph spans two stages. vren finds the samples and composites them, torch-scatter sums the optical thickness of a
ray, and apex's FusedAdam, or torch's Adam, steps the field's own parameters. Models are therefore the same as
those of the other backends. The one difference: at the cube's border, where vertices are clamped there,
tiny-cuda-nn's indices wrap around.

tiny-cuda-nn casts its own half-precision copies of the parameters at every call.
"""

from __future__ import annotations

import importlib
import importlib.util

import torch

DEVICE = "cuda"
DTYPE = torch.float16
ENVIRONMENT = "envs/ngp-cu111.yaml"
PACKAGES = ("tinycudann", "vren", "torch_scatter")  # apex may be missing


def _package_problem():
    """Why the packages cannot be used, or None."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            return "the package {} is not installed; {} has it".format(name, ENVIRONMENT)
        try:
            importlib.import_module(name)
        except (ImportError, OSError, NameError) as error:  # NameError: tiny-cuda-nn built for another GPU
            return "the package {} does not load ({}); {} builds it".format(name, error, ENVIRONMENT)
    return None


_problem = _package_problem()
if _problem is None:
    from .networks import encode, encode_backward, evaluate, evaluate_backward, prepare, update_occupancy
    from .optimiser import FUSED, optimise
    from .rays import LOSS_SCALE, composite, composite_loss, draw_rays, march, mark_seen

__all__ = [
    "LOSS_SCALE",
    "capture",
    "composite",
    "composite_loss",
    "describe",
    "draw_rays",
    "encode",
    "encode_backward",
    "evaluate",
    "evaluate_backward",
    "march",
    "mark_seen",
    "optimise",
    "prepare",
    "unavailable",
    "update_occupancy",
]


def unavailable():
    if _problem is None and DEVICE == "cuda" and not torch.cuda.is_available():
        return "torch {} finds no CUDA device".format(torch.__version__)
    return _problem


def describe():
    return "{}, {} Adam".format(torch.cuda.get_device_name(), "apex's" if FUSED else "torch's")


def capture(stages):
    return stages
