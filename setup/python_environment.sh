#!/bin/sh
# Make or update a virtual environment:  python_environment.sh PYTHON FOLDER NAME
# installs requirements/NAME.in with every version pinned by requirements/NAME.lock. The lock is
# given as constraints, so that it can pin the CUDA libraries of torch where torch asks for them.
set -eu
python=$1 folder=$2 name=$3

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    echo "error: obj2ngp needs Python 3.11, and '$python' is not one. On Debian 12 and Ubuntu 22.04:" >&2
    echo "    sudo apt-get install -y python3.11 python3.11-venv" >&2
    echo "or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
"$python" -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/system_packages.sh" python3.11-venv

echo "Installing requirements/$name.in into $folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "requirements/$name.in" --constraint "requirements/$name.lock"
