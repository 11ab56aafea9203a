"""Serve the workflow's jobs from one warm process: started by launch.py, not by hand.

python worker.py SOCKET IDLE_SECONDS
blender -b --factory-startup --python-exit-code 1 -P worker.py -- SOCKET IDLE_SECONDS
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # Blender does not

from obj2ngp.common.worker import serve  # noqa: E402

if __name__ == "__main__":
    path, idle = sys.argv[-2:]
    serve(path, float(idle))
