"""What every test may count on: no key, no colours, no front end but the one a test brings along."""

from __future__ import annotations

import os

import pytest

KEY_VARIABLES = [
    name for name in os.environ if name.endswith("_API_KEY") or name in ("HF_TOKEN",) or name.startswith("COLAB_")
]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test may use a key of whoever runs it, nor find a .env on the way up from the working folder."""
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


# The order within a lane: what asks most of the machine first, and last what listens to a page sample by sample.
FIRST = ["test_course.py", "test_upload_box.py", "test_notebooks.py"]
LAST = ["test_firefox.py", "test_call.py"]


def lane(item: pytest.Item) -> str:
    """With `-n 2` two lanes run side by side: pages that speak and listen, never two at a time, and all else."""
    page = item.get_closest_marker("browser") is not None
    return "pages" if page and item.path.name not in FIRST else "all else"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A browser, a server and a kernel share two cores with everything else: what fails there is tried again, twice."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))
        item.add_marker(pytest.mark.xdist_group(lane(item)))
    if hasattr(config, "workerinput"):
        order = {name: place for place, name in enumerate([*FIRST, "", *LAST])}
        items.sort(key=lambda item: order.get(item.path.name, order[""]))
