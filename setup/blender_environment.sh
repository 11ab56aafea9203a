#!/bin/sh
# Make the environment of Blender's Python module:  blender_environment.sh FOLDER
# Where that cannot be, the message offers a Blender that is installed.
set -eu
folder=$1 here=$(dirname "$0")

# The versions of Python for which there is a long-term version of Blender: 4.5 and 5.2.
if python=$("$here/find_python.sh" 3.11 3.13) &&
    "$here/python_environment.sh" "$python" "$folder" blender &&
    "$here/blender_libraries.sh" "$folder/bin/python"; then
    exit
fi

is_new_enough() {
    "$1" --version | awk 'NR == 1 {split($2, v, "."); exit !($1 == "Blender" && (v[1] > 2 || v[1] == 2 && v[2] >= 90))}'
}

echo "error: so Blender's Python module cannot be installed." >&2
blender=$(command -v blender) && is_new_enough "$blender" || blender=
echo "${blender:+There is $blender. }An installed Blender, 2.90 or newer, does as well: name it in the configuration, or run" >&2
echo "    make .venv/installed" >&2
echo "    .venv/bin/snakemake --cores all --config 'render={blender: ${blender:-/path/to/blender}}'" >&2
exit 1
