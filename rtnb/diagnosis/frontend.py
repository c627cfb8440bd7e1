"""Check the front end that shows the cells, and what is known of microphone and speaker."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from rtnb.diagnosis.packages import number
from rtnb.diagnosis.report import Finding

_finding = partial(Finding, "front end")


def detected() -> Any:
    """Return the front end that shows the cells, as `rtnb.ui.shared.frontend` detects it; None where it cannot."""
    try:
        from rtnb.ui.shared import frontend

        return frontend.detect()
    except Exception:
        return None


def check_frontend(frontend: Any, versions: Mapping[str, str | None]) -> list[Finding]:
    """Check which front end shows the cells, and what works in it.

    Args:
        frontend: A `rtnb.ui.shared.frontend.Frontend`, or None where it is not known.
        versions: Installed versions of ipykernel, ipywidgets and jupyterlab_widgets; None where missing.
    """
    if frontend is None:
        return [_finding("unknown", "cannot be told")]
    found = [_cells(frontend, versions.get("ipykernel"))]
    widgets, page = number(versions.get("ipywidgets")), number(versions.get("jupyterlab_widgets"))
    # jupyterlab_widgets is the page's half of ipywidgets: 1.x belongs to 7, 3.x to 8 (ipywidgets docs, install).
    if widgets and page and ((widgets >= (8,)) != (page >= (2,))):
        symptom = f"ipywidgets {versions['ipywidgets']} with jupyterlab_widgets {versions['jupyterlab_widgets']}"
        cause = "The two halves of the widgets do not fit: cells say 'Error displaying widget'."
        remedy = "Run %pip install -U ipywidgets jupyterlab_widgets, restart the kernel and reload the page."
        found.append(_finding("error", symptom, cause, remedy))
    return found


def _cells(frontend: Any, kernel: str | None) -> Finding:
    """Return what works in cells of a front end, whose ipykernel has a version."""
    if frontend.name in ("none", "terminal"):
        return _finding("note", frontend.name, "No notebook is open here: sound goes to files, not to a page.")
    symptom = frontend.name + (f", ipykernel {kernel}" if kernel else "")
    if not frontend.person:
        return _finding("note", symptom, "A program runs the cells: nobody can click or record.")
    if frontend.name == "vscode":
        cause = "VS Code gives notebooks no microphone and does not start sound by itself."
        remedy = "Upload a recording and press play; for calls open the notebook in JupyterLab or Colab."
        return _finding("warning", symptom, cause, remedy)
    late = "Buttons answer between cells, not while one runs (ipykernel before 7.4)."
    return _finding("ok", symptom, "" if frontend.live_messages else late)


def check_sound(frontend: Any) -> list[Finding]:
    """Check microphone and speaker, as far as that can be known from here.

    Args:
        frontend: A `rtnb.ui.shared.frontend.Frontend`, or None where it is not known.
    """
    if frontend is not None and frontend.name == "vscode":
        cause = "Its notebooks may not ask for one."
        return [Finding("sound", "warning", "no microphone in VS Code", cause, "Upload a recording.")]
    if frontend is None or not frontend.widgets:
        return [Finding("sound", "note", "microphone and speaker cannot be checked here", "There is no page to ask.")]
    remedy = "Microphone denied? Click the symbol left of the address, allow it, and reload. Echo? Use headphones."
    return [Finding("sound", "unknown", "the browser is asked where this is shown", "", remedy)]
