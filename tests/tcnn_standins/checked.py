"""What the stand-ins ask of their arguments: as strict as the CUDA extensions, and stricter where those crash."""

import torch

DEVICE = "cpu"


def tensor(name, value, shape, dtype):
    """Checks a contiguous tensor on DEVICE; a shape's entries are sizes, or None for any."""
    if not isinstance(value, torch.Tensor):
        raise TypeError("{}: expected a tensor, got {!r}".format(name, type(value)))
    if value.device.type != DEVICE:
        raise RuntimeError("{} must be on {}, is on {}".format(name, DEVICE, value.device))
    if value.dtype != dtype:
        raise RuntimeError("{} must be {}, is {}".format(name, dtype, value.dtype))
    if value.dim() != len(shape) or any(want not in (None, have) for want, have in zip(shape, value.shape)):
        raise RuntimeError("{} must have shape {}, has {}".format(name, tuple(shape), tuple(value.shape)))
    if not value.is_contiguous():
        raise RuntimeError("{} must be contiguous".format(name))


def number(name, value, kind):
    """Checks a plain Python number: pybind11 takes an int for a float, but no float for an int, and no tensor."""
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise TypeError("{}: expected {}, got {!r}".format(name, kind.__name__, value))


def keys(name, given, required, optional=()):
    """Checks the keys of a JSON object."""
    missing, unknown = set(required) - set(given), set(given) - set(required) - set(optional)
    if missing or unknown:
        raise RuntimeError("{}: missing {}, unknown {}".format(name, sorted(missing), sorted(unknown)))
