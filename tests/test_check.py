"""Every exercise of the course with a right answer, with wrong ones, and with nothing, in both languages."""

import ast
import base64
import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

import rtnb
from rtnb import models
from rtnb.course.check import Verdict, numbers
from rtnb.errors import BudgetExceeded, InputError
from rtnb.image import Image

# The smallest picture there is: one dot.
DOT = Image.read(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
)
SAMPLES = rtnb.samples()
# How many things a checker reads, where it is not one.
THINGS = {
    "01.2": 2,
    "02.3": 2,
    "05.1": 3,
    "05.2": 3,
    "05.3": 3,
    "06.1": 2,
    "06.3": 2,
    "07.3": 2,
    "08.4": 2,
    "08.5": 2,
    "08.6": 2,
}
SHORT = SAMPLES["question"][0:1.0]


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
    assert sorted(re.findall(r"\d[\d.,]*\d|\d", chinese.sentence)) == sorted(
        re.findall(r"\d[\d.,]*\d|\d", verdict.sentence)
    )
    return verdict


def ask(*parts, **options):
    return rtnb.ask(*parts, practice=True, show=False, **options).wait(60)


def talk(*turns, detection=None, **options):
    """A session in which these were asked one after the other; a turn may be a tuple of parts."""
    with rtnb.connect(practice=True, turn_detection=detection, **options) as session:
        for turn in turns:
            session.ask(*(turn if isinstance(turn, tuple) else (turn,))).wait(60)
    return session


@cache
def spoken():
    return ask("Count to three.")


@cache
def written():
    return ask("Count to three.", modalities="text")


def sunrise(city: str) -> str:
    """Tell when the sun rises in a city."""
    return f"at 7 o'clock in {city}"


def train(city: str) -> str:
    """Tell when the next train to a city leaves."""
    raise ValueError("no trains today")


def wrong(verdict, *words):
    assert verdict.status == "wrong"
    assert not verdict
    for word in words:
        assert word in verdict.sentence
    return verdict


def right(verdict):
    assert verdict.status == "right", verdict
    assert verdict
    assert verdict.sentence.startswith("Right")
    return verdict


# --- what holds for all of them --------------------------------------------------------------------------------------


def test_there_are_three_for_each_notebook_and_six_breaks_to_mend():
    three = [f"{notebook:02}.{number}" for notebook in range(1, 8) for number in (1, 2, 3)]
    assert numbers() == [*three, *(f"08.{number}" for number in range(1, 7))]


@pytest.mark.parametrize("number", numbers())
def test_nothing_yet_is_said_kindly(number):
    things = THINGS.get(number, 1)
    verdict = check(number, *[None] * things)
    assert verdict.status == "nothing"
    assert "in place of None" in verdict.sentence
    assert repr(verdict) == f"{number} · {verdict.sentence}"


@pytest.mark.parametrize("number", sorted(set(numbers()) - {"06.2"}))
def test_something_altogether_different_is_told_as_such(number):
    things = THINGS.get(number, 1)
    assert "int" in wrong(check(number, *[42] * things)).sentence


@pytest.mark.parametrize("number", sorted(set(numbers()) - {"06.2"}))
def test_in_chinese_it_says_the_same_in_chinese(number):
    things = THINGS.get(number, 1)
    rtnb.language("zh")
    for given in (None, 42):
        sentence = rtnb.check(number, *[given] * things).sentence
        assert any("\u4e00" <= letter <= "\u9fff" for letter in sentence)
        assert sentence.endswith("。")


