#!/bin/sh
# Provide the shared libraries that Blender's Python module loads:  blender_libraries.sh PYTHON
set -eu
python=$1

"$python" -c 'import bpy' 2>/dev/null && exit 0
"$(dirname "$0")/system_packages.sh" \
    libx11-6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libgl1 libxxf86vm1 libgomp1
"$python" -c 'import bpy'
