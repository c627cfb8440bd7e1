"""The practice server's protocol, as dialogue: what a client sends and what comes back, in the recorded order."""

from __future__ import annotations

import base64
import itertools
import json
import math
from typing import Any

import pytest
from practice_theatre import FIRST, MINI, SILENCE, SPEECH, Theatre, b64, squeezed

from rtnb.server.protocol.effects import Speak
from rtnb.server.protocol.requests import Answer, Call, Cut, Text
from rtnb.server.protocol.script import Options

HEAD = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
SPOKEN_TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


# ------------------------------------------------------------------ the session


@pytest.mark.parametrize(("model", "voice", "silence_ms"), [(MINI, "marin", 500), (FIRST, "alloy", 200)])
def test_the_first_event_tells_the_defaults_of_the_model(model: str, voice: str, silence_ms: int) -> None:
    (created,) = Theatre(model).events
    assert created["type"] == "session.created"
    session = created["session"]
    assert session["model"] == model
    assert session["audio"]["output"]["voice"] == voice
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == silence_ms
    assert session["expires_at"] == 1_800_000_000 + 3600


def test_ids_have_the_recorded_forms() -> None:
    theatre = Theatre(thinks=[Call("get_weather", {})])
    theatre.update(tools=[WEATHER])
    theatre.say("weather?")
    theatre.send("response.create")
    call = theatre.last("response.function_call_arguments.done")
    for value, prefix, length in (
        (call["event_id"], "event_", 21),
        (call["item_id"], "item_", 21),
        (call["response_id"], "resp_", 21),
        (call["call_id"], "call_", 16),
        (theatre.last("response.done")["response"]["conversation_id"], "conv_", 21),
        (theatre.events[0]["session"]["id"], "sess_", 21),
    ):
        assert value.startswith(prefix)
        assert value.removeprefix(prefix).isalnum()
        assert len(value) == len(prefix) + length
    ids = [event["event_id"] for event in theatre.events]
    assert len(set(ids)) == len(ids)


def test_the_session_expires_with_an_error_and_a_close() -> None:
    theatre = Theatre()
    assert theatre.wait(3599.9) == []
    (expired,) = theatre.wait(1)
    assert expired["error"]["code"] == "session_expired"
    assert theatre.closed is not None
    assert (theatre.closed.code, theatre.closed.reason) == (1001, expired["error"]["message"])
    assert theatre.say("too late") == []


# ------------------------------------------------------------------ a turn


def test_text_in_sound_out_in_the_recorded_order() -> None:
    theatre = Theatre()
    assert [event["type"] for event in theatre.say("Hello.")] == ["conversation.item.added", "conversation.item.done"]
    answer = theatre.send("response.create")
    kinds = squeezed(answer)
    assert kinds[:5] == [*HEAD, "response.output_audio_transcript.delta"]
    assert kinds[-6:] == SPOKEN_TAIL
    assert set(kinds[4:-6]) == {"response.output_audio_transcript.delta", "response.output_audio.delta"}
    done = answer[-1]["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Nice to meet you."}]
    assert [event["type"] for event in theatre.wait(0.1)] == ["rate_limits.updated"]
    assert theatre.times[-1] - theatre.times[-2] == pytest.approx(0.030)


