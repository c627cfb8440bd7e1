"""What .ci/run adds to the tests: no skip goes unnoticed, and what passes only alone is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

MARKED = "import pytest\n@pytest.mark.skip(reason={reason!r})\ndef test_it(): pass\n"
CALLED = "import pytest\ndef test_it(): pytest.skip({reason!r})\n"
FIXTURE = (
    "import pytest\n@pytest.fixture\ndef no():\n    pytest.skip({reason!r})\n"
    "@pytest.mark.usefixtures('no')\ndef test_it(): pass\n"
)
WHOLE_FILE = "import pytest\npytest.importorskip('no_such_package', reason={reason!r})\ndef test_it(): pass\n"


def pytest_of(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with this folder's conftest.py."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "conftest", "-p", "no:asyncio", *arguments]
    return subprocess.run(command, cwd=folder, env=ours(**environment), capture_output=True, text=True, timeout=120)


def ours(**environment: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RTNB_CI", "PYTEST_"))}
    return {**kept, "PYTHONPATH": str(TESTS), **environment}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_skip_fails_where_everything_has_to_run_unless_its_reason_is_listed(
    workers: tuple[str, ...], tmp_path: Path
) -> None:
    listed = "in one more place: RTNB_LONG=1 runs it"
    (tmp_path / "test_listed.py").write_text(MARKED.format(reason=listed) + "def test_runs(): pass\n")
    (tmp_path / "test_whole_listed.py").write_text(WHOLE_FILE.format(reason=listed))
    done = pytest_of(tmp_path, *workers, RTNB_CI="1")
    assert done.returncode == 0, done.stdout
    for number, kind in enumerate((MARKED, CALLED, FIXTURE, WHOLE_FILE)):
        (tmp_path / f"test_{number}.py").write_text(kind.format(reason=f"no Chromium on PATH {number}"))
    assert pytest_of(tmp_path).returncode == 0
    refused = pytest_of(tmp_path, "--continue-on-collection-errors", *workers, RTNB_CI="1")
    assert refused.returncode == 1
    for number in range(4):
        assert f"test_{number}.py" in refused.stdout
        assert f"not in tests/skips.txt: no Chromium on PATH {number}" in refused.stdout


def test_every_listed_reason_is_one_a_test_gives() -> None:
    given = "".join(path.read_text("utf-8") for path in TESTS.rglob("*.py") if path != Path(__file__))
    given = given.replace('importorskip("', "could not import '").replace('")', "'")
    lines = (TESTS / "skips.txt").read_text("utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert listed
    assert not [reason for reason in listed if reason not in given]


FAILS_TWICE = "def test_bad(): assert False\n"
FAILS_ONCE = (
    "import pathlib, pytest\n"
    "@pytest.mark.parametrize('place', ['a b', 'c'])\n"
    "def test_once(place):\n"
    "    there = pathlib.Path('there ' + place)\n"
    "    before = there.exists()\n"
    "    there.touch()\n"
    "    assert before\n"
)


def gate(folder: Path, *, first: str = "-n 3", before: str = "") -> subprocess.CompletedProcess[str]:
    """Run .ci/tests in a folder with the tests written there."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    script = TESTS.parent / ".ci" / "tests"
    command = f"{before}{sys.executable} -m pytest {first}"
    return subprocess.run(
        [str(script), command, sys.executable], cwd=folder, env=ours(), capture_output=True, text=True, timeout=120
    )


def test_what_fails_once_and_passes_alone_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_once.py").write_text(FAILS_ONCE + "def test_good(): pass\n")
    done = gate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    named = [line for line in done.stdout.splitlines() if line.startswith("failed once, passed alone: ")]
    assert sorted(named) == [
        "failed once, passed alone: test_once.py::test_once[a b]",
        "failed once, passed alone: test_once.py::test_once[c]",
    ]
    again = gate(tmp_path)  # both pass now
    assert again.returncode == 0
    assert "once, passed" not in again.stdout


def test_what_fails_again_fails(tmp_path: Path) -> None:
    (tmp_path / "test_bad.py").write_text(FAILS_TWICE)
    (tmp_path / "test_once.py").write_text(FAILS_ONCE)
    done = gate(tmp_path)
    assert done.returncode == 1
    assert "failed once, passed alone" not in done.stdout
    assert "FAILED test_bad.py::test_bad" in done.stdout


def test_nothing_is_called_passed_that_has_not_run(tmp_path: Path) -> None:
    """No tests at all, a command that never came to them, a test that is not there the second time."""
    assert gate(tmp_path, first="").returncode == 5
    (tmp_path / "test_once.py").write_text(FAILS_ONCE)
    subprocess.run([sys.executable, "-m", "pytest"], cwd=tmp_path, env=ours(), capture_output=True, timeout=120)
    assert gate(tmp_path, before="false && ").returncode == 1
    fleeting = "import pathlib\nif not pathlib.Path('gone').exists():\n    def test_gone():\n"
    fleeting += "        pathlib.Path('gone').touch()\n        assert False\n"
    (tmp_path / "test_fleeting.py").write_text(fleeting + "def test_there(): pass\n")
    (tmp_path / "test_once.py").unlink()
    done = gate(tmp_path, first="")
    assert done.returncode != 0, done.stdout
