"""A real Jupyter server and a real Chromium, for tests that look at what a person sees.

    from browser import lab                             # pytest puts tests/ on the path

    with lab.server(tmp_path) as jupyter, lab.chromium() as browser:
        path = jupyter.write("first.ipynb", ["import rtnb", "rtnb.samples()[0]"])   # cells: code, or ("markdown", text)
        page = lab.page(browser)                        # a page with big enough a window; console kept in page.console
        notebook = jupyter.open(page, path)             # waits for the notebook and an idle kernel
        notebook.run_all()                              # waits until the kernel is idle again
        notebook.run(1)                                 # one cell; wait=False returns while it runs
        notebook.output(1)                              # a Playwright locator of the cell's output area
        notebook.saved()                                # save, and read the file back as nbformat
        notebook.restart(); notebook.interrupt(); notebook.screenshot(tmp_path / "it.png")

- `server(folder, app="lab" | "notebook" | "voila", kernel_python=…, env={…})`: JupyterLab 4, Notebook 7 or Voilà; its
  own empty configuration, a token, any free port. `server_python=` is the Python that serves (default: this one), for
  front ends of other versions; `kernel_python=` the one that runs the cells.
- `chromium(microphone=wav_path, allow_microphone=True | False)`: headless, sound may start without a click. With
  `microphone`, `getUserMedia` hears that file (looped unless its path ends in "%noloop").
- `page(browser, cpu_throttle=4)`: a page four times slower; RTNB_CPU_THROTTLE=4 makes all of them so.
- `capture(page)` BEFORE `open`: everything the page plays (what reaches any AudioContext's destination) is kept;
  `captured(page)` gives it back as float32 samples and their rate. Played `<audio>` elements are not in it.
- `jupyter.emptied("room")`: an empty folder of a running server as if it were a server of its own; the fixture
  `jupyters` (conftest.py) gives each test one, for a server takes seconds to start.
- Nothing here downloads anything. Tests using it carry `@pytest.mark.browser` and skip with `lab.missing()`.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

__all__ = ["Jupyter", "Notebook", "capture", "captured", "chromium", "missing", "only_long", "page", "server"]

REPO = Path(__file__).resolve().parents[2]


def missing() -> str | None:
    """Why browser tests cannot run here, for `pytest.mark.skipif`; None where they can."""
    if not shutil.which("chromium") and not shutil.which("google-chrome"):
        return "no Chromium on PATH"
    for package in ("playwright", "jupyterlab", "notebook"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None


def only_long(*values: Any) -> Any:
    """A test's parameters that show in one more place what is shown already: only with RTNB_LONG=1."""
    return pytest.param(*values, marks=pytest.mark.long)


# ---------------------------------------------------------------------------------------------- the browser


@contextlib.contextmanager
def chromium(
    *, microphone: str | Path | None = None, allow_microphone: bool = True, autoplay: bool = True
) -> Iterator[Any]:
    """Start headless Chromium and give Playwright's browser.

    Args:
        microphone: A wav file that the fake microphone plays; None gives Chromium's own beeps.
        allow_microphone: Whether the permission prompt is answered with yes. False denies every request.
        autoplay: Whether sound may start without a click, as where a person has just pressed Run.
    """
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--use-fake-device-for-media-stream",
    ]
    flags += ["--autoplay-policy=no-user-gesture-required" if autoplay else "--autoplay-policy=user-gesture-required"]
    flags += ["--use-fake-ui-for-media-stream" if allow_microphone else "--deny-permission-prompts"]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    global _driver, _drivers
    # Playwright runs once in a thread; a second browser beside the first comes from the same one.
    if _driver is None:
        _driver = sync_playwright().start()
    _drivers += 1
    try:
        browser = _driver.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            headless=True,
            args=flags,
            # Playwright mutes headless Chromium by default; a muted one would still count, but say so in no test.
            ignore_default_args=["--mute-audio"],
        )
        try:
            yield browser
        finally:
            browser.close()
    finally:
        _drivers -= 1
        if not _drivers:
            _driver.stop()
            _driver = None


