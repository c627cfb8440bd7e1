"""A call that is taken up again: the new session knows what was said and done, and the page sees every turn once."""

from __future__ import annotations

from typing import Any

import pytest
from dialogue import Talk, serve, until
from test_ui_call import PCM, Page, hear_sound

from rtnb.audio import Clip
from rtnb.opening import connect
from rtnb.session.session import Session


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"3 °C in {city}"


def say_weather(talk: Talk) -> None:
    """Take a question, have the function called, and answer; the answer is cut in its middle."""
    talk.open()
    talk.take_message("item_u")
    talk.expect("response.create")
    call = {"id": "item_f", "type": "function_call", "name": "weather", "call_id": "call_1", "status": "completed"}
    call["arguments"] = '{"city": "Oslo"}'
    response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "conversation.item.added", "previous_item_id": "item_u", "item": call},
        {"type": "conversation.item.done", "previous_item_id": "item_u", "item": call},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [call]}},
    )
    output = talk.expect("conversation.item.create")["item"]
    talk.say({"type": "conversation.item.added", "previous_item_id": "item_f", "item": {**output, "id": "item_o"}})
    talk.answer("It is three degrees.", PCM, id="resp_2", item_id="item_b")
    talk.expect("conversation.item.truncate")
    cut = {"type": "conversation.item.truncated", "item_id": "item_b", "content_index": 0, "audio_end_ms": 500}
    talk.say(cut)
    talk.drop()


GIVEN = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
    {"type": "function_call", "name": "weather", "call_id": "call_1", "arguments": '{"city": "Oslo"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "3 °C in Oslo"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is …"}]},
]


@pytest.mark.parametrize("renames", [False, True])
def test_the_new_session_is_given_calls_and_cut_answers_and_every_turn_stands_once(renames: bool):
    given = []

    def again(talk: Talk) -> None:
        talk.open()
        for number in range(len(GIVEN)):
            item = talk.expect("conversation.item.create")["item"]
            given.append(item)
            named = {**item, "id": f"item_new_{number}"} if renames else item
            for name in ("added", "done"):
                talk.say({"type": f"conversation.item.{name}", "item": {**named, "status": "completed"}})
        talk.take_message("item_u2")
        talk.answer("Still here.", PCM, id="resp_3", item_id="item_c")

    with serve(say_weather, again) as url:
        page = Page(url, tools=[weather])
        page.start()
        page.say("say", text="Weather?")
        page.hear("turn", text="It is three degrees.", open=False)
        page.say("cut", items=[{"item": "item_b", "played_ms": 500}])
        assert page.hear("state", state="closed")["reason"] == "dropped"
        page.start()
        page.say("say", text="Are you there?")
        page.hear("turn", text="Still here.", open=False)
        words = ["Weather?", 'weather({"city": "Oslo"})', "3 °C in Oslo", "It is three degrees."]
        assert [turn.words for turn in page.call.turns] == [*words, "Are you there?", "Still here."]
        assert [entry.event["type"] for entry in page.call.log].count("session.created") == 2
        page.all.clear()
        page.another("other").say("hello")
        page.hear("turn", to="other", item="item_c")
        shown = [message for message in page.all if message["kind"] == "turn" and message["to"] == "other"]
        page.call.hang_up().wait(10)
    assert [{name: value for name, value in item.items() if name != "id"} for item in given] == GIVEN
    assert [item["id"] for item in given] == ["item_u", "item_f", "item_o", "item_b"]
    ids = ["item_u", "item_f", "item_b", "item_u2", "item_c"]
    assert [(message["item"], message["after"]) for message in shown] == list(zip(ids, [None, *ids], strict=False))
    assert [message["open"] for message in shown] == [False] * 5
    assert shown[1]["text"] == "weather(city='Oslo') → 3 °C in Oslo"


def test_after_a_connection_that_never_came_about_nothing_is_lost():
    def first(talk: Talk) -> None:
        talk.open()
        talk.take_message("item_1")
        talk.answer("Hello Ada.", id="resp_1", item_id="item_2")

    def refused(talk: Talk) -> None:
        talk.socket.close(1013, "Try later.")

    def third(talk: Talk) -> None:
        talk.open()
        for _ in range(2):
            talk.say({"type": "conversation.item.added", "item": talk.expect("conversation.item.create")["item"]})

    with serve(first, refused, third) as url:
        page = Page(url)
        page.start()
        page.say("say", text="I am Ada.")
        page.hear("turn", text="Hello Ada.", open=False)
        page.call.hang_up().wait(10)
        page.hear("state", state="closed")
        page.say("start")
        assert page.hear("state", state="closed")["reason"] in ("failed", "dropped")
        assert [turn.words for turn in page.call.turns] == ["I am Ada.", "Hello Ada."]
        page.start()
        until(lambda: [entry.type for entry in page.call.session.log].count("conversation.item.added") == 2)
        assert [turn.words for turn in page.call.turns] == ["I am Ada.", "Hello Ada."]
        page.call.hang_up().wait(10)


def test_the_end_of_the_old_connection_does_not_end_the_call_that_is_begun_again_meanwhile(monkeypatch):
    def connect_when_the_old_one_is_closed(**settings: Any) -> Session:
        if page.call.session is not None:
            page.call.session.close().wait(10)
        return connect(**settings)

    def script(talk: Talk) -> None:
        talk.open()

    monkeypatch.setattr("rtnb.ui.call.exchange.connect", connect_when_the_old_one_is_closed)
    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("hangup")
        page.say("start")
        page.hear("state", state="connecting")
        assert page.hear("state")["state"] == "open"
        page.call.hang_up().wait(10)


@pytest.mark.parametrize(
    "detection", ["server_vad", "semantic_vad", {"type": "server_vad", "silence_duration_ms": 900}]
)
def test_behind_a_recording_a_call_sends_the_silence_that_a_question_does(detection):
    heard: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.open()
        least = {"server_vad": 700, "semantic_vad": 4000}.get(str(detection), 1100)
        heard.append(hear_sound(talk, len(PCM) + least * 48))

    with serve(script) as url:
        page = Page(url, turn_detection=detection)
        page.start()
        page.say("audio", PCM)
        page.say("recorded")
        until(lambda: heard)
        page.call.hang_up().wait(10)
        chat = connect(url=url, turn_detection=detection)
        chat.ask(Clip.from_pcm(PCM, rate_hz=24_000, name="it"))
        until(lambda: len(heard) == 2)
        chat.close().wait(10)
    assert heard[0] == heard[1]
