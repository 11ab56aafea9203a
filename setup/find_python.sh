#!/bin/sh
# Print the path of a Python of one of these versions:  find_python.sh VERSION...
# Looks at $PYTHON, then on PATH in the order given; where there is none, uv brings the first version into .python.
set -eu
here=$(dirname "$0")
versions=$(echo "$*" | sed 's/ /, /g; s/\(.*\), /\1 or /')

has_version() {
    candidate=$1
    shift
    "$candidate" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv[1:])' "$@" 2>/dev/null
}

print_first_on_path() {
    for version in "$@"; do
        # A name on PATH may not run: pyenv has one for each version that is installed but not chosen.
        if has_version "python$version" "$version"; then
            command -v "python$version"
            return
        fi
    done
    return 1
}

if [ -n "${PYTHON:-}" ]; then
    if has_version "$PYTHON" "$@"; then
        echo "$PYTHON"
        exit
    fi
    "$PYTHON" -c 'import sys' 2>/dev/null || { echo "error: PYTHON=$PYTHON does not run" >&2; exit 1; }
    echo "$PYTHON is not Python $versions: looking for another" >&2
fi
print_first_on_path "$@" && exit
if ! command -v python3 >/dev/null && "$here/system_packages.sh" python3 python3-venv >&2; then
    print_first_on_path "$@" && exit
fi

echo "There is no Python $versions here: asking uv for one" >&2
if "$here/uv.sh" python install --no-bin "$1" >&2; then
    exec "$here/uv.sh" python find --managed-python "$1"
fi
echo "error: obj2ngp needs Python $versions. None was found, and uv could not bring one. Install one, such as" >&2
echo "    sudo apt-get install -y python$1 python$1-venv" >&2
echo "or name one: make PYTHON=/path/to/python$1. In a closed network, UV_PYTHON_INSTALL_MIRROR names uv's source." >&2
exit 1
