"""Registers the trainer as the method `obj2ngp` of nerfbaselines 1.2: see docs/views.md.

NERFBASELINES_REGISTER=.../integrations/nerfbaselines/obj2ngp_spec.py nerfbaselines train --method obj2ngp ...
"""

import sys
from pathlib import Path

from nerfbaselines import register

HERE = Path(__file__).resolve().parent
# The method's module, and the library where it is not installed but lies in the clone.
sys.path += [path for path in (str(HERE), str(HERE.parents[1] / "workflow_scripts")) if path not in sys.path]

register(
    {
        "id": "obj2ngp",
        "method_class": "obj2ngp_method:Obj2ngp",
        "backends_order": ["python"],
        "metadata": {
            "name": "obj2ngp",
            "description": "Instant-NGP for single objects, on a GPU (Triton) or on a CPU (numba), without a compiler.",
        },
        "implementation_status": {"blender": "working"},
    }
)
