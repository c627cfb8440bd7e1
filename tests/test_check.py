"""Checks of the exercises as a table: the solution, wrong answers, nothing, a cheat and another exercise's object.

Each is checked in both languages; the sentence is short, and names what is wrong and what to do.
"""

import ast
import json
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from exercise_answers import SAMPLES, SILENCE, TABLE, append, commit, spoken, steps, words

import rtnb
from rtnb.course.check import Verdict, numbers
from rtnb.course.checkers import conditions, evidence
from rtnb.errors import InputError

LONGEST = 200  # characters of a sentence


@pytest.fixture(scope="module")
def made(request):
    """What the rows of the table hand over, several made at a time, for most of it is waiting for speech."""
    rtnb.language("en")
    rows = [
        item.callspec.params
        for item in request.session.items
        if item.path == request.path and "made" in item.fixturenames
    ]
    with ThreadPoolExecutor(6) as pool:
        return {row["answer"]: pool.submit(row["answer"]) for row in rows}


@pytest.fixture(autouse=True)
def in_english():
    rtnb.language("en")
    yield
    rtnb.language("auto")


def check(number, *made):
    """The verdict in English; the Chinese one is the same, in a Chinese sentence with the same figures in it."""
    verdict = rtnb.check(number, *made)
    rtnb.language("zh")
    chinese = rtnb.check(number, *made)
    rtnb.language("en")
    assert (chinese.number, chinese.status) == (verdict.number, verdict.status)
    assert re.search(r"[\u4e00-\u9fff]", chinese.sentence), chinese
    assert chinese.sentence.endswith("。")
    assert max(len(verdict.sentence), len(chinese.sentence)) <= LONGEST, verdict
    figures = r"\d[\d.,]*\d|\d"
    assert sorted(re.findall(figures, chinese.sentence)) == sorted(re.findall(figures, verdict.sentence))
    return verdict


@pytest.mark.parametrize(("number", "answer", "status", "said"), [
    pytest.param(number, answer, status, said, id=f"{number} {label}") for number, label, answer, status, *said in TABLE
])  # fmt: skip
def test_an_answer_gets_its_verdict_and_a_sentence_that_says_why(number, answer, status, said, made):
    handed = made[answer].result()
    verdict = check(number, *(handed if isinstance(handed, tuple) else (handed,)))
    assert verdict.status == status, verdict
    assert bool(verdict) == (status == "right")
    for each in said:
        assert each in verdict.sentence


@pytest.mark.parametrize("number", numbers())
def test_nothing_yet_is_said_kindly_with_the_way_to_hand_it_in(number):
    names = list(conditions.exercises()[number]["made"])
    verdict = check(number, *[None] * len(names))
    assert verdict.status == "nothing"
    assert verdict.sentence.startswith(f"Not filled in yet: {', '.join(names)}. ")
    assert repr(verdict) == f"{number} · {verdict.sentence}"
    assert check(number).sentence == verdict.sentence


@pytest.mark.parametrize("number", [number for number in numbers() if len(conditions.exercises()[number]["made"]) > 1])
def test_only_what_is_not_there_is_said_to_be_missing(number):
    first, *_, last = names = list(conditions.exercises()[number]["made"])
    assert check(number, *[42] * (len(names) - 1), None).sentence.startswith(f"Not filled in yet: {last}. ")
    assert check(number, None, *[42] * (len(names) - 1)).sentence.startswith(f"Not filled in yet: {first}. ")


@pytest.mark.parametrize("number", numbers())
@pytest.mark.parametrize("thing", [object(), {"type": "response.done"}, b"x", range(3)], ids=type)
def test_something_altogether_different_is_called_by_its_type(number, thing):
    made = conditions.exercises()[number]["made"]
    verdict = check(number, *[thing] * len(made))
    assert verdict.status == "wrong"
    assert f"of type {type(thing).__name__}." in verdict.sentence or "bytes" in made.values()


def test_the_table_has_every_exercise_with_eight_kinds_of_answer():
    three = [f"{notebook:02}.{number}" for notebook in range(1, 8) for number in (1, 2, 3)]
    assert numbers() == [*three, *(f"08.{number}" for number in range(1, 7)), *(f"09.{n}" for n in (1, 2, 3))]
    for number in numbers():
        rows = [row for row in TABLE if row[0] == number]
        assert len({label for _, label, *_ in rows}) == len(rows)
        assert {"solution", "another's object"} <= {label for _, label, *_ in rows}
        assert sum(status == "wrong" for _, _, _, status, *_ in rows) >= 4


def test_the_number_of_an_exercise_with_and_without_its_nought():
    for written in ("1.1", "01.1", " 1.1 "):
        assert rtnb.check(written).number == "01.1"
    with pytest.raises(InputError, match=r"one of: 01\.1"):
        rtnb.check("99.9", 1)
    with pytest.raises(InputError, match="given 3 things"):
        rtnb.check("01.1", 1, 2, 3)


