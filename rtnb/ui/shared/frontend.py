"""Front end that shows this kernel's cells: its name, what it can do, and whether a user may be there.

The kernel itself does not know any of this. It is concluded from what each front end leaves in the environment, and
every answer names its evidence.
"""

import contextlib
import itertools
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from rtnb.transport.cells import kernel, shell


class Frontend(NamedTuple):
    """Front end that shows the cells of this kernel.

    Attributes:
        name: "colab", "jupyterlab", "notebook", "vscode", "voila", "marimo"; "nbclient", "papermill" or "headless"
            where a program runs the cells; "terminal" or "none" where there are no cells.
        widgets: Whether widgets are shown.
        microphone: Whether a page may ask for the microphone (VS Code's may not).
        live_messages: Whether widget messages reach the kernel while a cell awaits (ipykernel 7.4; before, only while
            it is idle). While a cell blocks, none do.
        person: Whether a user may be there to click.
        detected_by: The evidence for it.
    """

    name: str
    widgets: bool
    microphone: bool
    live_messages: bool
    person: bool
    detected_by: str

    def __repr__(self) -> str:
        able = (self.widgets, self.microphone, self.live_messages, self.person)
        can = itertools.compress(("widgets", "microphone", "live messages", "a person"), able)
        return f"Frontend({self.name}: {', '.join(can) or 'text only'}; detected by {self.detected_by})"


def cell() -> int:
    """Return the execution count of the running cell, or -1 where there are no cells."""
    return int(getattr(shell(), "execution_count", -1))


def detect(environ: Mapping[str, str] | None = None) -> Frontend:
    """Return which front end shows this kernel's cells.

    Colab shows widgets of others only after they are switched on, which this does.

    Args:
        environ: The environment to read. None means this process's own.
    """
    env = os.environ if environ is None else environ
    if (marimo := sys.modules.get("marimo")) is not None and marimo.running_in_notebook():
        return Frontend("marimo", True, True, True, True, "marimo.running_in_notebook()")
    if (it := kernel()) is None:
        if shell() is not None:
            return Frontend("terminal", False, False, False, True, "an IPython shell without a kernel")
        if sys.stderr is not None and sys.stderr.isatty():
            return Frontend("terminal", False, False, False, True, "stderr is a terminal")
        return Frontend("none", False, False, False, False, "no IPython, no terminal")
    name, detected_by = _by_signs(it, env)
    if name == "colab":
        with contextlib.suppress(Exception):
            from google.colab import output

            output.enable_custom_widget_manager()
    widgets = name in ("colab", "jupyterlab", "notebook", "vscode", "voila")
    microphone, person = widgets and name != "vscode", widgets or name == "terminal"
    # Measured with a page that sends while a cell awaits: they come at once on 7.4.0, only afterwards on 6.17.1.
    live = getattr(sys.modules.get("ipykernel"), "version_info", ()) >= (7, 4)
    return Frontend(name, widgets, microphone, live, person, detected_by)


def _by_signs(kernel_: Any, env: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the front end of a kernel, and the evidence for it."""
    parent, inherited = _parent(env)
    served = "JPY_SESSION_NAME" in env and not inherited
    runner = re.search("nbconvert|nbclient|jupyter-(execute|run)", parent)
    notebook = re.search("jupyter[- ]notebook", parent)
    colab = "COLAB_RELEASE_TAG", "COLAB_GPU", "COLAB_BACKEND_VERSION"
    in_vscode = any(name.startswith("VSCODE_") for name in env)
    namespace = getattr(getattr(kernel_, "shell", None), "user_ns", None) or {}
    signs = (
        # VS Code's Jupyter extension puts the notebook's path into the namespace, also where the kernel is Colab's.
        ("vscode", "__vsc_ipynb_file__ in the namespace", "__vsc_ipynb_file__" in namespace),
        ("colab", "google.colab is loaded", "google.colab" in sys.modules),
        ("colab", "COLAB_ in the environment", not env.keys().isdisjoint(colab)),
        ("voila", "Voilà's environment", "VOILA_REQUEST_URL" in env or "voila" in parent),
        ("voila", "Voilà's environment", env.get("SERVER_SOFTWARE", "").startswith("voila")),
        ("papermill", "the parent process is papermill", "papermill" in parent),
        ("nbclient", "the parent process runs notebooks", runner),
        # A server that serves both shows whichever page was opened; most people open the one they started.
        ("notebook", "JPY_SESSION_NAME and the server's command line", served and notebook),
        ("jupyterlab", "JPY_SESSION_NAME and the server's command line", served),
        # VSCODE_ variables are also in its terminals, from where a program may run notebooks; TERM_PROGRAM tells them.
        ("vscode", "VSCODE_ in the environment", in_vscode and env.get("TERM_PROGRAM") != "vscode"),
        ("terminal", "the parent process is a console", re.search("jupyter[- ]console|qtconsole", parent)),
    )
    unsigned = "headless", "a kernel without a server's session"
    return next(((name, detected_by) for name, detected_by, seen in signs if seen), unsigned)


def _parent(env: Mapping[str, str]) -> tuple[str, bool]:
    """Return the command line of the process that started this kernel, and whether that process has its session name.

    A notebook run by a program that was itself started from a notebook carries that notebook's session name.
    """
    try:
        import psutil  # a dependency of ipykernel

        parent = psutil.Process().parent()
        name = env.get("JPY_SESSION_NAME")
        return " ".join(parent.cmdline()), name is not None and parent.environ().get("JPY_SESSION_NAME") == name
    except Exception:  # there is none, it may not be asked, or is gone: then only the environment speaks
        return "", False
