"""What every test may count on: no key, no colours, no front end but the one a test brings along."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

KEY_VARIABLES = [
    name
    for name in os.environ
    if name.endswith("_API_KEY") or name in ("HF_TOKEN", "OPENAI_BASE_URL") or name.startswith("COLAB_")
]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test may use a key of whoever runs it, nor find a .env on the way up from the working folder."""
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    # What is said once a kernel is said once a test.
    if "rtnb.opening" in sys.modules:
        sys.modules["rtnb.opening"].say_no_key.cache_clear()


# The order within a lane: what asks most of the machine first, and last what listens to a page sample by sample.
FIRST = ["test_course.py", "test_upload_box.py", "test_notebooks.py"]
LAST = ["test_firefox.py", "test_call.py"]


def pytest_itemcollected(item: pytest.Item) -> None:
    """What its mark means."""
    if item.get_closest_marker("long") and not os.environ.get("RTNB_LONG"):
        item.add_marker(pytest.mark.skip(reason="in one more place: RTNB_LONG=1 runs it"))


def refuse_skip(report: Any) -> Any:
    """With RTNB_CI=1 everything has to run: a skip for a reason that is not in skips.txt is a failure."""
    if os.environ.get("RTNB_CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        lines = Path(__file__).with_name("skips.txt").read_text("utf-8").splitlines()
        if not reason.startswith(tuple(line for line in lines if line and not line.startswith("#"))):
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid} was skipped for a reason that is not in tests/skips.txt: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """A test's own skips."""
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Those of a whole file."""
    return refuse_skip((yield))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In lanes, the order above; alone, the files' own."""
    if hasattr(config, "workerinput"):
        order = {name: place for place, name in enumerate([*FIRST, "", *LAST])}
        items.sort(key=lambda item: order.get(item.path.name, order[""]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 3`, lanes side by side: pages that speak and listen, never two at a time, and all else in four parts."""
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].rpartition("tests/")[2]
            if file.endswith(tuple(FIRST)):
                return "course"
            ends = {"pages": "browser/~", "first": "test_l", "second": "test_practice", "practice": "test_q"}
            return next((name for name, end in ends.items() if file < end), "last")

    return Lanes(config, log)
