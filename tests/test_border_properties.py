"""Whatever becomes of recorded events on their way, nothing raises, nothing waits for ever, and nothing is lost."""

import contextlib
import copy
import json
import logging
from pathlib import Path

import pytest
from dialogue import serve, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtnb.errors import RtnbError
from rtnb.opening import connect
from rtnb.protocol import frames
from rtnb.protocol.conversation import Conversation
from rtnb.session import following
from rtnb.transport import channel

# Trimmed from pydantic-ai's cassettes (MIT licence): the opening, an answer that calls a function, one that is spoken.
LINES = [json.loads(line) for line in Path(__file__).with_name("recorded_events.jsonl").read_text("utf-8").splitlines()]
RECORDED = {part: [line["event"] for line in LINES if line["part"] == part] for part in ("begin", "calls", "speaks")}

WORDS = ("response.output_text.delta", "response.output_audio_transcript.delta")
SOUND = "response.output_audio.delta"
STRANGE = [
    None, True, 0, -7, 2.5, 10**17, 1e300, "", "x", "5", "{}", '{"id": "x"}', "a\ud83db", [], ["x"], [[]], [{}], {},
    {"text": "x"}, {"id": "x"}, {"type": "x"}, {"value": [None]},
]  # fmt: skip
GARBAGE = [
    "",
    "{",
    "[]",
    "null",
    '"x"',
    b"\x00\xff",
    b"\xff\xfe{}",
    "[" * 300 + "]" * 300,
    '{"type": 5}',
    '{"type": ""}',
]