def test_the_catalogue_has_the_sentences_of_the_checkers_and_no_others():
    package = Path(rtnb.__file__).parent
    sentences = tomllib.loads((package / "texts" / "zh.toml").read_text("utf-8"))["check"]
    files = [package / "course" / "check.py", *(package / "course" / "checkers").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    words = {node.value for node in nodes if isinstance(node, ast.Constant)}
    assert set(sentences) <= words
    said = [node.args[0] for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Wrong", "say")]
    said += [node.args[1] for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "require"]
    named = [node for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "sentence"]
    said += [node.value for node in named]
    assert {one.value for one in said if isinstance(one, ast.Constant)} <= set(sentences)
    for english, chinese in sentences.items():
        assert sorted(re.findall(r"\{.*?\}", english)) == sorted(re.findall(r"\{.*?\}", chinese))


def test_an_exercise_that_does_not_exist():
    with pytest.raises(InputError, match=r"one of: 01\.1"):
        check("99.9", 1)


def test_too_many_things():
    with pytest.raises(InputError, match="given 3 things"):
        check("01.1", 1, 2, 3)


def test_a_verdict_shows_itself():
    html = Verdict("01.1", "wrong", "Not <b>so</b>.")._repr_html_()
    assert "01.1 ✗ Not &lt;b&gt;so" in html


def test_a_reply_that_still_runs():
    with rtnb.connect(practice=True) as session:
        reply = session.ask("Count to one hundred.")
        next(iter(reply))  # it has begun
        wrong(check("01.1", reply), "not over yet")
        reply.cancel()
        reply.wait(30)
    wrong(check("01.1", reply), "'cancelled'")


# --- 01 --------------------------------------------------------------------------------------------------------------


def test_01_1_text_only():
    right(check("01.1", ask(SHORT, modalities="text")))
    wrong(check("01.1", written()), "No recording was sent")
    wrong(check("01.1", ask(SHORT)), "modalities='text'")
    wrong(check("01.1", written().session), "That is a session")


def test_01_2_bytes_of_the_first_delta():
    deltas = [e["delta"] for e in spoken().events if e["type"] == "response.output_audio.delta"]
    size = len(base64.b64decode(deltas[0]))
    right(check("01.2", spoken(), size))
    wrong(check("01.2", spoken(), len(deltas[0])), "base64 characters")
    wrong(check("01.2", spoken(), size // 2), "samples")
    wrong(check("01.2", spoken(), 1), "is not it")
    wrong(check("01.2", written(), size), "no sound")


def test_01_3_a_conversation_of_ones_own():
    right(check("01.3", talk(SHORT, SHORT, "Hello.", modalities="text")))
    wrong(check("01.3", talk(SHORT, "Hello.", modalities="text")), "1 recording(s)")
    wrong(check("01.3", talk(SHORT, SHORT, modalities="text")), "no typed question")
    wrong(check("01.3", spoken()), "a single reply")


# --- 02 --------------------------------------------------------------------------------------------------------------


def test_02_1_three_recordings_and_a_question():
    right(check("02.1", talk(SHORT, SHORT, SHORT, "What did I say?", modalities="text")))
    wrong(check("02.1", talk(SHORT, "What did I say?", modalities="text")), "1 recording(s)")
    wrong(check("02.1", talk(SHORT, SHORT, SHORT, modalities="text")), "ask about them in words")
    wrong(check("02.1", talk("What will I say?", SHORT, SHORT, SHORT, modalities="text")), "Ask it last")


def test_02_2_instructions_and_a_voice():
    right(check("02.2", talk("Say hello.", instructions="Be brief.", voice="sage")))
    wrong(check("02.2", talk("Say hello.", voice="sage")), "server's own instructions")
    wrong(check("02.2", talk("Say hello.", instructions="Be brief.")), "'marin'")
    wrong(check("02.2", talk("Hi.", instructions="Be brief.", voice="sage", modalities="text")), "nothing was spoken")


def test_02_3_forgotten():
    def forgetting(*, delete, ask_again=True):
        with rtnb.connect(practice=True, modalities="text") as session:
            session.ask("The secret word is pumpkin.").wait(30)
            for turn in list(session.turns)[:delete]:
                session.delete(turn.item_id).wait(10)
            if ask_again:
                session.ask("What is the secret word?").wait(30)
        return session

    right(check("02.3", forgetting(delete=2), "pumpkin"))
    wrong(check("02.3", forgetting(delete=0), "pumpkin"), "Nothing was deleted")
    wrong(check("02.3", forgetting(delete=1), "secret"), "still in the conversation")
    wrong(check("02.3", forgetting(delete=2, ask_again=False), "pumpkin"), "prove it")
    wrong(check("02.3", forgetting(delete=2), "melon"), "Nobody ever told")
    wrong(check("02.3", forgetting(delete=2), "  "), "as text")


# --- 03 --------------------------------------------------------------------------------------------------------------


def pushed(*, commit=True, respond=True, detection=None, append=True):
    with rtnb.connect(practice=True, modalities="text", turn_detection=detection) as session:
        if append:
            session.append(SHORT.pcm)
        if commit:
            session.commit().wait(10)
        if respond:
            session.respond().wait(30)
        session.update().wait(10)
    return session


def test_03_1_push_to_talk():
    right(check("03.1", pushed()))
    wrong(check("03.1", pushed(detection="server_vad", commit=False, respond=False)), "turn_detection=None")
    wrong(check("03.1", pushed(append=False, commit=False)), "No sound was appended")
    wrong(check("03.1", pushed(commit=False, respond=False)), "commit()")
    wrong(check("03.1", pushed(respond=False)), "respond()")


def listened(silence_ms, *, feed=True, answers=True):
    """The sample with a pause in it, heard by a server that waits for so much silence."""
    order = SAMPLES["order"]
    clip = rtnb.join([order[:1.7], rtnb.Clip.silence(0.9), order[1.7:], rtnb.Clip.silence(2.2)])
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms, "create_response": answers}
    with rtnb.connect(practice=True, modalities="text", turn_detection=detection) as session:
        if feed:
            session.append(clip.pcm)
            wanted = "response.done" if answers else "input_audio_buffer.committed"
            rtnb.run(_until(session, wanted))
        session.update().wait(10)
    return session


async def _until(session, type_):
    async for event in session.events():
        if event["type"] == type_ and (type_ != "response.done" or event["response"]["status"] == "completed"):
            return


def test_03_2_patience():
    right(check("03.2", listened(1500)))
    wrong(check("03.2", listened(200)), "turns", "200")
    wrong(check("03.2", listened(1500, feed=False)), "never heard")
    wrong(check("03.2", listened(1500, answers=False)), "wait for its answer")
    wrong(check("03.2", pushed()), "server_vad")


def cut(milliseconds):
    with rtnb.connect(practice=True) as session:
        session.ask("Count to ten.").wait(30)
        if milliseconds is not None:
            session.truncate(session.turns[-1].item_id, milliseconds).wait(10)
    return session


def test_03_3_interrupted():
    right(check("03.3", cut(700)))
    wrong(check("03.3", cut(None)), "No answer was truncated")
    wrong(check("03.3", cut(0)), "0 ms")
    wrong(check("03.3", cut(10**6)), "Cut earlier")
    wrong(check("03.3", talk("Hi.", modalities="text")), "nothing to cut")


# --- 04 --------------------------------------------------------------------------------------------------------------


def test_04_1_a_tool():
    right(check("04.1", ask("When does the sun rise in Bergen?", tools=[sunrise], modalities="text")))
    wrong(check("04.1", written()), "had no tools")
    wrong(check("04.1", ask("Hello.", tools=[sunrise], modalities="text")), "did not call it")
    wrong(check("04.1", ask("When does the train to Oslo leave?", tools=[train], modalities="text")), "failed")


def test_04_2_a_tool_that_fails():
    verdict = right(check("04.2", ask("When does the train to Oslo leave?", tools=[train], modalities="text")))
    assert "no trains today" in verdict.sentence
    wrong(check("04.2", ask("When does the sun rise in Bergen?", tools=[sunrise], modalities="text")), "went well")
    wrong(check("04.2", written()), "No tool was called")


def test_04_3_a_picture():
    right(check("04.3", ask(DOT, SHORT, modalities="text")))
    right(check("04.3", ask(DOT, "What is this?", modalities="text")))
    wrong(check("04.3", ask(DOT, modalities="text")), "without a question")
    wrong(check("04.3", written()), "No picture was sent")


# --- 06 --------------------------------------------------------------------------------------------------------------


def test_06_1_a_bill_by_hand():
    used, price = written().usage, models.get(written().model).prices
    fresh = used.input_text_tokens - used.cached_text_tokens
    usd_in = (fresh * price.text.input + used.cached_text_tokens * price.text.cached) / 1e6
    usd = usd_in + used.output_text_tokens * price.text.output / 1e6
    right(check("06.1", written(), usd))
    wrong(check("06.1", written(), usd * 100), "in cents")
    wrong(check("06.1", written(), usd * 1e6), "million tokens")
    wrong(check("06.1", written(), usd_in), "one line is missing", "text out")
    wrong(check("06.1", written(), usd * 3), "line by line")
    wrong(check("06.1", written(), "much"), "not an amount")


def test_06_2_stopped_by_the_budget():
    with rtnb.connect(practice=True, modalities="text", budget=0.000001) as session:
        reply = session.ask("Count to three.")
        with pytest.raises(BudgetExceeded) as caught:
            reply.wait(30)
    right(check("06.2", caught.value))
    right(check("06.2", reply))
    wrong(check("06.2", written()), "large enough")
    wrong(check("06.2", ValueError("no")), "not for money")
    wrong(check("06.2", 42), "exception you caught")


def test_06_3_half_the_money():
    right(check("06.3", spoken(), written()))
    wrong(check("06.3", written(), spoken()), "Halve it")
    wrong(check("06.3", written(), written()), "same reply twice")
    unknown = ask("Count to three.", modalities="text", model="gpt-realtime-2.1-mini")
    unknown.model = "a-model-nobody-knows"
    wrong(check("06.3", spoken(), unknown), "no known price")


# --- 07 --------------------------------------------------------------------------------------------------------------


def test_07_1_an_assistant():
    turns = (SHORT, "When does the sun rise in Bergen?", "Thank you.")
    right(check("07.1", talk(*turns, instructions="Be brief.", tools=[sunrise], modalities="text")))
    wrong(check("07.1", talk(*turns, tools=[sunrise], modalities="text")), "no instructions")
    wrong(check("07.1", talk(*turns, instructions="Be brief.", modalities="text")), "No tool of yours")
    wrong(
        check("07.1", talk(*turns[1:], instructions="Be brief.", tools=[sunrise], modalities="text")),
        "0 of them spoken",
    )
    failing = talk(SHORT, "When does the train to Oslo leave?", "Bye.", instructions="Be brief.", tools=[train])
    wrong(check("07.1", failing), "No tool of yours")


def test_07_2_played_back(tmp_path):
    with rtnb.connect(practice=True, modalities="text") as session:
        session.ask("Count to three.").wait(30)
        path = session.save(tmp_path / "mine.rtnb")
    with rtnb.connect(replay=path, modalities="text") as silent, rtnb.connect(replay=path, modalities="text") as again:
        reply = again.ask("Count to three.").wait(30)
    right(check("07.2", again))
    right(check("07.2", reply))
    wrong(check("07.2", silent), "nothing was asked")
    wrong(check("07.2", session), "practice")


def test_07_3_a_note_beside():
    with rtnb.connect(practice=True, modalities="text") as session:
        early = session.side("Write a note.").wait(30)
        first = check("07.3", session, early)
        ordinary = session.ask("My name is Ada.").wait(30)
        note = session.side("Write a note.").wait(30)
    wrong(first, "no talk yet")
    right(check("07.3", session, note))
    wrong(check("07.3", session, ordinary), "ordinary turn")
    wrong(check("07.3", session, written()), "another session")


def test_the_log_is_read_without_being_changed():
    before = [json.dumps(entry.silent) for entry in spoken().session.log]
    check("01.1", spoken())
    assert [json.dumps(entry.silent) for entry in spoken().session.log] == before