def test_text_in_text_out_in_the_recorded_order() -> None:
    theatre = Theatre(FIRST, thinks=[Text("Nice to meet you."), Text("How are you?")])
    theatre.update(output_modalities=["text"])
    theatre.say("Hello.")
    answer = theatre.send("response.create")
    assert squeezed(answer) == [
        *HEAD,
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    deltas = theatre.of("response.output_text.delta")
    assert "".join(event["delta"] for event in deltas) == "Nice to meet you. How are you?"
    assert theatre.last("response.output_text.done")["text"] == "Nice to meet you. How are you?"


def test_deltas_are_padded_to_sixteen_characters() -> None:
    theatre = Theatre()
    theatre.say("Hello.")
    theatre.send("response.create")
    deltas = [event for event in theatre.events if "delta" in event and "output_audio.delta" not in event["type"]]
    assert deltas
    assert all((len(event["delta"]) + len(event["obfuscation"])) % 16 == 0 for event in deltas)
    assert all("obfuscation" not in event for event in theatre.of("response.output_audio.delta"))


def test_push_to_talk_commits_without_answering() -> None:
    theatre = Theatre().push_to_talk()
    assert theatre.append(SPEECH) == []
    committed = theatre.send("input_audio_buffer.commit")
    assert [event["type"] for event in committed] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert committed[1]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert {event.get("item_id", event.get("item", {}).get("id")) for event in committed} == {committed[0]["item_id"]}
    assert squeezed(theatre.send("response.create"))[-6:] == SPOKEN_TAIL


def test_previous_item_ids_follow_the_conversation_with_the_recorded_quirk() -> None:
    theatre = Theatre()
    (first, _) = theatre.say("one")
    assert first["previous_item_id"] is None
    theatre.send("response.create")
    answer = theatre.of("conversation.item.added")[-1]
    assert answer["previous_item_id"] == first["item"]["id"]
    # Recorded: `done` names nobody when the item before is the conversation's first.
    assert theatre.of("conversation.item.done")[-1]["previous_item_id"] is None
    theatre.say("two")
    theatre.send("response.create")
    second, third = theatre.of("conversation.item.added")[-2:]
    assert second["previous_item_id"] == answer["item"]["id"]
    assert third["previous_item_id"] == second["item"]["id"]
    assert theatre.of("conversation.item.done")[-1]["previous_item_id"] == second["item"]["id"]


@pytest.mark.parametrize(("model", "size"), [(MINI, 19_200), (FIRST, 12_000)])
def test_sound_comes_in_deltas_of_the_recorded_size_and_a_rest(model: str, size: int) -> None:
    sound = SPEECH[:38_402]
    theatre = Theatre(model, says=sound)
    theatre.say("Hello.")
    theatre.send("response.create")
    pieces = [base64.b64decode(event["delta"]) for event in theatre.of("response.output_audio.delta")]
    assert b"".join(pieces) == sound
    assert {len(piece) for piece in pieces[:-1]} == {size}
    assert len(pieces[-1]) < size
    assert theatre.of("response.output_audio.delta")[-1]["delta"].endswith("=")


def test_the_transcript_starts_before_the_sound() -> None:
    theatre = Theatre()
    theatre.say("Hello.")
    theatre.send("response.create")
    kinds = [kind for kind in theatre.types if kind.endswith(("transcript.delta", "audio.delta"))]
    assert kinds[:4] == ["response.output_audio_transcript.delta"] * 3 + ["response.output_audio.delta"]


def test_sound_goes_out_at_the_pace_that_was_set() -> None:
    theatre = Theatre(FIRST, says=SPEECH * 3, options=Options(pace=2))
    theatre.say("Hello.")
    theatre.send("response.create")
    theatre.wait(5)
    times = [at for at, kind in zip(theatre.times, theatre.types, strict=True) if kind == "response.output_audio.delta"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([0.125] * len(gaps))  # 250 ms of sound each, twice as fast as it plays


def test_the_2_x_models_mark_their_phase_and_1_x_do_not() -> None:
    for model, expected in ((MINI, "final_answer"), (FIRST, None)):
        theatre = Theatre(model)
        theatre.say("Hello.")
        theatre.send("response.create")
        assert theatre.last("response.output_item.done")["item"].get("phase") == expected


def test_instructions_metadata_and_modalities_of_one_response() -> None:
    theatre = Theatre()
    theatre.say("Hello.")
    wanted = {"instructions": "Be brief.", "metadata": {"topic": "x"}, "output_modalities": ["text"]}
    answer = theatre.send("response.create", response=wanted)
    assert answer[0]["response"]["metadata"] == {"topic": "x"}
    assert answer[-1]["response"]["output_modalities"] == ["text"]
    think = next(asked for asked in theatre.asked if type(asked).__name__ == "Think")
    assert think.request.instructions == "Be brief."
    theatre.send("response.create")
    assert theatre.last("response.done")["response"]["output_modalities"] == ["audio"]


def test_the_brain_reads_what_the_ears_heard() -> None:
    theatre = Theatre(hears="what time is it", holds=["hear"]).push_to_talk()
    theatre.append(SPEECH)
    theatre.send("input_audio_buffer.commit")
    assert squeezed(theatre.send("response.create")) == ["response.created"]  # the ears are still at work
    assert "response.done" in squeezed(theatre.release())
    think = next(asked for asked in theatre.asked if type(asked).__name__ == "Think")
    assert think.request.items[0]["content"][0]["transcript"] == "what time is it"
    # What the brain reads is not shown: the item's own transcript stays null without transcription.
    assert theatre.of("conversation.item.added")[0]["item"]["content"][0]["transcript"] is None


# ------------------------------------------------------------------ one response at a time, cancelling


def test_only_one_response_writes_to_the_conversation() -> None:
    theatre = Theatre(holds=["speak"])
    theatre.say("Hello.")
    running = theatre.send("response.create")[0]["response"]["id"]
    (refused,) = theatre.send("response.create", event_id="mine")
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    assert running in refused["error"]["message"]
    assert refused["error"]["event_id"] == "mine"
    theatre.release()
    assert theatre.last("response.done")["response"]["id"] == running


def test_cancel_is_handled_while_the_response_runs() -> None:
    theatre = Theatre(FIRST, says=SPEECH * 4, options=Options(pace=1))
    theatre.say("Hello.")
    theatre.send("response.create")
    theatre.wait(1.1)
    tail = theatre.send("response.cancel")
    assert [event["type"] for event in tail] == SPOKEN_TAIL
    response = tail[-1]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_token_details"]["audio_tokens"] == 25  # 1.25 s at one per 50 ms, billed
    assert [event["type"] for event in theatre.wait(10)] == ["rate_limits.updated"]  # and nothing of it later
    (refused,) = theatre.send("response.cancel")
    assert refused["error"]["code"] == "response_cancel_not_active"


def test_cancelling_by_another_id_cancels_nothing() -> None:
    theatre = Theatre(holds=["speak"])
    theatre.say("Hello.")
    theatre.send("response.create")
    (refused,) = theatre.send("response.cancel", response_id="resp_other")
    assert refused["error"]["code"] == "response_cancel_not_active"
    theatre.release()
    assert theatre.last("response.done")["response"]["status"] == "completed"


def test_side_responses_run_beside_and_leave_the_conversation_alone() -> None:
    theatre = Theatre(holds=["speak"])
    theatre.say("Hello.")
    main = theatre.send("response.create")[0]["response"]["id"]
    aside = {
        "conversation": "none",
        "metadata": {"topic": "mood"},
        "output_modalities": ["text"],
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Judge."}]}],
    }
    side = theatre.send("response.create", response=aside)
    assert side[0]["response"]["conversation_id"] is None
    assert side[-1]["response"]["metadata"] == {"topic": "mood"}
    assert side[-1]["response"]["status"] == "completed"
    assert not [event for event in side if event["type"].startswith("conversation.")]
    theatre.release()
    assert theatre.last("response.done")["response"]["id"] == main


def test_a_side_response_can_be_cancelled_by_its_id_and_can_point_at_items() -> None:
    theatre = Theatre(holds=["speak"])
    item_id = theatre.say("Hello.")[0]["item"]["id"]
    wanted = {"conversation": "none", "input": [{"type": "item_reference", "id": item_id}]}
    side = theatre.send("response.create", response=wanted)[0]["response"]["id"]
    think = next(asked for asked in theatre.asked if type(asked).__name__ == "Think")
    assert [item["id"] for item in think.request.items] == [item_id]
    assert theatre.send("response.cancel", response_id=side)[-1]["response"]["status"] == "cancelled"
    wanted["input"] = [{"type": "item_reference", "id": "item_none"}]
    assert theatre.send("response.create", response=wanted)[0]["error"]["param"] == "response.input[0].id"


# ------------------------------------------------------------------ functions


def test_a_function_call_and_its_round() -> None:
    theatre = Theatre(FIRST, thinks=[Text("I will look."), Call("get_weather", {"city": "London"})])
    theatre.update(tools=[WEATHER], output_modalities=["text"])
    theatre.say("Weather?")
    assert squeezed(theatre.send("response.create")) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = theatre.last("response.function_call_arguments.done")
    assert (done["name"], json.loads(done["arguments"])) == ("get_weather", {"city": "London"})
    assert "\n" in done["arguments"]  # recorded on 1.x: JSON in odd whitespace
    written = "".join(event["delta"] for event in theatre.of("response.function_call_arguments.delta"))
    assert written == done["arguments"]
    theatre.thinks = [Text("Foggy.")]
    item = {"type": "function_call_output", "call_id": done["call_id"], "output": "fog"}
    added, _ = theatre.send("conversation.item.create", item=item)
    assert added["item"] == {"id": added["item"]["id"], **item}  # no status, recorded
    assert theatre.send("response.create")[-1]["response"]["status"] == "completed"


def test_2_x_speaks_beside_its_call_in_one_response() -> None:
    theatre = Theatre(MINI, thinks=[Text("I will look."), Call("get_weather", {"city": "London"})])
    theatre.update(tools=[WEATHER], output_modalities=["text"])
    theatre.say("Weather?")
    assert squeezed(theatre.send("response.create")) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    message, call = theatre.last("response.done")["response"]["output"]
    assert (message["phase"], call["arguments"]) == ("commentary", '{"city":"London"}')


def test_with_tools_only_the_first_sentence_waits_for_what_follows() -> None:
    theatre = Theatre(MINI, holds=["think", "speak"])
    theatre.update(tools=[WEATHER])
    theatre.say("Weather?")
    theatre.send("response.create")
    [think] = theatre.held

    def spoken_of() -> list[str]:
        return list(dict.fromkeys(asked.text for asked in theatre.asked if isinstance(asked, Speak)))

    def thinks(piece: Answer | None) -> None:
        theatre._take(theatre.script.thought(think.job, piece, theatre.now))

    thinks(Text("One."))
    assert spoken_of() == []  # a call may follow, and then this is commentary
    thinks(Text("Two."))
    assert spoken_of() == ["One."]
    assert theatre.last("response.output_item.added")["item"]["phase"] == "final_answer"
    theatre.release("speak")
    assert spoken_of() == ["One.", "Two."]  # though what comes third is not known yet
    thinks(None)
    assert theatre.last("response.done")["response"]["status"] == "completed"


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_a_mind_that_stops_before_its_end_leaves_an_incomplete_response(modality: str, reason: Any) -> None:
    theatre = Theatre(thinks=[Text("Half of it and"), Cut(reason)])
    theatre.update(output_modalities=[modality])
    theatre.say("Tell me all.")
    theatre.send("response.create")
    response = theatre.last("response.done")["response"]
    assert (response["status"], response["status_details"]) == ("incomplete", {"type": "incomplete", "reason": reason})
    [message] = response["output"]
    [part] = message["content"]
    assert (message["status"], part.get("transcript") or part["text"]) == ("incomplete", "Half of it and")
    if modality == "audio":  # all that was said can be heard
        sound = b"".join(base64.b64decode(event["delta"]) for event in theatre.of("response.output_audio.delta"))
        assert sound == SPEECH


def test_a_very_long_text_does_not_come_all_in_one_even_where_nothing_is_paced() -> None:
    text = "word " * 2_000 + "end."
    theatre = Theatre(thinks=[Text(text)], options=Options(pace=0))
    theatre.update(output_modalities=["text"])
    theatre.say("Tell me all.")
    at_once = theatre.send("response.create")
    assert 100 < len(at_once) < 500  # the others have their turn
    theatre.wait(1)
    assert theatre.last("response.done")["response"]["status"] == "completed"
    assert "".join(event["delta"] for event in theatre.of("response.output_text.delta")) == text


def test_several_calls_in_one_response_unless_parallel_calls_are_off() -> None:
    thinks = [Call("get_weather", {"city": "London"}), Call("get_weather", {"city": "Oslo"})]
    theatre = Theatre(thinks=thinks)
    theatre.update(tools=[WEATHER])
    theatre.say("Weather?")
    output = theatre.send("response.create")[-1]["response"]["output"]
    assert [json.loads(item["arguments"])["city"] for item in output] == ["London", "Oslo"]
    assert len({item["call_id"] for item in output}) == 2
    alone = theatre.send("response.create", response={"parallel_tool_calls": False})[-1]["response"]["output"]
    assert len(alone) == 1


def test_an_output_for_a_call_that_never_was_is_refused() -> None:
    item = {"type": "function_call_output", "call_id": "call_none", "output": "x"}
    (refused,) = Theatre().send("conversation.item.create", item=item)
    assert refused["error"]["code"] == "invalid_tool_call_id"


def test_mcp_servers_are_accepted_and_told_as_out_of_reach() -> None:
    theatre = Theatre()
    told = theatre.update(tools=[{"type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp"}])
    assert [event["type"] for event in told] == [
        "session.updated",
        "mcp_list_tools.in_progress",
        "conversation.item.added",
        "conversation.item.done",
        "mcp_list_tools.failed",
    ]


# ------------------------------------------------------------------ items


def test_items_go_where_the_client_says_under_the_ids_it_gives() -> None:
    theatre = Theatre()
    theatre.say("b", id="item_b")
    front = theatre.send(
        "conversation.item.create",
        previous_item_id="root",
        item={"id": "a", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}]},
    )
    assert (front[0]["item"]["id"], front[0]["previous_item_id"]) == ("a", None)
    content = [{"type": "output_text", "text": "between"}]
    item = {"type": "message", "role": "assistant", "content": content}
    between = theatre.send("conversation.item.create", previous_item_id="a", item=item)
    assert between[0]["previous_item_id"] == "a"
    theatre.send("response.create")
    think = next(asked for asked in theatre.asked if type(asked).__name__ == "Think")
    assert [item["role"] for item in think.request.items] == ["system", "assistant", "user"]
    assert theatre.say("again", id="item_b")[0]["error"]["param"] == "item.id"
    assert theatre.say("where?", id="c")[0]["item"]["id"] == "c"
    (refused,) = theatre.send("conversation.item.create", previous_item_id="item_none", item=item)
    assert refused["error"]["param"] == "previous_item_id"