def places(value, path=()):
    """Return the paths of all fields and elements in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inner for place in ((*path, key), *places(part, (*path, key)))]


@st.composite
def mutated(draw, part):
    """Draw frames made of the recorded events of a part, and which events were left as they are."""
    events = [(copy.deepcopy(event), True) for event in RECORDED[part]]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(events) - 1))
        how = draw(
            st.sampled_from(["drop", "double", "move", "retype", "retype", "nest", "leave out", "cut", "garbage"])
        )
        event, _whole = events[at]
        if how == "drop" and len(events) > 1:
            del events[at]
        elif how == "double":
            events.insert(at, (event, False))
        elif how == "move":
            events.insert(draw(st.integers(0, len(events) - 1)), events.pop(at))
        elif how == "garbage":
            events.insert(at, (draw(st.sampled_from(GARBAGE)), False))
        elif isinstance(event, dict):
            events[at] = (draw(changed(event, how)), False)
    return [(event if isinstance(event, str | bytes) else json.dumps(event), event, whole) for event, whole in events]


@st.composite
def changed(draw, event, how):
    """Draw an event with one field changed, or its frame cut."""
    text = json.dumps(event)
    if how == "cut":
        return text[: draw(st.integers(1, len(text) - 1))]
    event = copy.deepcopy(event)
    found = [path for path in places(event) if path != ("type",)]
    *parents, last = draw(st.sampled_from(found))
    inside = event
    for key in parents:
        inside = inside[key]
    if how == "leave out":
        del inside[last]
    elif how == "nest":
        inside[last] = draw(st.sampled_from([[inside[last]], {"value": inside[last]}, json.dumps(inside[last])]))
    else:
        inside[last] = draw(st.sampled_from(STRANGE))
    return event


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(channel, "_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(following, "_LATE_SECONDS", 0.1)


def server(script):
    """A server that opens, answers the first question with what `script` holds, and everything after as usual."""

    def run(talk):
        said = list(script["begin"])
        for frame, *_ in said[:-1]:
            talk.socket.send(frame)
        talk.expect("session.update")
        talk.socket.send(said[-1][0])
        number = 0
        while True:
            event = talk.hear()
            if event["type"] == "conversation.item.create":
                number += 1
                item = {"status": "completed", **event["item"], "id": f"item_u{number}"}
                talk.say(
                    {"type": "conversation.item.added", "item": item}, {"type": "conversation.item.done", "item": item}
                )
            elif event["type"] == "response.create" and not script["begun"]:
                script["begun"] = True
                for frame, *_ in script["answer"]:
                    talk.socket.send(frame)
            elif event["type"] == "response.create":
                talk.answer("The second.", id=f"resp_{number}", item_id=f"item_{number}", expect=False)

    return run


def get_weather(city: str) -> str:
    """Look up the weather for a city."""
    return f"Rain in {city}."


def spoken_in(conversation):
    turns = [*conversation.turns, *(turn for one in conversation.responses.values() for turn in one.turns)]
    return "\n".join(turn.words for turn in turns), b"".join(turn.pcm for turn in turns)


def check(script, caplog):
    """Ask twice; look at what is left of the answers."""
    caplog.clear()
    script["begun"] = False
    with serve(server(script)) as url:
        chat = connect(url=url, tools=[get_weather], transcription="whisper-1", timeout=1.0)
        reply, pieces = chat.ask("Hi"), []
        reply.subscribe(lambda update: pieces.append(getattr(update, "piece", "")))
        with contextlib.suppress(RtnbError):
            reply.wait(20)
        if script["begun"] and chat.state == "open":
            until(
                lambda: sum(e.direction == "received" for e in chat.log) >= len(script["begin"]) + len(script["answer"])
            )
            second = chat.ask("And?")
            with contextlib.suppress(RtnbError):
                assert "The second." in second.wait(20).text
            kept_and_told(chat, script["answer"], "".join(pieces))
        shown = [
            chat.turns,
            chat.bill,
            chat.limits,
            chat.usage,
            chat.cost,
            chat.log,
            chat,
            reply,
            reply.usage,
            reply.cost,
        ]
        assert all(repr(thing) for thing in [*shown, reply.text, reply.transcript, reply.audio, reply.events])
        assert all(warning.endswith(".") for warning in [*chat.warnings, *reply.warnings])
        assert chat._repr_html_()
        assert chat.timeline()._repr_html_()
        assert chat.save("odd.rtnb").exists()
        chat.close().wait(20)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def kept_and_told(chat, answer, pieces):
    words, pcm = spoken_in(chat.conversation)
    received = [entry for entry in chat.log if entry.direction == "received"]
    for frame, event, whole in answer:
        if whole and event["type"] in WORDS:
            assert event["delta"] in pieces + words
        if whole and event["type"] == SOUND:
            assert frames.decode_audio(event["delta"]) in pcm
        data = frame if isinstance(frame, bytes) else frame.encode()
        try:
            kept = frames.loads(data)
        except ValueError:
            kept = {"type": "rtnb.malformed", "bytes": len(data), "text": data.decode("utf-8", "replace")}
        assert any(entry.event == kept for entry in received)


ORDINARY = {part: [(json.dumps(event), event, True) for event in events] for part, events in RECORDED.items()}
QUIET = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(answer=mutated("calls"))
@QUIET
def test_any_answer_that_calls_a_function(answer, caplog):
    check({"begin": ORDINARY["begin"], "answer": answer}, caplog)


@given(answer=mutated("speaks"))
@QUIET
def test_any_answer_that_is_spoken(answer, caplog):
    check({"begin": ORDINARY["begin"], "answer": answer}, caplog)


@given(begin=mutated("begin"))
@settings(QUIET, max_examples=10)
def test_any_opening(begin, caplog):
    check({"begin": begin, "answer": ORDINARY["speaks"]}, caplog)


@pytest.mark.parametrize("part", ["calls", "speaks"])
def test_recorded_events_are_not_odd(part, caplog):
    talk = Conversation()
    for event in [*RECORDED["begin"], *RECORDED[part]]:
        assert not [update for update in talk.apply(event) if type(update).__name__ == "Odd"]


@given(events=st.lists(st.sampled_from(["calls", "speaks"]).flatmap(mutated), min_size=1, max_size=3))
@settings(QUIET, max_examples=120)
def test_the_fold_refuses_an_event_with_a_value_error_or_takes_it(events):
    talk = Conversation(lambda start, end: b"")
    for frame, *_ in [frame for answer in events for frame in answer]:
        with contextlib.suppress(ValueError):
            talk.apply(frames.loads(frame))
    assert all(isinstance(turn.words, str) and repr(turn) for turn in talk.turns)
