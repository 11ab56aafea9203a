"""Print the packages that pip is to install as requirements with hashes:  verified.py REPORT LOCK

REPORT is that of `pip install --dry-run --report`. A hash in LOCK, a file with the hashes of every package's files,
is what makes a download the one that was pinned. A wheel of torch on this machine's own disk is taken as it is: builds
for other processors than PyPI's are brought by hand (pip's --find-links).
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

BROUGHT_BY_HAND = {"torch"}


def normal(name):
    """The name of a package as all spellings of it have it in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path):
    """{(package, version): hashes as pip's options} of a lock."""
    text = Path(path).read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.split("\n"):
        pin = re.match(r"([\w.-]+)(?:\[.*?\])?==(\S+)", line)
        if pin:
            found[normal(pin[1]), pin[2]] = re.findall(r"--hash=\S+", line)
    return found


def main(report, lock):
    """Print a line for each package. Raises SystemExit where the lock has no hash of one."""
    locked = read_lock(lock)
    for item in json.loads(Path(report).read_text(encoding="utf-8"))["install"]:
        name, version = normal(item["metadata"]["name"]), item["metadata"]["version"]
        url = urlsplit(item["download_info"]["url"])
        hashes = locked.get((name, version.partition("+")[0]), [])
        if name in BROUGHT_BY_HAND and url.scheme == "file":
            hashes = ["--hash=sha256:" + hashlib.sha256(Path(unquote(url.path)).read_bytes()).hexdigest()]
        if not hashes:
            sys.exit(f"error: {lock} has no hash of {name} {version}")
        print(f"{name}=={version}", *hashes)


if __name__ == "__main__":
    main(*sys.argv[1:])
