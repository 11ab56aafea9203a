"""LPIPS (Zhang et al. 2018), only where the package and its weights are already on the machine.

The package `lpips` brings its own linear layers; AlexNet's weights are torchvision's, found where
torch keeps downloads (`TORCH_HOME`). Nothing is downloaded here: fetch them once with
`python -c "import lpips; lpips.LPIPS(net='alex')"`.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

ALEXNET = "alexnet-owt-7be5be79.pth"


def obstacle():
    """Why LPIPS cannot be computed on this machine, or None."""
    missing = [name for name in ("lpips", "torchvision", "torch") if find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    import torch

    if not Path(torch.hub.get_dir(), "checkpoints", ALEXNET).is_file():
        return f"{ALEXNET} is not in torch's download folder"
    return None


@lru_cache(maxsize=None)
def network():
    """The network, loaded once."""
    import lpips

    return lpips.LPIPS(net="alex", verbose=False)


def lpips(truth, prediction):
    """LPIPS distance of two uint8 pictures (H,W,3), 0 where they are equal."""
    import torch

    pair = (torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (truth, prediction))
    with torch.no_grad():
        return network()(*pair).item()
