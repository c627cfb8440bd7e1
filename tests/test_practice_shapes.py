"""Every event the practice server sends has exactly the fields and kinds of the recorded event of its kind."""

from __future__ import annotations

import pytest
from practice_harness import FIRST, MINI, SPEECH, Harness
from practice_shapes import SHAPES, check

from rtnb.server.protocol.requests import Call, Text

TOOL = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}


def scenes(model: str) -> list[Harness]:
    """Between them, every kind of event that a session of this model can see."""
    spoken = Harness(model)
    spoken.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    spoken.append(SPEECH + bytes(96_000))
    spoken.wait(1)

    written = Harness(model)
    written.update(output_modalities=["text"], instructions="Be brief.")
    written.say("Hello.")
    written.send("response.create", response={"metadata": {"topic": "x"}})
    written.wait(1)

    calling = Harness(model, answers=[Text("One moment."), Call("get_weather", {"city": "London"})])
    calling.update(output_modalities=["text"], tools=[TOOL])
    calling.say("What is the weather in London?")
    calling.send("response.create")
    call_id = calling.last("response.function_call_arguments.done")["call_id"]
    calling.send(
        "conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": "Foggy."}
    )
    calling.wait(1)

    failing = Harness(model, transcript=RuntimeError("no"))
    failing.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    failing.append(SPEECH + bytes(96_000))
    failing.wait(1)
    return [spoken, written, calling, failing]


@pytest.mark.parametrize("model", [FIRST, MINI])
def test_every_event_has_its_recorded_shape(model: str) -> None:
    for harness in scenes(model):
        for event in harness.events:
            assert check(event, model), f"no recording of {event['type']}"


def test_the_scenes_show_every_recorded_kind_that_a_websocket_session_can_see() -> None:
    seen = {event["type"] for model in (FIRST, MINI) for harness in scenes(model) for event in harness.events}
    recorded = {key.split("|")[0] for key in SHAPES}
    assert recorded - seen == {"output_audio_buffer.started", "output_audio_buffer.stopped"}  # WebRTC and SIP only


def test_a_field_too_many_a_field_too_few_and_a_wrong_kind_are_caught() -> None:
    event = Harness(MINI).events[0]
    assert check(event, MINI)
    for broken in (
        event | {"extra": 1},
        {name: value for name, value in event.items() if name != "event_id"},
        event | {"event_id": 7},
        event | {"session": event["session"] | {"temperature": 0.8}},
        event | {"session": event["session"] | {"tools": None}},
    ):
        with pytest.raises(AssertionError):
            check(broken, MINI)
