#!/bin/sh
# Make or update a virtual environment:  python_environment.sh PYTHON FOLDER NAME
# installs requirements/NAME.in with every version pinned by requirements/NAME.lock. The lock is
# given as constraints, so that it can pin the CUDA libraries of torch where torch asks for them.
set -eu
python=$1 folder=$2 name=$3

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

version=$(version_of "$python") || { echo "error: '$python' does not run" >&2; exit 1; }
"$python" -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/system_packages.sh" "python$version-venv"

echo "Installing requirements/$name.in into $folder"
# An environment of another Python, or one that was moved, cannot be updated.
[ "$(version_of "$folder/bin/python")" = "$version" ] || clear=--clear
"$python" -m venv ${clear:-} "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "requirements/$name.in" --constraint "requirements/$name.lock"
