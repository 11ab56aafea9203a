"""Other versions of Python on this machine."""

import os
import shutil
import subprocess
from pathlib import Path


def find_python(version):
    """The path of a Python of that version ("3.8") on PATH or among pyenv's, with `venv`, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    code = "import sys, venv; print(sys.base_prefix)"
    for candidate in [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]:
        if candidate:
            run = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
            # pyenv's name on PATH is a script that only works where that version was chosen.
            if run.returncode == 0:
                return str(Path(run.stdout.strip()) / "bin" / f"python{version}")
    return None