def test_every_item_can_be_retrieved_and_sound_comes_with_it() -> None:
    theatre = Theatre(says=SPEECH).push_to_talk()
    theatre.append(SPEECH)
    spoken = theatre.send("input_audio_buffer.commit")[0]["item_id"]
    theatre.send("response.create")
    answer = theatre.last("response.done")["response"]["output"][0]["id"]
    (heard,) = theatre.send("conversation.item.retrieve", item_id=spoken)
    assert base64.b64decode(heard["item"]["content"][0]["audio"]) == SPEECH
    (said,) = theatre.send("conversation.item.retrieve", item_id=answer)
    assert base64.b64decode(said["item"]["content"][0]["audio"]) == SPEECH
    assert said["item"]["content"][0]["transcript"] == "Nice to meet you."
    text = theatre.say("text")[0]["item"]
    assert theatre.send("conversation.item.retrieve", item_id=text["id"])[0]["item"] == text


def test_truncation_cuts_the_sound_takes_the_words_and_checks_its_arguments() -> None:
    theatre = Theatre(says=SPEECH)
    user = theatre.say("Hello.")[0]["item"]["id"]
    theatre.send("response.create")
    item_id = theatre.last("response.done")["response"]["output"][0]["id"]

    def truncate(ms: Any, item: str = item_id, index: int = 0) -> dict[str, Any]:
        (answer,) = theatre.send("conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=ms)
        return answer

    assert truncate(1001)["error"]["message"] == "Audio content of 1000ms is already shorter than 1001ms"
    assert truncate(10.5)["error"]["message"] == (
        "Invalid type for 'audio_end_ms': expected an integer, but got a decimal number instead."
    )
    assert truncate(-11)["error"]["message"] == (
        "Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0, but got -11 instead."
    )
    assert truncate(5, "item_none")["error"]["code"] == "item_truncate_invalid_item_id"
    assert truncate(5, user)["error"]["message"] == "Only model output audio messages can be truncated"
    assert truncate(5, index=1)["error"]["param"] == "content_index"
    cut = truncate(400)
    assert (cut["type"], cut["audio_end_ms"], cut["content_index"]) == ("conversation.item.truncated", 400, 0)
    part = theatre.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert (part["transcript"], len(base64.b64decode(part["audio"]))) == ("", 400 * 48)
    assert truncate(401)["error"]["code"] == "invalid_value"


def test_an_answer_can_be_truncated_while_it_is_being_said() -> None:
    theatre = Theatre(FIRST, says=SPEECH * 4, options=Options(pace=1))
    theatre.say("Hello.")
    theatre.send("response.create")
    theatre.wait(1)
    item_id = theatre.last("response.output_item.added")["item"]["id"]
    (cut,) = theatre.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
    assert cut["type"] == "conversation.item.truncated"
    theatre.wait(10)
    part = theatre.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert (part["transcript"], len(base64.b64decode(part["audio"]))) == ("", 500 * 48)


def test_items_are_deleted_and_then_unknown() -> None:
    theatre = Theatre()
    item_id = theatre.say("Hello.")[0]["item"]["id"]
    assert theatre.send("conversation.item.delete", item_id=item_id)[0]["type"] == "conversation.item.deleted"
    for doing in ("delete", "retrieve"):
        (refused,) = theatre.send(f"conversation.item.{doing}", item_id=item_id)
        assert refused["error"]["code"] == f"item_{doing}_invalid_item_id"


def test_pictures_are_taken_and_counted() -> None:
    theatre = Theatre()
    content = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    added, _ = theatre.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert added["item"]["content"][0]["detail"] == "auto"
    usage = theatre.send("response.create")[-1]["response"]["usage"]
    assert usage["input_token_details"]["image_tokens"] > 0
    content = [{"type": "input_image", "image_url": "https://example.org/cat.png"}]
    (refused,) = theatre.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert refused["error"]["param"] == "item.content[0].image_url"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "poem"}, "invalid_value", "item.type"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user", "content": [{"type": "text"}]}, "invalid_value", "item.content[0].type"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": "AAAA"}]},
            "missing_required_parameter",  # reported: replayed assistant sound is asked for its text
            "item.content[0].text",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "!"}]},
            "invalid_value",
            "item.content[0].audio",
        ),
        ({"type": "message", "role": "user", "content": [], "mood": 1}, "unknown_parameter", "item.mood"),
        ("hello", "invalid_type", "item"),
    ],
)
def test_bad_items_are_refused_by_field(item: Any, code: str, param: str) -> None:
    (refused,) = Theatre().send("conversation.item.create", item=item)
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)


