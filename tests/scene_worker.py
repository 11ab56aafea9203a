"""Renders in one Blender process what it is asked for, one JSON array of render.py's arguments a line.

Answers on a line of its own after each: {"error": null or the message}. Runs in Python with bpy and inside Blender.
"""

import json
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import render  # noqa: E402
from obj2ngp.common.files import UserError  # noqa: E402

for line in sys.stdin:
    answer = {"error": None}
    try:
        render.main(json.loads(line))
    except UserError as error:
        answer["error"] = str(error)
    except Exception:  # told to the test that asked, which then fails
        answer["crash"] = traceback.format_exc()
    print("answer " + json.dumps(answer), flush=True)
