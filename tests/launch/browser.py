"""A real browser: Debian's chromium, driven by chromedriver's HTTP protocol."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Far beyond what a start takes, so that a hanging one fails.
_SECONDS = 120
KEYS = {"left": "\ue012", "right": "\ue014", "home": "\ue011", "end": "\ue010"}


def missing():
    """Why there is no browser to test with; None if there is one."""
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"no {name} (Debian: apt-get install chromium chromium-driver)"
    return None


class Browser:
    """A window."""

    def __init__(self, call):
        self._call = call

    def open(self, path):
        self._call("POST", "/url", {"url": path.absolute().as_uri()})

    def resize(self, width, height=900, scheme="light"):
        """Sets the size of the page, in pixels, and the scheme of colours."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self._devtools("Emulation.setDeviceMetricsOverride", mobile=False, **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._devtools("Emulation.setEmulatedMedia", features=[feature])

    def run(self, script, *arguments):
        """What the body of a JavaScript function returns."""
        body = {"script": script, "args": list(arguments)}
        return self._call("POST", "/execute/sync", body)

    def press(self, selector, *keys):
        """Presses keys while an element has the focus."""
        self.run("document.querySelector(arguments[0]).focus()", selector)
        found = self._call("POST", "/element", _css(selector))[_ELEMENT]
        text = "".join(KEYS.get(key, key) for key in keys)
        self._call("POST", f"/element/{found}/value", {"text": text})

    def click(self, selector):
        found = self._call("POST", "/element", _css(selector))[_ELEMENT]
        self._call("POST", f"/element/{found}/click", {})

    def complaints(self):
        """What the console has said since the last call, but debugging."""
        return self._call("POST", "/se/log", {"type": "browser"})

    def picture(self):
        """The whole page as a PNG file."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self._devtools(
            "Page.captureScreenshot", clip=clip, captureBeyondViewport=True
        )
        return base64.b64decode(shot["data"])

    def _devtools(self, command, **parameters):
        body = {"cmd": command, "params": parameters}
        return self._call("POST", "/goog/cdp/execute", body)


def _css(selector):
    return {"using": "css selector", "value": selector}


@contextlib.contextmanager
def opened(folder):
    """A browser that keeps its files in a folder of its own."""
    port = _free_port()
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        root = f"http://127.0.0.1:{port}"
        _wait_for(root)
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        body = {"capabilities": {"alwaysMatch": wanted}}
        session = f"{root}/session/{_ask('POST', f'{root}/session', body)['sessionId']}"
        try:
            yield Browser(lambda verb, path, body: _ask(verb, session + path, body))
        finally:
            _ask("DELETE", session)
    finally:
        driver.kill()
        driver.wait()


def _ask(verb, url, body=None):
    request = urllib.request.Request(
        url,
        method=verb,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    # No proxy stands between the test and its own computer.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from error


def _wait_for(root):
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            if _ask("GET", f"{root}/status")["ready"]:
                return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
