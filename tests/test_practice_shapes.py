"""Every event the practice server sends has exactly the fields and kinds of the recorded event of its kind."""

from __future__ import annotations

import pytest
from practice_shapes import SHAPES, check
from practice_theatre import FIRST, MINI, SPEECH, Theatre

from rtnb.server.protocol.requests import Call, Text

TOOL = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}


def scenes(model: str) -> list[Theatre]:
    """Between them, every kind of event that a session of this model can see."""
    spoken = Theatre(model)
    spoken.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    spoken.append(SPEECH + bytes(96_000))
    spoken.wait(1)

    written = Theatre(model)
    written.update(output_modalities=["text"], instructions="Be brief.")
    written.say("Hello.")
    written.send("response.create", response={"metadata": {"topic": "x"}})
    written.wait(1)

    calling = Theatre(model, thinks=[Text("One moment."), Call("get_weather", {"city": "London"})])
    calling.update(output_modalities=["text"], tools=[TOOL])
    calling.say("What is the weather in London?")
    calling.send("response.create")
    call_id = calling.last("response.function_call_arguments.done")["call_id"]
    calling.send(
        "conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": "Foggy."}
    )
    calling.wait(1)

    deaf = Theatre(model, hears=RuntimeError("no"))
    deaf.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    deaf.append(SPEECH + bytes(96_000))
    deaf.wait(1)
    return [spoken, written, calling, deaf]


@pytest.mark.parametrize("model", [FIRST, MINI])
def test_every_event_has_its_recorded_shape(model: str) -> None:
    for theatre in scenes(model):
        for event in theatre.events:
            assert check(event, model), f"no recording of {event['type']}"


def test_the_scenes_show_every_recorded_kind_that_a_websocket_session_can_see() -> None:
    seen = {event["type"] for model in (FIRST, MINI) for theatre in scenes(model) for event in theatre.events}
    recorded = {key.split("|")[0] for key in SHAPES}
    assert recorded - seen == {"output_audio_buffer.started", "output_audio_buffer.stopped"}  # WebRTC and SIP only


def test_a_field_too_many_a_field_too_few_and_a_wrong_kind_are_caught() -> None:
    event = Theatre(MINI).events[0]
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
