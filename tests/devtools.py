"""A real Chromium that a test drives: real pointer and key events, any width, light or dark, everything that the page asks for.

It takes its commands over a pipe in the browser's own protocol, so nothing but the browser has to be installed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from tests.browser import OPTIONS, SECONDS, BrowserError, browser

_OPTIONS = (*OPTIONS, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe")


class Browser:
    """One browser with one page; use it as a context manager. requests, console: what the page asked for, and what it said."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.console: list[str] = []
        self._number, self._rest = 0, b""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="velro-browser-", ignore_cleanup_errors=True)
        (theirs_in, self._to), (self._from, theirs_out) = os.pipe(), os.pipe()
        # The browser reads its commands from descriptor 3 and writes to 4, whatever the pipes have here.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = [browser(), *_OPTIONS, f"--user-data-dir={self._folder.name}/profile", "about:blank"]
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self._folder.name, "LC_ALL": "C.UTF-8"},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)
        os.close(self._from)
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result.

        Raises:
            BrowserError: it failed, or the browser does not respond.
        """
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message)

    def open(self, page: Path, *, width: int, height: int = 800, dark: bool = False) -> None:
        """Open a file at this size, until it is loaded."""
        self.requests.clear()
        self.console.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.dark(dark)
        self.call("Page.navigate", url=page.as_uri())
        # A page whose scripts are off cannot be asked to wait.
        while self._message_noted().get("method") != "Page.loadEventFired":
            pass

    def dark(self, on: bool) -> None:
        """Whether the reader prefers dark pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def value(self, expression: str) -> Any:
        """What an expression gives in the page.

        Raises:
            BrowserError: it throws.
        """
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise BrowserError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a condition holds in the page.

        Raises:
            BrowserError: it never does.
        """
        # The page itself waits: a frame at a time, so that nothing here sleeps.
        met = f"(() => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }})()"
        deadline = time.monotonic() + SECONDS
        while not self.value(f"new Promise(done => requestAnimationFrame(() => done({met})))"):
            if time.monotonic() > deadline:
                raise BrowserError(f"never: {condition}; console: {self.console}")

    def pointer(self, kind: str, x: float, y: float, *, pressed: bool = False) -> None:
        """A real event of the pointer: mouseMoved, mousePressed or mouseReleased."""
        held = {"button": "left", "buttons": 1, "clickCount": 1} if pressed or kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """A picture of what is seen, or of the whole page."""
        made = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(made["data"]))

    def _message_noted(self) -> dict[str, Any]:
        message = self._message()
        self._note(message)
        return message

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], SECONDS)[0]:
                raise BrowserError("the browser does not respond")
            more = os.read(self._from, 1 << 20)
            if not more:
                raise BrowserError("the browser ended")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, message: dict[str, Any]) -> None:
        found = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(str(found["request"]["url"])[:200])
            case "Runtime.exceptionThrown":
                self.console.append(str(found["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if found["type"] in ("error", "warning", "assert"):
                self.console.append(str(found["args"]))
            case "Log.entryAdded" if found["entry"]["level"] in ("error", "warning"):
                self.console.append(str(found["entry"]["text"]))
