"""Firefox, driven over WebDriver BiDi, with as much of Playwright's page as the notebook helpers in `lab` use.

Playwright's own Firefox is a patched one that it downloads; this drives the one that is installed, and needs nothing
but a WebSocket. The fake microphone of Firefox is a tone of 1000 Hz; a real one is what comes out of a sound server.

    with firefox.opened() as page:
        notebook = jupyter.open(page, path)
        page.click(".rtnb-call-main")                       # a real click: the browser lets sound start
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from websockets.sync.client import ClientConnection, connect

__all__ = ["Page", "executable", "missing", "opened"]

# What is in the microphone: a tone that Firefox makes, what the page plays, or nothing of it.
Microphone = Literal["tone", "loudspeaker", "headphones"]

# Everything played goes to the first sink; the microphone is the monitor of either. The socket opens last: once it is
# there, all the rest is.
_SOUND = """
load-module module-null-sink sink_name=loudspeaker sink_properties=device.description=loudspeaker
load-module module-null-sink sink_name=headphones sink_properties=device.description=headphones
set-default-sink loudspeaker
set-default-source {microphone}.monitor
load-module module-native-protocol-unix
"""

# The settings a person would click for, and silence on the network.
_PREFERENCES = {
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "remote.active-protocols": 1,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "browser.safebrowsing.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.server": "",
}


def executable() -> str | None:
    """Where Firefox is; None where it is not installed."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


def missing() -> str | None:
    """Why tests in Firefox cannot run here, for `pytest.mark.skipif`; None where they can."""
    if executable() is None:
        return "no Firefox on PATH"
    return None if shutil.which("pulseaudio") else "no pulseaudio on PATH, without which Firefox has nothing to play to"


@contextlib.contextmanager
def _sound(folder: Path, microphone: Microphone) -> Iterator[dict[str, str]]:
    """A loudspeaker that nobody hears and a microphone, and the environment in which they are found.

    Chromium pretends to have a loudspeaker; in Firefox no audio context ever starts without.
    """
    folder.mkdir(mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder), "HOME": str(folder)}
    script = folder / "sound.pa"
    script.write_text(_SOUND.format(microphone="headphones" if microphone == "tone" else microphone))
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", f"--file={script}"]
    daemon = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (folder / "native").exists():
            assert daemon.poll() is None, "pulseaudio ended at once"
            assert time.monotonic() < deadline, "pulseaudio did not start"
            time.sleep(0.05)
        yield env
    finally:
        daemon.terminate()
        daemon.wait(10)


@contextlib.contextmanager
def opened(*, width: int = 1200, height: int = 900, microphone: Microphone = "tone") -> Iterator[Page]:
    """Start a headless Firefox with an empty profile, and give its one page.

    A `microphone` of "loudspeaker" takes what the page plays, one of "headphones" is silent; both are real to Firefox.
    """
    preferences = {**_PREFERENCES, "media.navigator.streams.fake": microphone == "tone"}
    with (
        tempfile.TemporaryDirectory(prefix="rtnb-firefox-", ignore_cleanup_errors=True) as profile,
        _sound(Path(profile) / "sound", microphone) as env,
    ):
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        process = subprocess.Popen(
            [str(executable()), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=(said := (Path(profile) / "stderr").open("w+")),
        )
        try:
            deadline = time.monotonic() + 120
            while (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", Path(said.name).read_text())) is None:
                assert process.poll() is None, f"Firefox ended at once:\n{Path(said.name).read_text()[-2000:]}"
                assert time.monotonic() < deadline, "Firefox did not start"
                time.sleep(0.1)
            # What is typed, clicked and answered is small; pictures and captured sound are not.
            with connect(f"{found[1]}/session", max_size=None, compression=None, proxy=None) as socket:
                page = Page(socket)
                page.command("session.new", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "accept"}})
                page.command("session.subscribe", events=["log.entryAdded"])
                # The first tab never has the focus here, and without it JupyterLab has no current notebook.
                page.context = page.command("browsingContext.create", type="tab")["context"]
                page.command(
                    "browsingContext.setViewport", context=page.context, viewport={"width": width, "height": height}
                )
                yield page
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            said.close()


class Page:
    """The page: `goto`, `evaluate`, `wait_for_function` as Playwright's, real clicks and keys, `.console`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.context = ""
        self.console: list[str] = []
        self._socket = socket
        self._id = 0

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of WebDriver BiDi, and its result."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=120))
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                self.console.append(f"{entry['level']}: {entry.get('text')}")
            elif message.get("id") == self._id:
                assert message["type"] == "success", f"{method}: {message.get('error')}: {message.get('message')}"
                return dict(message["result"])

    def goto(self, url: str, *, timeout: float = 60_000) -> None:
        self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """Call a function of JavaScript in the page; its result as JSON."""
        called = f"(async () => JSON.stringify((await ({function})({json.dumps(argument)})) ?? null))()"
        return json.loads(self._script(called)["value"])

    def _script(self, expression: str) -> dict[str, Any]:
        target = {"context": self.context}
        done = self.command("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert done["type"] == "success", done.get("exceptionDetails", {}).get("text")
        return dict(done["result"])

    def wait_for_function(self, function: str, *, timeout: float = 120_000) -> None:
        """Wait until a function gives something true."""
        deadline = time.monotonic() + timeout / 1000
        while not self.evaluate(f"async () => Boolean(await ({function})())"):
            assert time.monotonic() < deadline, f"not so after {timeout / 1000} s: {function}"
            time.sleep(0.1)

    def wait_for_selector(self, selector: str, *, timeout: float = 120_000) -> None:
        self.wait_for_function(f"() => document.querySelector({json.dumps(selector)})", timeout=timeout)

    def text(self, selector: str) -> str:
        return str(self.evaluate("(selector) => document.querySelector(selector)?.innerText ?? ''", selector))

    def _element(self, selector: str) -> dict[str, str]:
        self.wait_for_selector(selector)
        return {"sharedId": self._script(f"document.querySelector({json.dumps(selector)})")["sharedId"]}

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        origin = {"type": "element", "element": self._element(selector)}
        self.evaluate("(selector) => document.querySelector(selector).scrollIntoView({ block: 'center' })", selector)
        steps = [{"type": "pointerMove", "x": 0, "y": 0, "origin": origin}]
        steps += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        self.command("input.performActions", context=self.context, actions=[mouse])

    def type(self, text: str) -> None:
        """Type into whatever has the focus. "\\ue007" is Enter."""
        steps = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        keys = {"type": "key", "id": "keys", "actions": steps}
        self.command("input.performActions", context=self.context, actions=[keys])

    def set_files(self, selector: str, *paths: Path) -> None:
        self.command(
            "input.setFiles", context=self.context, element=self._element(selector), files=[str(path) for path in paths]
        )

    def screenshot(self, path: str | Path) -> None:
        shot = self.command("browsingContext.captureScreenshot", context=self.context)["data"]
        Path(path).write_bytes(base64.b64decode(shot))
