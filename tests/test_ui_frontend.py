"""Where we are, told from what each front end leaves behind."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from rtnb.ui.shared import frontend, widget


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that was started by nobody in particular."""
    it = SimpleNamespace(shell=SimpleNamespace(user_ns={}))
    monkeypatch.setattr(frontend, "kernel", lambda: it)
    monkeypatch.setattr(frontend, "_parent", lambda env: ("/usr/bin/python somebody", False))
    return it


def started_by(monkeypatch, command, *, inherited=False):
    monkeypatch.setattr(frontend, "_parent", lambda env: (command, inherited))


def test_a_script_has_no_front_end_and_nobody_there():
    where = subprocess.run(
        [sys.executable, "-c", "from rtnb.ui.shared import frontend; print(frontend.detect())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.strip() == "Frontend(none: text only; detected by no IPython, no terminal)"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python /usr/bin/jupyter-lab --no-browser", "jupyterlab"),
        ("/usr/bin/python /usr/bin/jupyter-notebook", "notebook"),
        ("/usr/bin/python -m jupyterhub.singleuser", "jupyterlab"),
    ],
)
def test_a_jupyter_server_gives_its_kernels_a_session_name(kernel, monkeypatch, command, name):
    started_by(monkeypatch, command)
    where = frontend.detect({"JPY_SESSION_NAME": "/home/me/a.ipynb"})
    assert (where.name, where.widgets, where.microphone, where.person) == (name, True, True, True)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python /usr/bin/papermill in.ipynb out.ipynb", "papermill"),
        ("/usr/bin/python /usr/bin/jupyter-nbconvert --execute a.ipynb", "nbclient"),
        ("/usr/bin/python my_own_runner.py", "headless"),
    ],
)
def test_where_a_program_runs_the_cells_nobody_is_there(kernel, monkeypatch, command, name):
    started_by(monkeypatch, command)
    where = frontend.detect({})
    assert (where.name, where.widgets, where.person) == (name, False, False)


def test_a_session_name_inherited_from_the_notebook_that_ran_the_program_does_not_count(kernel, monkeypatch):
    started_by(monkeypatch, "/usr/bin/python my_own_runner.py", inherited=True)
    assert frontend.detect({"JPY_SESSION_NAME": "/home/me/outer.ipynb"}).name == "headless"


def test_vs_code_has_widgets_but_no_microphone(kernel):
    kernel.shell.user_ns["__vsc_ipynb_file__"] = "/home/me/a.ipynb"
    where = frontend.detect({})
    assert (where.name, where.widgets, where.microphone, where.person) == ("vscode", True, False, True)


def test_a_program_started_in_a_vs_code_terminal_is_not_vs_code(kernel):
    assert frontend.detect({"VSCODE_PID": "1"}).name == "vscode"
    assert frontend.detect({"VSCODE_PID": "1", "TERM_PROGRAM": "vscode"}).name == "headless"


def test_colab_gets_its_widgets_switched_on(kernel, monkeypatch):
    asked = []
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append(True)
    colab = ModuleType("google.colab")
    colab.output = output
    google = ModuleType("google")
    google.colab = colab
    for module in (google, colab, output):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    where = frontend.detect({})
    assert (where.name, where.widgets, where.microphone) == ("colab", True, True)
    assert asked == [True]


def test_voila_and_marimo(kernel, monkeypatch):
    assert frontend.detect({"VOILA_REQUEST_URL": "http://localhost/voila"}).name == "voila"
    marimo = ModuleType("marimo")
    marimo.running_in_notebook = lambda: True
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    assert frontend.detect({}).name == "marimo"


def test_live_messages_come_with_ipykernel_7_4(kernel, monkeypatch):
    import ipykernel

    for version, live in [((6, 17, 1), False), ((7, 3, 9), False), ((7, 4, 0), True), ((8, 0, 0, "a1"), True)]:
        monkeypatch.setattr(ipykernel, "version_info", version)
        assert frontend.detect({"JPY_SESSION_NAME": "a"}).live_messages is live, version


def test_it_says_in_one_line_what_it_can_and_how_it_was_told():
    where = frontend.Frontend("vscode", True, False, True, True, "a sign")
    assert repr(where) == "Frontend(vscode: widgets, live messages, a person; detected by a sign)"


def test_a_module_is_its_files_in_order_with_its_texts_in_front():
    module = widget.esm("shared/words.js", "player/player.js", texts=("player",))
    assert module.startswith("const TEXTS = {")
    assert module.index("function wordsIn") < module.index("export default")
    assert "Drop recordings here, paste them, or" not in module


@pytest.mark.parametrize("name", ["jupyterlab", "notebook"])
def test_where_scripts_reach_all_outputs_a_widget_is_words_in_the_file(name, monkeypatch):
    monkeypatch.setattr(frontend, "detect", lambda: frontend.Frontend(name, True, True, True, True, "a test"))
    shown = SimpleNamespace(place="rtnb-1", model_id="1")
    assert list(widget.view(shown, "Run this <cell>.")) == ["text/html"]
    page = widget.view(shown, "Run this <cell>.")["text/html"]
    assert page.startswith('<div class="rtnb-place rtnb-1 mathjax_ignore tex2jax_ignore"')
    assert page.endswith("><p>Run this &lt;cell&gt;.</p></div>")
    assert "<p>" not in widget.view(shown, "")["text/html"]


@pytest.mark.parametrize("name", ["colab", "vscode", "voila"])
def test_elsewhere_it_is_an_output_of_its_own_with_the_words_beside_it(name, monkeypatch):
    monkeypatch.setattr(frontend, "detect", lambda: frontend.Frontend(name, True, True, True, True, "a test"))
    bundle = widget.view(SimpleNamespace(place="rtnb-1", model_id="1"), "Run this cell.")
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == "1"
    assert "Run this cell." in bundle["text/html"]
    assert "rtnb-1" not in bundle["text/html"]


def test_where_a_program_runs_the_cells_no_dead_widget_is_left(monkeypatch):
    monkeypatch.setattr(frontend, "detect", lambda: frontend.Frontend("nbclient", False, False, True, False, "a test"))
    assert list(widget.view(SimpleNamespace(place="rtnb-1", model_id="1"), "Run this cell.")) == ["text/html"]