# ------------------------------------------------------------------ transcription of what was heard


def test_transcription_events_come_where_they_were_asked_for() -> None:
    theatre = Theatre(hears="hello there").push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    theatre.append(SPEECH)
    item_id = theatre.send("input_audio_buffer.commit")[0]["item_id"]
    deltas = theatre.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in deltas) == "hello there"
    done = theatre.last("conversation.item.input_audio_transcription.completed")
    assert (done["item_id"], done["transcript"]) == (item_id, "hello there")
    assert done["usage"]["input_token_details"] == {"text_tokens": 0, "audio_tokens": 10}
    (retrieved,) = theatre.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"][0]["transcript"] == "hello there"


def test_streaming_models_tell_words_while_the_user_speaks() -> None:
    theatre = Theatre(hears="hello there friend", partly=["hello", "hello there"]).push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    theatre.append(SPEECH)
    early = theatre.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in early) == "hello there"
    item_id = theatre.send("input_audio_buffer.commit")[0]["item_id"]
    assert {event["item_id"] for event in early} == {item_id}
    every = theatre.of("conversation.item.input_audio_transcription.delta")
    assert "".join(event["delta"] for event in every) == "hello there friend"
    usage = theatre.last("conversation.item.input_audio_transcription.completed")["usage"]
    assert usage == {"type": "duration", "seconds": 1}


