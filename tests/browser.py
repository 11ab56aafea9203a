"""Chromium without a window, driven through its DevTools protocol: pages are opened as files, without a network."""

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_core_python.base import AXE_FILE_PATH
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
OFFLINE = (
    *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--no-default-browser-check"),
)


def needs_chromium(test):
    """The marks of a test that opens pages."""
    absent = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    return pytest.mark.slow(pytest.mark.system(absent(test)))


class Browser:
    """A running Chromium; `open` gives a Page. `flags` say what draws: all, pages included, by software GL."""

    def __init__(self, profile, flags=SOFTWARE_GL):
        command = [CHROMIUM, "--headless", "--no-sandbox", *flags, *OFFLINE, "--remote-debugging-port=0"]
        self.process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        told, end = Path(profile, "DevToolsActivePort"), time.monotonic() + 30
        while not told.exists() or "\n" not in told.read_text():
            assert self.process.poll() is None and time.monotonic() < end, "Chromium does not start"
            time.sleep(0.02)
        port, path = told.read_text().split("\n")[:2]
        self.connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)
        self.numbers, self.pages = itertools.count(1), {}

    def call(self, method, session=None, timeout=60, **parameters):
        """The result of a command of the protocol. Events on the way are given to their pages."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        self.connection.send(json.dumps(message))
        end = time.monotonic() + timeout
        while True:
            answer = json.loads(self.connection.recv(timeout=max(0.01, end - time.monotonic())))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("sessionId") in self.pages:
                self.pages[answer["sessionId"]].hear(answer["method"], answer["params"])

    def open(self, address, width=900, height=700, **media):
        """The Page at a URL, loaded; `media` are media features, as in prefers_color_scheme="dark"."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, target, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        page.call("Emulation.setEmulatedMedia", features=features)
        page.resize(width, height)
        page.go(address)
        return page

    def close(self):
        """End the browser."""
        self.connection.close()
        self.process.terminate()
        self.process.wait(20)


class Page:
    """A tab. messages: what it said on the console; requests: the addresses that it asked for."""

    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session
        self.messages, self.requests = [], []

    def call(self, method, **parameters):
        """The result of a command of the protocol in this tab."""
        return self.browser.call(method, self.session, **parameters)

    def hear(self, method, event):
        """Keep what the tests look at."""
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(part.get("value", part)) for part in event["args"]))
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.messages.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            self.messages.append(event["entry"]["text"])

    def go(self, address):
        """Load another page, and wait until it is there."""
        self.call("Page.navigate", url=str(address))
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script):
        """What the body `script` of an async function returns, as JSON has it."""
        answer = self.call(
            "Runtime.evaluate", expression=f"(async () => {{{script}}})()", awaitPromise=True, returnByValue=True
        )
        details = answer.get("exceptionDetails")
        assert not details, details["exception"].get("description", details)
        return answer["result"].get("value")

    def wait(self, condition, timeout=30):
        """Wait until an expression is true; returns its value."""
        end = time.monotonic() + timeout
        while True:
            value = self.run(f"try {{ return {condition} }} catch {{ return null }}")
            if value:
                return value
            assert time.monotonic() < end, f"never: {condition}; {self.messages}"
            time.sleep(0.02)

    def resize(self, width, height):
        """Give the page a window of so many pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def key(self, key):
        """Press a key, named as in KeyboardEvent.key."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code.get(key, 0), **text)

    def mouse(self, kind, x, y, **more):
        """A mouse event: 'Moved', 'Pressed', 'Released' or 'Wheel' at a point of the page."""
        button = {} if kind in ("Wheel",) else {"button": "left", "buttons": int(kind != "Released"), "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **{**button, **more})

    def screenshot(self, file=None):
        """The PNG of what is seen; also written to `file`."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if file:
            Path(file).write_bytes(data)
        return data

    def close(self):
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)


def serious(page):
    """What axe-core finds serious or critical."""
    page.run(AXE_FILE_PATH.read_text(encoding="utf-8") + "; window.axe = axe")
    return page.run("""
        const { violations } = await axe.run(document, { iframes: false });
        return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
          .map(({ id, nodes }) => [id, ...nodes.map((node) => node.html.slice(0, 150))])""")


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