_driver: Any = None
_drivers = 0


def page(
    browser: Any,
    *,
    width: int = 1200,
    height: int = 900,
    dark: bool = False,
    locale: str = "en-US",
    cpu_throttle: float = 1,
) -> Any:
    """A new page in a context of its own; what it writes to the console is kept in `page.console`.

    `cpu_throttle` divides its processor's speed; RTNB_CPU_THROTTLE does for all pages of the tests.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        locale=locale,
        accept_downloads=True,
    )
    rate = max(cpu_throttle, float(os.environ.get("RTNB_CPU_THROTTLE", "1")))

    def throttle(page: Any) -> None:
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})

    # A limit is for what never comes, not for what is slow.
    context.set_default_timeout(120_000)
    it = context.new_page()
    if rate > 1:
        throttle(it)
        context.on("page", throttle)  # and whatever else is opened there
    it.console = []
    it.on("console", lambda message: it.console.append(f"{message.type}: {message.text}"))
    it.on("pageerror", lambda error: it.console.append(f"pageerror: {error}"))
    return it


# Whatever a page connects to an AudioContext's destination is also connected to a recorder of ours. The recorder keeps
# each block with the context's frame number, so that a block it missed would show as a hole and not be glued over. A
# page that starts to play waits for it, so that it hears the first sound. A page that closes a context cuts off what
# has not left the loudspeaker by then, and so does the recorder.
_TAP = """
(() => {
  const source = `registerProcessor("tap", class extends AudioWorkletProcessor {
    blocks = [];
    constructor() {
      super();
      this.port.onmessage = () => {
        this.port.postMessage(this.blocks.splice(0));
        this.port.postMessage("flushed");
      };
    }
    process(inputs) {
      const channel = inputs[0][0];
      if (channel) this.blocks.push([currentFrame, channel.slice()]);
      // A message a block would be a load of its own.
      if (this.blocks.length > (channel ? 15 : 0)) this.port.postMessage(this.blocks.splice(0));
      return true;
    }})`;
  const url = "data:text/javascript;base64," + btoa(source);
  const taps = (window.__taps = []);
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    constructor(...args) {
      super(...args);
      const tap = { rate: this.sampleRate, blocks: [], gain: this.createGain(), context: this, until: Infinity };
      taps.push(tap);
      this.__tap = tap;
      const add = this.audioWorklet?.addModule.bind(this.audioWorklet);
      tap.ready = add?.(url).then(() => {
        const mono = { channelCount: 1, channelCountMode: "explicit" };
        tap.node = new AudioWorkletNode(this, "tap", mono);
        tap.node.port.onmessage = ({ data }) => (data === "flushed" ? tap.flushed() : tap.blocks.push(...data));
        tap.gain.connect(tap.node);
        // Silence, but without a way to the destination Chromium passes a node over when the page is busy connecting.
        connect.call(tap.node, this.destination);
      });
      if (add) this.audioWorklet.addModule = (...args) => tap.ready.then(() => add(...args));
      // All that was recorded until now is here, in its order.
      tap.flush = async () => {
        await tap.ready;
        if (!tap.node || this.state === "closed") return;
        tap.flushing ??= new Promise((done) => (tap.flushed = done)).finally(() => (tap.flushing = null));
        tap.node.port.postMessage("flush");
        await tap.flushing;
      };
    }
    async resume() {
      await this.__tap.ready;
      return super.resume();
    }
    async close() {
      const { __tap: tap } = this;
      tap.until = Math.min(tap.until, Math.round(this.getOutputTimestamp().contextTime * tap.rate));
      await (tap.closing ??= tap.flush());
      return super.close();
    }
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    const result = connect.call(this, target, ...rest);
    const tap = this.context.__tap;
    if (tap && target === this.context.destination) connect.call(this, tap.gain);
    return result;
  };
})();
"""


def capture(page: Any) -> None:
    """From the next page load on, keep every sample that reaches an AudioContext's destination."""
    page.add_init_script(_TAP)


