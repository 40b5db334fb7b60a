"""A headless Chromium, driven over a pipe by its own protocol: nothing to install beside the browser.

`Browser.open(file)` gives a `Tab` that hears every error and every request of the page it shows.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0
"""Seconds to wait for an answer: a browser that hangs must not hang the tests."""
LEFT = (
    "Inspected target navigated or closed",
    "Cannot find context",
    "Cannot find default execution context",
    "Execution context was destroyed",
    "Promise was collected",
)
"""How the browser says that the page a script ran in is being replaced by another."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def found() -> str | None:
    """The browser on this machine, if there is one; QUELL_BROWSER names another."""
    named = os.environ.get("QUELL_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


class Navigated(AssertionError):
    """The page went elsewhere, or was loaded anew, while it was asked something."""


class Browser:
    """A running browser. Use it as a context: leaving it ends the browser and removes its profile."""

    def __init__(self, path: str) -> None:
        self.profile = tempfile.mkdtemp(prefix="quell-browser-")
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        self._buffer = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        # The browser reads commands from descriptor 3 and writes answers to 4.
        shell = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(reads), str(writes), path, *_FLAGS,
             f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(reads)
        os.close(writes)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something and wait for the answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        for heard in self._messages(end):
            if heard.get("id") == number:
                if "error" in heard:
                    told = heard["error"]["message"]
                    kind = Navigated if told.startswith(LEFT) else AssertionError
                    raise kind(f"{method}: {told}")
                result: dict[str, Any] = heard["result"]
                return result
            self.events.append(heard)
        raise AssertionError(f"the browser did not answer {method}")

    def _messages(self, end: float) -> Iterator[dict[str, Any]]:
        while time.monotonic() < end:
            while b"\0" in self._buffer:
                message, self._buffer = self._buffer.split(b"\0", 1)
                yield json.loads(message)
            if select.select([self._from], [], [], 0.2)[0]:
                more = os.read(self._from, 1 << 20)
                if not more:
                    raise AssertionError("the browser ended")
                self._buffer += more

    def open(
        self,
        page: Path | str,
        width: int = 1280,
        height: int = 900,
        *,
        dark: bool = False,
        scripts: bool = True,
    ) -> Tab:
        """A new tab that shows a file, or what is at an address; without `scripts` those of the page do not
        run."""
        return Tab(self, page, width, height, dark, scripts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self.profile, ignore_errors=True)


class Tab:
    """One page. `errors` are what its console, its exceptions and its policy complained of, `requests` the
    addresses it asked for beside its own."""

    def __init__(
        self, browser: Browser, page: Path | str, width: int, height: int, dark: bool, scripts: bool
    ) -> None:
        self.browser = browser
        self.address = page if isinstance(page, str) else page.resolve().as_uri()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.size(width, height)
        self.colours(dark)
        self.call("Page.navigate", url=self.address)
        self.until('document.readyState === "complete" && location.protocol !== "about:"')

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask something about this tab."""
        return self.browser.call(method, self.session, **parameters)

    def size(self, width: int, height: int) -> None:
        """As on a screen of this size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def colours(self, dark: bool) -> None:
        """As for somebody who wants dark colours, or light ones."""
        wish = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=wish)

    def run(self, script: str) -> Any:
        """The value of a script, as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def until(self, script: str) -> Any:
        """The value of a script as soon as there is one that is true, on whatever page is there by then."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if value := self.run(script):
                    return value
            except Navigated:
                pass
            assert time.monotonic() < end, f"the page never came to: {script}"
            time.sleep(0.01)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key and let go."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, **typed)

    def point(self, query: str) -> None:
        """Move the mouse to the middle of an element."""
        element = f"document.querySelector({json.dumps(query)})"
        self.run(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y, width, height = (
            self.run(f"{element}.getBoundingClientRect().{side}") for side in ("x", "y", "width", "height")
        )
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + width / 2, y=y + height / 2)

    def shot(self, whole: bool = False) -> bytes:
        """A picture of the page, as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    @property
    def errors(self) -> list[str]:
        """What went wrong so far."""
        self.run("1")
        told = []
        for event in self._own():
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                told.append(str(params["exceptionDetails"].get("exception", {}).get("description", params)))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                told.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                told.append(str([a.get("value") for a in params["args"]]))
        return told

    @property
    def requests(self) -> list[str]:
        """What the page asked for so far, itself left out."""
        self.run("1")
        sent = [e for e in self._own() if e["method"] == "Network.requestWillBeSent"]
        return [e["params"]["request"]["url"] for e in sent if e["params"]["request"]["url"] != self.address]

    def _own(self) -> list[dict[str, Any]]:
        return [e for e in self.browser.events if e.get("sessionId") == self.session]

    def close(self) -> None:
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)
