"""Each thing the API does, as somebody would write it who has read the README: no key, no network, thirty lines."""

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))

# What each must print, in this order among other things; what depends on the engines installed is not in it.
PRINTS = {
    "turns": ["True True", "True None", "True", "False"],
    "listening": ["completed True", "completed True", "committed by us: False", "the server heard: user True"],
    "tool": ["weather(city='Oslo')", "3 °C, fog"],
    "side": ["completed ['completed', 'completed']", "[True, True]", "turns: 2"],
    "subtitles": ["pizza", "00:00:0", "$0.0"],
    "interpreter": ["True True", "$0.0"],
    "money": ["$0.0", "BudgetExceeded True", "True True"],
    "folder": ["[('question.wav', 'completed'), ('weather.wav', 'completed')]", "asked again: 0", "['key', 'name'"],
    "replay": ["True True replay", "does not hold this question"],
    "picture": ["1", "2"],
    "reconnecting": ["another session: True", "['user', 'assistant', 'user', 'assistant']"],
    "ends": ["127.0.0.1 completed", "127.0.0.1 True"],
    "doctor": ["python", "127.0.0.1"],
}


def test_no_script_is_longer_than_thirty_lines():
    assert {path.stem for path in SCRIPTS} == set(PRINTS)
    assert [path.name for path in SCRIPTS if len(path.read_text("utf-8").splitlines()) > 30] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_as_written(path, capsys, tmp_path, monkeypatch):
    from rtnb.server.engines import asr

    if path.stem in ("subtitles", "interpreter") and asr.engine() is None:
        pytest.skip("no recogniser is installed")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    at = 0
    for expected in PRINTS[path.stem]:
        found = printed.find(expected, at)
        assert found >= 0, f"{expected!r} is not in {printed[at:]!r}"
        at = found + len(expected)