def test_words_taken_back_are_left_to_the_final_transcript() -> None:
    theatre = Theatre(hears="yellow hair", partly=["hello", "yellow"]).push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    theatre.append(SPEECH)
    theatre.send("input_audio_buffer.commit")
    deltas = theatre.of("conversation.item.input_audio_transcription.delta")
    assert [event["delta"] for event in deltas] == ["hello"]
    assert theatre.last("conversation.item.input_audio_transcription.completed")["transcript"] == "yellow hair"


def test_a_streaming_recogniser_that_breaks_is_replaced_at_the_commit() -> None:
    theatre = Theatre(holds=["listen"]).push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    theatre.append(SPEECH[:9_600])
    listen = next(asked for asked in theatre.asked if type(asked).__name__ == "Listen")
    assert theatre.script.heard(listen.job, RuntimeError("broken"), theatre.now) == []
    theatre.send("input_audio_buffer.commit")
    assert theatre.last("conversation.item.input_audio_transcription.completed")["transcript"] == "hello there"


@pytest.mark.parametrize(
    ("sentences", "whole"),
    [
        (["One.", "Two."], "One. Two."),
        (["今天很冷。", "明天下雨。"], "今天很冷。明天下雨。"),
        (["First:", "\n- this"], "First:\n- this"),
    ],
)
def test_sentences_follow_each_other_as_their_script_has_it(sentences: list[str], whole: str) -> None:
    theatre = Theatre(thinks=map(Text, sentences))
    theatre.update(output_modalities=["text"])
    theatre.say("Go on.")
    theatre.send("response.create")
    assert theatre.last("response.output_text.done")["text"] == whole


