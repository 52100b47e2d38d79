"""A real browser, driven by the DevTools protocol over two pipes: no library, no port."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip

#: The protocol is spoken on these two descriptors.
ON_3_AND_4 = """
import fcntl, os, sys
ours = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(ours[0], 3)
os.dup2(ours[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One page: what it asked for, and what it complained of."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer, self.buffer, self.numbers = reader, writer, b"", count(1)
        self.session: str | None = None
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.loaded = False

    def open(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def receive(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self.buffer:
            assert select.select([self.reader], [], [], until - time.monotonic())[0], "the browser is silent"
            piece = os.read(self.reader, 1 << 20)
            assert piece, "the browser ended"
            self.buffer += piece
        text, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self.note(message.get("method", ""), message.get("params", {}))
        return message

    def note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requested.append(params["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(f"{params['errorText']} {params.get('blockedReason', '')}")
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(params["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Page.loadEventFired":
                self.loaded = True

    def visit(self, url: str) -> None:
        self.loaded = False
        assert "errorText" not in self.call("Page.navigate", url=url)
        self.wait_for_load()

    def act(self, script: str) -> None:
        """Run what leads to another page."""
        self.loaded = False
        self.evaluate(script)
        self.wait_for_load()

    def wait_for_load(self) -> None:
        while not self.loaded:
            self.receive()
        self.evaluate("new Promise(done => setTimeout(done, 200))")

    def wait_for(self, selector: str) -> None:
        """Until a script has made the element."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(
            f"new Promise(done => {{const look = () => {found} ? done() : setTimeout(look, 20); look()}})"
        )

    def evaluate(self, script: str) -> Any:
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, selector: str) -> None:
        """A mouse click in the middle of the element."""
        at = self.evaluate(
            f"(() => {{const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def enter(self) -> None:
        """The Enter key, which sends a form."""
        self.loaded = False
        for kind in ("keyDown", "keyUp"):
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            self.call("Input.dispatchKeyEvent", type=kind, **key)
        self.wait_for_load()

    def text(self, selector: str = "body") -> str:
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def texts(self, selector: str) -> list[str]:
        script = f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.innerText.trim())"
        found: list[str] = self.evaluate(script)
        return found


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A new browser with an empty profile, closed in the end."""
    our_reader, its_writer = os.pipe()
    its_reader, our_writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_3_AND_4, str(its_reader), str(its_writer), program, *OPTIONS,
         f"--user-data-dir={profile}"],
        pass_fds=(its_reader, its_writer),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(its_reader)
    os.close(its_writer)
    page = Page(our_reader, our_writer)
    try:
        page.open()
        yield page
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        os.close(our_reader)
        os.close(our_writer)
