"""LPIPS (Zhang et al. 2018), only where the package and its weights are already on the machine.

The package `lpips` brings its own linear layers; AlexNet's weights are torchvision's, found where
torch keeps downloads (`TORCH_HOME`). Nothing is downloaded here: fetch them once with
`python -c "import lpips; lpips.LPIPS(net='alex')"`.
"""

from importlib.util import find_spec
from pathlib import Path

ALEXNET = "alexnet-owt-7be5be79.pth"


def load():
    """(function of two uint8 pictures (H,W,3), or None, and a line that says what it is or why not)."""
    missing = [name for name in ("lpips", "torchvision", "torch") if find_spec(name) is None]
    if missing:
        return None, f"not computed: {' and '.join(missing)} not installed"
    import torch

    weights = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if not weights.is_file():
        return None, f"not computed: {ALEXNET} is not in torch's download folder"
    import lpips

    network = lpips.LPIPS(net="alex", verbose=False)

    def distance(truth, prediction):
        pair = (torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (truth, prediction))
        with torch.no_grad():
            return network(*pair).item()

    return distance, "AlexNet, version 0.1; 0 is best"