def test_the_model_that_tells_speakers_apart_says_who_said_what() -> None:
    theatre = Theatre(kind="transcription", hears="Good morning Morning")
    model = {"model": "gpt-4o-transcribe-diarize"}
    session = {"type": "transcription", "audio": {"input": {"transcription": model, "turn_detection": None}}}
    theatre.send("session.update", session=session)
    theatre.append(SPEECH)
    theatre.send("input_audio_buffer.commit")
    told = [event for event in theatre.events if "input_audio_transcription" in event["type"]]
    kinds = [event["type"].rpartition(".")[2] for event in told]
    assert kinds == ["delta", "segment", "delta", "segment", "delta", "segment", "completed"]
    first = told[1]
    assert {name: first[name] for name in ("text", "speaker", "start", "end", "content_index")} == {
        "text": "Good",
        "speaker": "A",
        "start": 0.0,
        "end": 0.4,
        "content_index": 0,
    }
    assert first["id"].startswith("seg_")
    assert "".join(event["delta"] for event in told if "delta" in event) == told[-1]["transcript"]


LOGPROBS = ["item.input_audio_transcription.logprobs"]


def test_log_probabilities_come_where_they_are_asked_for_and_the_model_has_them() -> None:
    theatre = Theatre(hears="hello, unbelievable friend").push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}, include=LOGPROBS)
    theatre.append(SPEECH)
    theatre.send("input_audio_buffer.commit")
    completed = theatre.last("conversation.item.input_audio_transcription.completed")
    tokens = [entry["token"] for entry in completed["logprobs"]]
    assert tokens == ["hello", ",", " unbelievab", "le", " friend"]
    deltas = theatre.of("conversation.item.input_audio_transcription.delta")
    assert [event["logprobs"] for event in deltas] == [[entry] for entry in completed["logprobs"]]
    assert [bytes(entry["bytes"]).decode() for entry in completed["logprobs"]] == tokens
    # The theatre is 50 % sure of each word, in however many tokens it comes.
    words = [completed["logprobs"][:2], completed["logprobs"][2:4], completed["logprobs"][4:]]
    assert [sum(entry["logprob"] for entry in word) for word in words] == pytest.approx([math.log(0.5)] * 3, abs=1e-5)


