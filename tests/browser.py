"""Chromium without a window, and a server for the pages that it opens."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def needs_chromium(test):
    """The marks of a test that opens pages."""
    absent = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    return pytest.mark.slow(pytest.mark.system(absent(test)))


DRIVER = """<!doctype html><meta charset="utf-8">
<body onload="drive().then(show, show)">
<iframe src="{page}" width="1000" height="800"></iframe>
<script>
const frame = document.querySelector("iframe");
// What `find` gives, as soon as it gives something; it may fail until then.
async function wait(find) {{
  for (;;) {{
    try {{ const found = find(); if (found) return found; }} catch {{}}
    await new Promise((next) => setTimeout(next, 20));
  }}
}}
function show(seen) {{ document.body.textContent = JSON.stringify(seen.stack ?? seen); }}
async function drive() {{ {script} }}
</script>"""


def chromium(*arguments, profile, scheme=()):
    """Run headless Chromium that reaches nothing outside."""
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={profile / 'profile'}", *scheme, *arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing about requests."""


@contextlib.contextmanager
def served(folder):
    """Yield the address at which the files of `folder` are served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def drive(page, script, profile):
    """What the JavaScript `script` returns, run beside the file `page`, which is shown in the iframe `frame`.

    Two files are strangers to each other in a browser, two pages of one server are not: both are served.
    """
    driver = page.with_name("driver.html")
    driver.write_text(DRIVER.format(page=page.name, script=script), encoding="utf-8")
    with served(page.parent) as address:
        finished = chromium("--virtual-time-budget=20000", "--dump-dom", f"{address}/driver.html", profile=profile)
    driver.unlink()
    return json.loads(re.search("<body[^>]*>(.*)</body>", finished.stdout, re.DOTALL)[1])