def sentences():
    """Every sentence of the exercises, those of the code apart."""

    def walk(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if key in ("say", "right", "hand_in", "ended"):
                yield value
            elif key == "signs":
                yield from value.values()
            elif isinstance(value, dict | list):
                yield from walk(value)

    return set(walk(conditions.exercises()))


def test_the_catalogue_has_the_sentences_of_the_checkers_and_no_others():
    package = Path(rtnb.__file__).parent
    known = tomllib.loads((package / "texts" / "zh.toml").read_text("utf-8"))["check"]
    files = [package / "course" / "check.py", *(package / "course" / "checkers").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    words = {node.value for node in nodes if isinstance(node, ast.Constant)}
    said = [node.args[0] for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "say"]
    assert {one.value for one in said if isinstance(one, ast.Constant)} | sentences() <= set(known)
    assert set(known) <= words | sentences()
    for english, chinese in known.items():
        assert sorted(re.findall(r"\{.*?\}", english)) == sorted(re.findall(r"\{.*?\}", chinese))


def test_conditions_have_a_form_that_is_known():
    forms = {
        "need": {"with", "times", "beside"},
        "most": {"with", "times"},
        "holds": {"is", "values"},
        "figure": {"share", "slips"},
    }
    for number, exercise in conditions.exercises().items():
        assert set(exercise) <= {"made", "hand_in", "ended", "right", "values", "signs", "conditions"}, number
        for condition in exercise["conditions"]:
            (form,) = set(condition) & set(forms)
            assert set(condition) <= {form, "say"} | forms[form], number
            assert len(condition["say"]) <= LONGEST - 60


# --- guesses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guess", "actual", "status", "said"),
    [
        (32000, 32000, "right", "Right: 32000."),
        (2, 2.0, "right", "Right: 2."),
        ("32000", 32000, "right", "Right: 32000."),
        (31000, 32000, "right", "Right: 32000, and your guess of 31000 is close."),
        (24000, 32000, "wrong", "It is 32000. Your guess of 24000 is 0.75 times that."),
        (0, 32000, "wrong", "It is 32000. Your guess of 0 is 0 times that."),
        (3, 0, "wrong", "It is 0, not 3."),
        (0, 0, "right", "Right: 0."),
        (3, np.int64(3), "right", "Right: 3."),
        (2, 1, "wrong", "It is 1. Your guess of 2 is 2 times that."),
        ("many", 7, "wrong", "That is of type str. Hand over a single number, without its unit."),
        (True, 1, "wrong", "That is of type bool. Hand over a single number, without its unit."),
        (True, True, "right", "Right: True."),
        ("true", True, "right", "Right: True."),
        (False, True, "wrong", "It is True, not False."),
        (" Response.Done ", "response.done", "right", "Right: response.done."),
        ("response.end", "response.done", "wrong", "It is response.done, not response.end."),
        (
            None,
            7,
            "nothing",
            "Not filled in yet: guess. Write what you expect in place of None, before you run the cell.",
        ),
    ],
)
def test_a_guess_is_compared_with_what_came_out(guess, actual, status, said):
    verdict = check("guess", guess, actual)
    assert (verdict.status, verdict.sentence) == (status, said)
    assert repr(verdict).startswith("Your guess ")


def test_a_verdict_shows_itself():
    html = Verdict("01.1", "wrong", "Not <b>so</b>.")._repr_html_()
    assert "01.1 ✗ Not &lt;b&gt;so" in html


def test_a_reply_that_still_runs():
    with rtnb.connect(practice=True, show=False) as session:
        reply = session.ask("Count to one hundred.")
        next(iter(reply))  # it has begun
        assert "not over yet" in check("01.1", reply).sentence
        reply.cancel()
        reply.wait(30)
    assert "'cancelled'" in check("01.1", reply).sentence


def test_the_log_is_read_without_being_changed():
    before = [json.dumps(entry.silent) for entry in spoken().session.log]
    check("01.1", spoken())
    assert [json.dumps(entry.silent) for entry in spoken().session.log] == before


# --- the evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [clip.name for clip in SAMPLES])
def test_a_sample_is_known_by_its_sound(name):
    clip = SAMPLES[name]
    assert evidence.clip_name(clip.pcm) == name
    assert evidence.clip_name((rtnb.Clip.silence(0.337) + clip + SILENCE).pcm) == name
    assert evidence.clip_name(clip.pcm[: len(clip.pcm) // 4 * 2]) != name
    assert evidence.clip_name((clip + SAMPLES["weather"]).pcm) != name
    assert evidence.clip_name(SILENCE.pcm) == evidence.clip_name(b"") == evidence.SILENCE


def test_a_turn_has_the_events_of_its_own():
    with rtnb.connect(practice=True, modalities="text", show=False) as session:
        first = session.ask(SAMPLES["weather"], "What is said here?").wait(60)
        second = session.ask("Thank you.").wait(60)
    assert [fact["clip"] for fact in evidence.facts(first) if "clip" in fact] == ["weather"]
    assert not [fact for fact in evidence.facts(second) if "clip" in fact]
    assert [
        fact["words"] for fact in evidence.facts(second) if fact["type"].endswith(".create") and "item" in fact
    ] == ["Thank you."]
    assert [entry.type for entry in first.log][-1] == "response.done"
    assert {entry.direction for entry in second.log} == {"sent", "received"}


def test_what_the_server_refused_was_never_there():
    session = steps(commit_nothing, append(SAMPLES["weather"]), commit, words("What is said here?"))
    assert [fact["clip"] for fact in evidence.facts(session) if "clip" in fact] == ["weather"]


def commit_nothing(session):
    with pytest.raises(rtnb.RtnbError):
        session.commit().wait(10)