@pytest.mark.parametrize(("model", "include"), [("whisper-1", LOGPROBS), ("gpt-4o-transcribe", None)])
def test_else_there_are_no_log_probabilities(model: str, include: list[str] | None) -> None:
    theatre = Theatre().push_to_talk()
    theatre.update(audio={"input": {"transcription": {"model": model}}}, include=include)
    theatre.append(SPEECH)
    theatre.send("input_audio_buffer.commit")
    told = [event for event in theatre.events if "input_audio_transcription" in event["type"]]
    assert told
    assert not any("logprobs" in event for event in told)


def test_a_transcription_session_transcribes_and_never_answers() -> None:
    theatre = Theatre(kind="transcription")
    session = theatre.events[0]["session"]
    assert session["object"] == "realtime.transcription_session"
    assert "model" not in session
    assert set(session["audio"]) == {"input"}
    sound = {"input": {"transcription": {"model": "whisper-1"}}}
    theatre.send("session.update", session={"type": "transcription", "audio": sound})
    theatre.append(SPEECH + bytes(96_000))
    assert theatre.last("conversation.item.input_audio_transcription.completed")["transcript"] == "hello there"
    theatre.wait(5)
    assert not [kind for kind in theatre.types if kind.startswith(("response.", "rate_limits"))]
    assert theatre.send("response.create")[0]["type"] == "error"


# ------------------------------------------------------------------ limits and failures


