"""The clinic of notebook 5: every fault is found by the notebook's own questions, and by no other name."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import rtnb
from rtnb.server.faults import CLINIC

SOLUTIONS = Path(__file__).resolve().parents[1] / "notebooks" / "solutions" / "05.md"
CASES = [(level, fault) for level, faults in enumerate(CLINIC, 1) for fault in faults]


@pytest.fixture(autouse=True)
def in_english():
    rtnb.language("en")
    yield
    rtnb.language("auto")


@cache
def visited(fault):
    """A server with this fault, and a session as the notebook holds it."""
    patient = rtnb.practice(faults=fault, engines=False)
    return patient, session(patient)


def session(patient):
    chat = rtnb.connect(url=patient.url, key="practice", provider="practice", transcription=True, show=False)
    try:
        with chat:
            chat.ask(rtnb.samples()["question"]).wait(60)
            chat.ask("Count to three.").wait(60)
    except rtnb.RtnbError:
        pass
    return chat


@cache
def solution(level):
    """The solution of a level: the questions as code."""
    return re.findall(r"```python\n(.*?)```", SOLUTIONS.read_text("utf-8"), re.DOTALL)[level - 1]


def check(level, *made):
    """The verdict in English, of at most 200 characters; the Chinese one says the same in Chinese."""
    verdict = rtnb.check(f"05.{level}", *made)
    rtnb.language("zh")
    chinese = rtnb.check(f"05.{level}", *made)
    rtnb.language("en")
    assert chinese.status == verdict.status
    assert re.search(r"[\u4e00-\u9fff]", chinese.sentence), chinese
    for sentence in (verdict.sentence, chinese.sentence):
        assert len(sentence) <= 200, sentence
    return verdict


@pytest.mark.parametrize(("level", "fault"), CASES)
def test_the_notebooks_questions_find_the_fault(level, fault):
    patient, chat = visited(fault)
    found = {f"visit{level}": chat}
    exec(solution(level), found)
    assert found["diagnosis"] == fault.partition(":")[0]
    verdict = check(level, patient, chat, found["diagnosis"])
    assert verdict.status == "right", verdict


@pytest.mark.parametrize(("level", "fault"), CASES)
def test_no_other_name_is_accepted(level, fault):
    patient, chat = visited(fault)
    name = fault.partition(":")[0]
    for other in {each.partition(":")[0] for each in CLINIC[level - 1]} - {name}:
        verdict = check(level, patient, chat, other)
        assert verdict.status == "wrong"
        assert verdict.sentence.startswith(f"It is not {other}.")


def test_what_is_no_diagnosis_is_said_to_be_none():
    patient, chat = visited("quota")
    assert check(1, patient, chat, None).status == "nothing"
    for given, words in [
        ("quotum", "'quotum'"),
        (["quota"], "of type list"),
        (rtnb, "of type module"),
        ("delay", "drop"),
    ]:
        verdict = check(1, patient, chat, given)
        assert verdict.status == "wrong"
        assert words in verdict.sentence


def test_the_session_must_be_one_with_that_server_in_which_something_was_asked():
    patient, chat = visited("quota")
    other, elsewhere = visited("deaf")
    assert "another server" in check(1, patient, elsewhere, "quota").sentence
    assert "no fault of this level" in check(1, other, elsewhere, "quota").sentence
    assert "rtnb.practice" in check(1, chat, chat, "quota").sentence
    assert "session" in check(1, patient, patient, "quota").sentence
    with rtnb.connect(url=patient.url, key="practice", provider="practice", show=False) as silent:
        silent.update().wait(30)
    assert "Nothing was asked" in check(1, patient, silent, "quota").sentence