def captured(page: Any, context: int = -1) -> tuple[np.ndarray, int]:
    """What the page has played so far.

    Args:
        page: A page on which `capture` was called before it loaded.
        context: Which AudioContext, in the order they were made. -1 is the newest.

    Returns:
        Float32 samples from the first recorded block to the last, zeros where a block is missing, and their rate in Hz.
        Of a context that the page has closed, what had left the loudspeaker when it did.
    """
    found = page.evaluate(
        """async (which) => {
          const taps = window.__taps ?? [];
          const tap = taps.at(which);
          if (!tap) return null;
          await (tap.closing ?? tap.flush());
          if (!tap.blocks.length) return { rate: tap.rate, data: "" };
          const first = tap.blocks[0][0];
          const [last, block] = tap.blocks.at(-1);
          let all = new Float32Array(last - first + block.length);
          for (const [frame, samples] of tap.blocks) all.set(samples, frame - first);
          all = all.slice(0, Math.max(0, tap.until - first));
          const bytes = new Uint8Array(all.buffer);
          let text = "";
          for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
          return { rate: tap.rate, data: btoa(text) };
        }""",
        context,
    )
    if found is None:
        return np.zeros(0, np.float32), 0
    return np.frombuffer(base64.b64decode(found["data"]), np.float32), int(found["rate"])


