#!/bin/sh
# Install the Debian packages named that are missing:  system_packages.sh PACKAGE...
# Where the user may not, one message names the exact command.
set -eu
missing=
for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    may=
elif sudo -n true 2>/dev/null; then
    may="sudo -n"
else
    echo "error: obj2ngp needs system packages that only an administrator can install. Please run" >&2
    echo "    sudo apt-get install -y$missing" >&2
    exit 1
fi
echo "Installing system packages:$missing"
# shellcheck disable=SC2086  # both are lists of words
$may apt-get -qq update
$may env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