def test_max_output_tokens_leave_the_response_incomplete() -> None:
    theatre = Theatre(says=SPEECH * 5)
    theatre.say("Hello.")
    done = theatre.send("response.create", response={"max_output_tokens": 25})[-1]["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"
    sound = b"".join(base64.b64decode(event["delta"]) for event in theatre.of("response.output_audio.delta"))
    assert 0 < len(sound) <= 25 * 50 * 48
    theatre.update(output_modalities=["text"])
    done = theatre.send("response.create", response={"max_output_tokens": 2})[-1]["response"]
    assert done["status"] == "incomplete"
    assert len(theatre.last("response.output_text.done")["text"].split()) == 2


def test_a_failed_response_has_no_output_and_a_usage_of_zeros() -> None:
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota."}
    theatre = Theatre(options=Options(pace=0, failure=error, failing=2))
    theatre.say("Hello.")
    assert theatre.send("response.create")[-1]["response"]["status"] == "completed"
    theatre.send("response.create")
    theatre.wait(0.01)
    failed = theatre.last("response.done")["response"]
    assert (failed["status"], failed["output"], failed["usage"]["total_tokens"]) == ("failed", [], 0)
    assert failed["status_details"] == {"type": "failed", "error": error}
    assert theatre.send("response.create")[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("failing", [{"thinks": [RuntimeError("no mind")]}, {"says": RuntimeError("no voice")}])
def test_an_engine_that_breaks_fails_the_response_and_not_the_session(failing: dict[str, Any]) -> None:
    theatre = Theatre(**failing)
    theatre.say("Hello.")
    done = theatre.send("response.create")[-1]["response"]
    assert (done["status"], done["status_details"]["error"]["type"]) == ("failed", "server_error")
    theatre.thinks, theatre.says = [Text("Better now.")], SPEECH
    assert theatre.send("response.create")[-1]["response"]["status"] == "completed"


def test_a_conversation_too_long_is_cut_or_refused_as_the_session_says() -> None:
    theatre = Theatre(FIRST)
    theatre.update(output_modalities=["text"])
    theatre.say("word " * 33_000)
    theatre.say("What was last?")
    theatre.send("response.create")
    think = next(asked for asked in theatre.asked if type(asked).__name__ == "Think")
    assert len(think.request.items) == 1
    theatre.update(truncation="disabled")
    done = theatre.send("response.create")[-1]["response"]
    assert done["status_details"]["error"]["code"] == "context_length_exceeded"


def test_the_buffer_is_bounded() -> None:
    theatre = Theatre(options=Options(pace=0, buffer_bytes=100_000)).push_to_talk()
    assert theatre.append(SPEECH * 2) == []
    (refused,) = theatre.send("input_audio_buffer.append", audio=b64(SPEECH))
    assert refused["error"]["code"] == "input_audio_buffer_full"
    assert theatre.send("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    assert theatre.append(SPEECH) == []


# ------------------------------------------------------------------ what is no good


@pytest.mark.parametrize(
    ("frame", "code", "param", "words"),
    [
        (b"\x00\x01", "invalid_event", None, "Expected a text WebSocket message; binary frames are not supported."),
        ("{nonsense", "invalid_json", None, "Invalid event: failed to parse JSON value."),
        ("[1]", "invalid_event", None, "expected a JSON object"),
        ("{}", "missing_required_parameter", "type", "Missing required parameter: 'type'."),
        (
            '{"type": "nope"}',
            "invalid_value",
            "type",
            "Invalid value: 'nope'. Supported values are: 'session.update', ",
        ),
        ('{"type": ["x"]}', "invalid_value", "type", "Invalid value"),
        ('{"type": "transcription_session.update"}', "invalid_value", "type", "and 'response.cancel'."),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value", "type", "Supported values are"),
        (
            '{"type": "response.create", "response": {"modalities": ["text"]}}',
            "unknown_parameter",
            "response.modalities",
            "",
        ),
        ('{"type": "response.create", "response": {"max_output_tokens": 5000}}', "integer_above_max_value", None, ""),
        ('{"type": "response.create", "response": {"metadata": {"a": 1}}}', "invalid_type", "response.metadata.a", ""),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio", ""),
        ('{"type": "input_audio_buffer.append", "audio": "no base64!"}', "invalid_value", "audio", "invalid value"),
        ('{"type": "input_audio_buffer.append", "audio": ""}', "invalid_value", "audio", "empty bytes"),
        ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_type", "audio", ""),
        ('{"type": "conversation.item.truncate", "item_id": "x"}', "missing_required_parameter", "content_index", ""),
    ],
)
def test_bad_events_get_one_error_and_the_session_goes_on(
    frame: str | bytes, code: str, param: str | None, words: str
) -> None:
    theatre = Theatre()
    (refused,) = theatre.frame(frame)
    error = refused["error"]
    assert (refused["type"], error["type"], error["code"]) == ("error", "invalid_request_error", code)
    assert error["param"] == (param or error["param"])
    assert words in error["message"]
    assert error["event_id"] is None
    theatre.say("Still there?")
    assert theatre.send("response.create")[-1]["response"]["status"] == "completed"


def test_the_error_names_the_clients_own_event() -> None:
    (refused,) = Theatre().send("nope", event_id="my_event")
    assert refused["error"]["event_id"] == "my_event"
    assert refused["event_id"] != "my_event"


@pytest.mark.parametrize(("sound", "ms"), [(b"", "0.00"), (bytes(4_798), "99.96")])
def test_a_commit_needs_a_tenth_of_a_second(sound: bytes, ms: str) -> None:
    theatre = Theatre().push_to_talk()
    theatre.append(sound)
    (refused,) = theatre.send("input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    assert f"buffer only has {ms}ms of audio" in refused["error"]["message"]
    assert refused["error"]["param"] is None
    theatre.append(SILENCE[: 4_800 - len(sound)])
    assert theatre.send("input_audio_buffer.commit")[0]["type"] == "input_audio_buffer.committed"


_MIB_15 = 15 * 1024 * 1024


@pytest.mark.parametrize("own_id", [{}, {"event_id": "my_append"}], ids=["without an id", "with an id"])
def test_an_append_holds_up_to_15_mib(own_id: dict[str, str]) -> None:
    theatre = Theatre().push_to_talk()
    for size in (1_048_576, _MIB_15):
        assert theatre.send("input_audio_buffer.append", audio=b64(bytes(size)), **own_id) == []
    (refused,) = theatre.send("input_audio_buffer.append", audio=b64(bytes(_MIB_15 + 2)), **own_id)
    assert refused["error"]["code"] == "string_above_max_length"
    assert refused["error"]["event_id"] == own_id.get("event_id")
    theatre.send("input_audio_buffer.commit")
    assert len(theatre.asked[-1].pcm) == 1_048_576 + _MIB_15
