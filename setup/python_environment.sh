#!/bin/sh
# Make or update a virtual environment:  python_environment.sh PYTHON FOLDER NAME
# installs requirements/NAME.in with every version pinned by requirements/NAME.lock, and every download checked by its
# hashes there. The lock names more than is installed, such as the CUDA libraries that some builds of torch ask for: so
# pip first says which packages it will take, with the lock as constraints, and then takes these and no others.
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

sed 's/ *\\$//; /^ *--hash/d' "requirements/$name.lock" >"$folder/constraints"
pip() {
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}
pip --dry-run --report "$folder/report" --requirement "requirements/$name.in" --constraint "$folder/constraints"
"$folder/bin/python" "$(dirname "$0")/verified.py" "$folder/report" "requirements/$name.lock" >"$folder/packages"
[ ! -s "$folder/packages" ] || pip --no-deps --require-hashes --requirement "$folder/packages"