# ---------------------------------------------------------------------------------------------- the server


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def server(
    folder: str | Path,
    *,
    app: str = "lab",
    server_python: str | Path = sys.executable,
    kernel_python: str | Path = sys.executable,
    env: dict[str, str] | None = None,
) -> Iterator[Jupyter]:
    """Serve a folder with JupyterLab, Notebook or Voilà until the block ends.

    Args:
        folder: What is served; made if it does not exist. Configuration and kernel specs go to a hidden folder in it.
        app: "lab", "notebook" (7) or "voila".
        server_python: The Python whose Jupyter serves the page.
        kernel_python: The Python that runs the cells.
        env: Further environment variables of the kernel. The API key of whoever runs the tests is taken out.
    """
    folder = Path(folder).resolve()
    home = folder / ".home"
    spec = home / "data" / "kernels" / "python3"
    spec.mkdir(parents=True, exist_ok=True)
    kernel_env = {"PYTHONPATH": str(REPO), "IPYTHONDIR": str(home / "ipython"), **(env or {})}
    (spec / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [
                    str(kernel_python),
                    "-Xfrozen_modules=off",
                    "-m",
                    "ipykernel_launcher",
                    "-f",
                    "{connection_file}",
                ],
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "env": kernel_env,
            }
        )
    )
    labconfig = home / "config" / "labconfig"
    labconfig.mkdir(parents=True, exist_ok=True)
    # No question about news, no look for updates: neither is ours, and both cover the page.
    off = {"@jupyterlab/apputils-extension:announcements": True}
    (labconfig / "page_config.json").write_text(json.dumps({"disabledExtensions": off}))
    port, token = _free_port(), "lab"
    command = {
        "lab": ["-m", "jupyter", "lab", "--LabApp.expose_app_in_browser=True"],
        "notebook": ["-m", "jupyter", "notebook", "--JupyterNotebookApp.expose_app_in_browser=True"],
        "voila": ["-m", "voila", "--no-browser", f"--port={port}", str(folder)],
    }[app]
    if app != "voila":
        command += ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        command += [
            f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.open_browser=False",
        ]
        command += [f"--ServerApp.token={token}", "--KernelSpecManager.ensure_native_kernel=False"]
    # The folder of the serving Python comes first on PATH, so that `jupyter lab` finds its own `jupyter-lab`.
    bin_folder = str(Path(server_python).parent)
    ours = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "OPENAI_API_KEY"}
    ours |= {
        "PATH": bin_folder + os.pathsep + os.environ.get("PATH", ""),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        # Else a virtual environment's own kernel spec wins over ours.
        "JUPYTER_PREFER_ENV_PATH": "0",
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    log = home / "server.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [str(server_python), *command],
            cwd=folder,
            env=ours,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    jupyter = Jupyter(folder, app, f"http://127.0.0.1:{port}", token, log)
    try:
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"The {app} server ended at once:\n{log.read_text()[-3000:]}")
            try:
                address = jupyter.url + ("/" if app == "voila" else f"/api/status?token={token}")
                with urllib.request.urlopen(address, timeout=2):
                    break
            except OSError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"The {app} server did not answer:\n{log.read_text()[-3000:]}") from None
                time.sleep(0.1)
        yield jupyter
    finally:
        # Kernels are children of the server: ask it to end, so that it ends them.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Jupyter:
    """A running server: `.url`, `.token`, `.folder`, `.log` (a file); `.room` is its folder within what it serves."""

    def __init__(self, folder: Path, app: str, url: str, token: str, log: Path, room: str = "") -> None:
        self.folder, self.app, self.url, self.token, self.log, self.room = folder, app, url, token, log, room

    @contextlib.contextmanager
    def emptied(self, room: str) -> Iterator[Jupyter]:
        """An empty folder of the same server, with kernels and a workspace of its own, gone when the block ends."""
        folder = self.folder / room
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        it = Jupyter(folder, self.app, self.url, self.token, self.log, room)
        try:
            yield it
        finally:
            for session in self._api("GET", "sessions"):
                if session["path"].startswith(f"{room}/"):
                    with contextlib.suppress(urllib.error.HTTPError):  # it ended by itself meanwhile
                        self._api("DELETE", f"sessions/{session['id']}")
            shutil.rmtree(folder, ignore_errors=True)

    def _api(self, method: str, path: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def write(self, name: str, cells: Sequence[str | tuple[str, str]]) -> str:
        """Write a notebook of these cells into the served folder and return its path there."""
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        for cell in cells:
            kind, text = ("code", cell) if isinstance(cell, str) else cell
            make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
            notebook.cells.append(make(text))
        nbformat.write(notebook, self.folder / name)
        return name

    def address(self, path: str) -> str:
        """The address at which a notebook opens."""
        # A workspace of its own: Lab opens again what another test left open, with its calls in hidden tabs.
        lab = f"lab/workspaces/{self.room}/tree" if self.room else "lab/tree"
        view = {"lab": lab, "notebook": "notebooks", "voila": "voila/render"}[self.app]
        return f"{self.url}/{view}/{self.room + '/' if self.room else ''}{path}?token={self.token}"

    def open(self, page: Any, path: str, *, timeout: float = 120) -> Notebook:
        """Open a notebook in a page and wait until it is there and its kernel idle (Voilà: until it has rendered)."""
        page.goto(self.address(path), timeout=timeout * 1000)
        notebook = Notebook(self, page, path)
        if self.app == "voila":
            page.wait_for_selector(".jp-OutputArea, .jp-Cell", timeout=timeout * 1000)
            return notebook
        page.wait_for_function("() => !!window.jupyterapp", timeout=timeout * 1000)
        page.wait_for_function(
            f"() => {{ const p = {_PANEL}; return p && p.content?.widgets?.length; }}", timeout=timeout * 1000
        )
        notebook.wait_idle(timeout=timeout)
        page.evaluate(_NO_ICON)
        return notebook


# JupyterLab loads another icon for the browser's tab with every message of a widget: a quarter of a call's work here,
# of which nothing is seen without a tab.
_NO_ICON = "() => document.querySelectorAll('link.favicon').forEach((icon) => icon.remove())"
_PANEL = "(window.jupyterapp.shell.currentWidget)"
_KERNEL = f"{_PANEL}?.sessionContext?.session?.kernel"
# The cells' own prompts: JupyterLab 3 keeps one more `[*]` in the page that belongs to no cell.
_WAITING = f"{_PANEL}.content.widgets.some((c) => c.prompt === '*' || c.promptNode?.textContent?.includes('[*]'))"


class Notebook:
    """A notebook open in a page; cells are numbered from 0 over all cells, as in the file."""

    def __init__(self, jupyter: Jupyter, page: Any, path: str) -> None:
        self.jupyter, self.page, self.path = jupyter, page, path

    def kernel_status(self) -> str:
        """What the page believes of its kernel: "idle", "busy", "restarting", …"""
        return str(self.page.evaluate(f"() => {_KERNEL}?.status ?? 'none'"))

    def wait_idle(self, *, timeout: float = 120) -> None:
        """Wait until the kernel is idle and no cell waits for its turn."""
        self.page.wait_for_function(
            f"""() => {{
              const panel = {_PANEL};
              const kernel = {_KERNEL};
              const waiting = panel && ({_WAITING});
              return kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected' && !waiting;
            }}""",
            timeout=timeout * 1000,
        )

    def run_all(self, *, wait: bool = True, timeout: float = 120) -> None:
        """Run all cells as the menu does."""
        self._command("notebook:run-all-cells")
        if wait:
            self._wait_ran(timeout)

    def run(self, index: int, *, wait: bool = True, timeout: float = 120) -> None:
        """Run one cell; `wait=False` returns while it runs."""
        self.select(index)
        self._command("notebook:run-cell")
        if wait:
            self._wait_ran(timeout)

    def _wait_ran(self, timeout: float) -> None:
        self.page.wait_for_function("() => window.__commanded", timeout=timeout * 1000)
        self.wait_idle(timeout=timeout)

    def dark(self) -> None:
        """Switch to the dark theme."""
        self.page.evaluate(
            "() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
        )
        self.page.wait_for_selector('body[data-jp-theme-light="false"]', state="attached")

    def _command(self, name: str) -> None:
        # Not awaited: a command that runs cells resolves when they have run.
        self.page.evaluate(
            """(name) => {
              window.__commanded = false;
              window.jupyterapp.commands.execute(name).finally(() => { window.__commanded = true; });
            }""",
            name,
        )

    def select(self, index: int) -> None:
        """Make a cell the active one and bring it into view."""
        self.page.evaluate(
            f"""(index) => {{
              const notebook = {_PANEL}.content;
              notebook.mode = 'command';
              notebook.deselectAll?.();
              notebook.activeCellIndex = index;
              notebook.activeCell.node.scrollIntoView();
            }}""",
            index,
        )

    def cell(self, index: int) -> Any:
        """Locator of a whole cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Any:
        """Locator of a cell's output area."""
        return self.cell(index).locator(".jp-OutputArea").first

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        self.page.evaluate(f"() => {_KERNEL}.interrupt()")

    def restart(self, *, timeout: float = 120) -> None:
        """Restart the kernel without asking, and wait for it."""
        self.page.evaluate(f"async () => {{ await {_KERNEL}.restart(); }}")
        self.wait_idle(timeout=timeout)

    def saved(self) -> nbformat.NotebookNode:
        """Save the notebook as a person would, and read the file."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save'); }")
        return nbformat.read(self.jupyter.folder / self.path, as_version=4)

    def screenshot(self, path: str | Path, *, index: int | None = None) -> None:
        """A picture of the page, or of one cell."""
        (self.page if index is None else self.cell(index)).screenshot(path=str(path))

    def errors(self) -> list[str]:
        """Texts of the error outputs that the page shows, without colours."""
        kinds = ("application/vnd.jupyter.stderr", "application/vnd.jupyter.error")
        selector = ", ".join(f'.jp-RenderedText[data-mime-type="{kind}"]' for kind in kinds)
        texts = self.page.locator(selector).all_inner_texts()
        return [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in texts]
