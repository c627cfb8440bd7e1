"""Where we are: which front end shows this kernel's cells, what it can do, and whether somebody sits before it.

Nothing of this is told by the kernel itself, so it is pieced together from what each front end leaves behind, and
every answer says how it was told.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from rtnb.texts import language


@dataclass(frozen=True)
class Frontend:
    """Where the cells of this kernel are shown.

    Attributes:
        name: "colab", "jupyterlab", "notebook", "vscode", "voila", "marimo"; "nbclient", "papermill" or "headless"
            where a program runs the cells; "terminal" or "none" where there are no cells.
        widgets: Whether widgets are shown.
        microphone: Whether a page may ask for the microphone (VS Code's may not).
        live_messages: Whether widget messages reach the kernel while a cell awaits (ipykernel 7.4; before, only while
            it is idle). While a cell blocks, none do.
        person: Whether somebody may be there to click.
        told_by: How it was told.
    """

    name: str
    widgets: bool
    microphone: bool
    live_messages: bool
    person: bool
    told_by: str

    def __repr__(self) -> str:
        can = [
            words
            for words, it in (
                ("widgets", self.widgets),
                ("microphone", self.microphone),
                ("live messages", self.live_messages),
                ("a person", self.person),
            )
            if it
        ]
        return f"Frontend({self.name}: {', '.join(can) or 'text only'}; told by {self.told_by})"


def kernel() -> Any | None:
    """The IPython kernel this process is. None in scripts, terminals and marimo."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None)


def detect(environ: Mapping[str, str] | None = None) -> Frontend:
    """Tell which front end shows this kernel's cells.

    On Colab, where widgets of others are off until asked for, they are switched on.

    Args:
        environ: The environment to read. None means this process's own.
    """
    env = os.environ if environ is None else environ
    if (marimo := sys.modules.get("marimo")) is not None and marimo.running_in_notebook():
        return Frontend("marimo", True, True, True, True, "marimo.running_in_notebook()")
    if (it := kernel()) is None:
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is not None:
            return Frontend("terminal", False, False, False, True, "an IPython shell without a kernel")
        if sys.stderr is not None and sys.stderr.isatty():
            return Frontend("terminal", False, False, False, True, "stderr is a terminal")
        return Frontend("none", False, False, False, False, "no IPython, no terminal")
    live = _takes_live_messages()
    # VS Code's Jupyter extension puts the notebook's path into the namespace, also where the kernel is Colab's.
    namespace = getattr(getattr(it, "shell", None), "user_ns", None) or {}
    if "__vsc_ipynb_file__" in namespace:
        return Frontend("vscode", True, False, live, True, "__vsc_ipynb_file__ in the namespace")
    if "google.colab" in sys.modules:
        _switch_on_colab_widgets()
        return Frontend("colab", True, True, live, True, "google.colab is loaded")
    if any(name in env for name in ("COLAB_RELEASE_TAG", "COLAB_GPU", "COLAB_BACKEND_VERSION")):
        _switch_on_colab_widgets()
        return Frontend("colab", True, True, live, True, "COLAB_ in the environment")
    parent, inherited = _parent(env)
    if "VOILA_REQUEST_URL" in env or env.get("SERVER_SOFTWARE", "").startswith("voila") or "voila" in parent:
        return Frontend("voila", True, True, live, True, "Voilà's environment")
    if "papermill" in parent:
        return Frontend("papermill", False, False, live, False, "the parent process is papermill")
    if any(word in parent for word in ("nbconvert", "nbclient", "jupyter-execute", "jupyter-run")):
        return Frontend("nbclient", False, False, live, False, "the parent process runs notebooks")
    if "JPY_SESSION_NAME" in env and not inherited:
        # A server that serves both shows whichever page was opened; most people open the one they started.
        name = "notebook" if "jupyter-notebook" in parent or "jupyter notebook" in parent else "jupyterlab"
        return Frontend(name, True, True, live, True, "JPY_SESSION_NAME and the server's command line")
    # VSCODE_ variables are also in its terminals, from where a program may run notebooks; TERM_PROGRAM tells them.
    if any(name.startswith("VSCODE_") for name in env) and env.get("TERM_PROGRAM") != "vscode":
        return Frontend("vscode", True, False, live, True, "VSCODE_ in the environment")
    if any(word in parent for word in ("jupyter-console", "jupyter console", "qtconsole")):
        return Frontend("terminal", False, False, live, True, "the parent process is a console")
    return Frontend("headless", False, False, live, False, "a kernel without a server's session")


def _takes_live_messages() -> bool:
    # Measured with a page that sends while a cell awaits: they come at once on 7.4.0, only afterwards on 6.17.1.
    from importlib.metadata import PackageNotFoundError, version

    with contextlib.suppress(PackageNotFoundError, ValueError):
        return tuple(int(part) for part in version("ipykernel").split(".")[:2]) >= (7, 4)
    return False


def _parent(env: Mapping[str, str]) -> tuple[str, bool]:
    """The command line of the process that started this kernel, and whether the session's name was only inherited.

    A notebook run by a program that was itself started from a notebook carries that notebook's session name.
    """
    try:
        import psutil  # a dependency of ipykernel

        parent = psutil.Process().parent()
        if parent is None:
            return "", False
        name = env.get("JPY_SESSION_NAME")
        return " ".join(parent.cmdline()), name is not None and parent.environ().get("JPY_SESSION_NAME") == name
    except Exception:  # not permitted, or gone: then only the environment speaks
        return "", False


def _switch_on_colab_widgets() -> None:
    with contextlib.suppress(Exception):
        from google.colab import output

        output.enable_custom_widget_manager()


def esm(*names: str, texts: tuple[str, ...] = ()) -> str:
    """The text of a widget's module: files of this folder, one after the other.

    A widget's module comes to the page as text and cannot import a neighbour from disk, so what several widgets share
    is put in front of each.

    Args:
        *names: Names of files in this folder; the last one has the default export.
        texts: Beginnings of the names of texts that are put in front as `const TEXTS`.
    """
    parts = [_read(name) for name in names]
    if texts:
        parts.insert(0, f"const TEXTS = {json.dumps(language.texts(*texts), ensure_ascii=False)};\n")
    return "\n".join(parts)


def css(*names: str) -> str:
    """The text of a widget's style sheet: files of this folder, one after the other."""
    return "\n".join(_read(name) for name in names)


def _read(name: str) -> str:
    return (files("rtnb") / "ui" / name).read_text("utf-8")
