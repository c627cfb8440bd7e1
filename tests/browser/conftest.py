"""The servers the browser tests share: one of each front end, started when it is first wanted."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser import lab

# A Python that has Colab's pins (ipykernel 6.17.1, ipywidgets 7.7.1, anywidget 0.9.21) and a JupyterLab for them.
COLAB_PYTHON = os.environ.get("RTNB_LAB3_PYTHON", "")

Rooms = Callable[[str], contextlib.AbstractContextManager[lab.Jupyter]]


@pytest.fixture(scope="session")
def jupyters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """Gives an empty room of the server of a front end: "lab", "notebook" or "colab", a page of Colab's age."""
    running: dict[str, lab.Jupyter] = {}
    numbers = itertools.count(1)
    with contextlib.ExitStack() as stack:

        def room(name: str) -> contextlib.AbstractContextManager[lab.Jupyter]:
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                if name == "colab":
                    if not Path(COLAB_PYTHON).is_file():
                        pytest.skip("RTNB_LAB3_PYTHON names no Python with Colab's pins and a JupyterLab")
                    it = lab.server(folder, server_python=COLAB_PYTHON, kernel_python=COLAB_PYTHON)
                else:
                    it = lab.server(folder, app=name)
                running[name] = stack.enter_context(it)
            return running[name].emptied(f"room{next(numbers)}")

        yield room


@pytest.fixture
def jupyter(jupyters: Rooms, request: pytest.FixtureRequest) -> Iterator[lab.Jupyter]:
    """A room in JupyterLab, or in the front end that the test is parametrised with."""
    with jupyters(getattr(request, "param", "lab")) as it:
        yield it
