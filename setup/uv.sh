#!/bin/sh
# Run uv, which any Python 3 installs into .uv:  uv.sh ARGUMENT...
# The Pythons that it brings stay in the project's folder, too.
set -eu
here=$(dirname "$0")

[ -x .uv/bin/uv ] || "$here/python_environment.sh" python3 .uv uv >&2
UV_PYTHON_INSTALL_DIR=$PWD/.python exec .uv/bin/uv "$@"
