"""What cannot be written as JSON is refused at the call, in words, and never leaves anybody waiting."""

import decimal
import pathlib

import numpy as np
import pytest
from dialogue import serve

import rtnb
from rtnb.errors import InputError
from rtnb.opening import connect

HOLDS_ITSELF: dict = {}
HOLDS_ITSELF["again"] = [HOLDS_ITSELF]
UNWRITABLE = [
    HOLDS_ITSELF,
    {1, 2},
    pathlib.Path("x"),
    decimal.Decimal("0.5"),
    b"bytes",
    object(),
    float("nan"),
    float("inf"),
    np.float32("nan"),
    np.zeros(2),
    1j,
    2**70,
    {3: "a key that is no text"},
    "half a pair \ud83d",
    [{"deep": [{4}]}],
]
NUMBERS = [(np.float32(1.1), 1.1), (np.float64(0.5), 0.5), (np.int64(100), 100), (np.bool_(True), True)]
SESSION_CALLS = {
    "ask": lambda chat, value: chat.ask("Hi", response={"metadata": value}),
    "ask_instructions": lambda chat, value: chat.ask("Hi", instructions=value),
    "respond": lambda chat, value: chat.respond(max_output_tokens=value),
    "side": lambda chat, value: chat.side("Which?", response={"metadata": value}),
    "side_about": lambda chat, value: chat.side("Which?", about=[value]),
    "update": lambda chat, value: chat.update(audio={"output": {"speed": value}}),
    "create": lambda chat, value: chat.create({"type": "message", "role": "user", "content": value}),
    "send": lambda chat, value: chat.send({"type": "x", "field": value}),
    "delete": lambda chat, value: chat.delete(value),
    "retrieve": lambda chat, value: chat.retrieve(value),
    "truncate": lambda chat, value: chat.truncate(value, 5),
    "cancel": lambda chat, value: chat.cancel(value),
    "create_after": lambda chat, value: chat.create({"type": "message"}, value),
}


@pytest.mark.parametrize("value", UNWRITABLE, ids=lambda value: type(value).__name__)
def test_every_call_of_a_session_refuses_it_by_its_name_and_goes_on(value):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Still here.")

    with serve(script) as url, connect(url=url) as chat:
        for name, call in SESSION_CALLS.items():
            with pytest.raises(InputError, match="JSON") as refused:
                call(chat, value)
            assert str(refused.value).startswith("Your "), name
        assert chat.ask("Hi").wait(10).text == "Still here."


@pytest.mark.parametrize("value", UNWRITABLE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "settings",
    [
        lambda value: {"session": {"max_output_tokens": value}},
        lambda value: {"instructions": value},
        lambda value: {"turn_detection": {"type": "server_vad", "threshold": value}},
        lambda value: {"transcription": {"model": "gpt-transcribe", "prompt": value}},
        lambda value: {"tools": [{"type": "function", "name": "f", "parameters": value}]},
    ],
    ids=["session", "instructions", "turn_detection", "transcription", "tools"],
)
def test_connect_refuses_it_before_anything_is_opened(settings, value):
    with pytest.raises(InputError, match="JSON"):
        connect(url="ws://127.0.0.1:9/never", **settings(value))


def test_transcription_and_translation_refuse_it_too():
    clip = rtnb.samples()["question"]
    with pytest.raises(InputError, match=r"Your session.*prompt.* is .*Path"):
        rtnb.transcribe(clip, prompt=pathlib.Path("x"), url="ws://127.0.0.1:9/never")
    with pytest.raises(InputError, match="JSON"):
        rtnb.translate(clip, to="es", transcription="half a pair \ud83d", url="ws://127.0.0.1:9/never")


def test_words_with_half_a_pair_are_refused_where_they_are_asked():
    with pytest.raises(InputError, match=r"^Your text is 'bad \\ud83d half' \(str\), which JSON cannot carry"):
        rtnb.ask("bad \ud83d half", practice=True)


def test_an_event_or_item_that_is_none_is_refused_and_an_odd_one_goes_out_as_it_is():
    sent = []

    def script(talk):
        talk.open()
        sent.extend(talk.hear() for _ in range(2))

    with serve(script) as url, connect(url=url) as chat:
        for refused in (lambda: chat.send("response.create"), lambda: chat.send([1]), lambda: chat.create("hello")):
            with pytest.raises(InputError, match=r"^Your (event|item)"):
                refused()
        chat.send({"type": "conversation.item.create", "event_id": "a"}).wait(5)
        chat.send({"type": "conversation.item.create", "event_id": "b", "item": {"call_id": ["x"]}}).wait(5)
    assert [event["event_id"] for event in sent] == ["a", "b"]


def test_the_sentence_says_where_it_stands_and_what_may_stand_there():
    with pytest.raises(InputError) as refused:
        connect(practice=True, turn_detection={"type": "server_vad", "threshold": {0.5}})
    assert str(refused.value) == (
        "Your session['audio']['input']['turn_detection']['threshold'] is {0.5} (set), which JSON cannot carry. Give "
        "text, a finite number, True, False, None, a list, or a dict with text as its keys."
    )


@pytest.mark.parametrize(("given", "sent"), NUMBERS, ids=lambda value: type(value).__name__)
def test_numpys_numbers_are_taken_as_what_they_say(given, sent):
    wanted = []

    def script(talk):
        wanted.append(talk.open())
        wanted.append(talk.expect("response.create")["response"])
        talk.answer(expect=False)

    with serve(script) as url, connect(url=url, session={"x": {"y": [given]}}) as chat:
        chat.respond(x=given).wait(10)
    assert wanted[0]["x"] == {"y": [sent]}
    assert wanted[1] == {"x": sent}
    assert type(wanted[1]["x"]) is type(sent)


def test_numpys_speed_is_a_speed():
    wanted = []
    with serve(lambda talk: wanted.append(talk.open())) as url, connect(url=url, speed=np.float32(1.1)):
        pass
    assert wanted[0]["audio"]["output"]["speed"] == 1.1
