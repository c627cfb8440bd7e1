"""The practice server's protocol, as dialogue: what a client sends and what comes back, in the recorded order."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from practice_harness import FIRST, MINI, SILENCE, SPEECH, Harness, b64, squeezed

from rtnb.server.protocol.effects import Respond, Speak
from rtnb.server.protocol.requests import Answer, Call, Cut, Text
from rtnb.server.protocol.session import Options

HEAD = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
SPOKEN_TAIL = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": CITY}


# ------------------------------------------------------------------ the session


@pytest.mark.parametrize(("model", "voice", "silence_ms"), [(MINI, "marin", 500), (FIRST, "alloy", 200)])
def test_the_first_event_has_the_defaults_of_the_model(model: str, voice: str, silence_ms: int) -> None:
    (created,) = Harness(model).events
    assert created["type"] == "session.created"
    session = created["session"]
    assert session["model"] == model
    assert session["audio"]["output"]["voice"] == voice
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == silence_ms
    assert session["expires_at"] == 1_800_000_000 + 3600


def test_ids_have_the_recorded_forms() -> None:
    harness = Harness(answers=[Call("get_weather", {})])
    harness.update(tools=[WEATHER])
    harness.say("weather?")
    harness.send("response.create")
    call = harness.last("response.function_call_arguments.done")
    for value, prefix, length in (
        (call["event_id"], "event_", 21),
        (call["item_id"], "item_", 21),
        (call["response_id"], "resp_", 21),
        (call["call_id"], "call_", 16),
        (harness.last("response.done")["response"]["conversation_id"], "conv_", 21),
        (harness.events[0]["session"]["id"], "sess_", 21),
    ):
        assert value.startswith(prefix)
        assert value.removeprefix(prefix).isalnum()
        assert len(value) == len(prefix) + length
    ids = [event["event_id"] for event in harness.events]
    assert len(set(ids)) == len(ids)


def test_the_session_expires_with_an_error_and_a_close() -> None:
    harness = Harness()
    assert harness.wait(3599.9) == []
    (expired,) = harness.wait(1)
    assert expired["error"]["code"] == "session_expired"
    assert harness.closed is not None
    assert (harness.closed.code, harness.closed.reason) == (1001, expired["error"]["message"])
    assert harness.say("too late") == []


# ------------------------------------------------------------------ a turn


def test_text_in_audio_out_in_the_recorded_order() -> None:
    harness = Harness()
    assert [event["type"] for event in harness.say("Hello.")] == ["conversation.item.added", "conversation.item.done"]
    answer = harness.send("response.create")
    kinds = squeezed(answer)
    assert kinds[:5] == [*HEAD, "response.output_audio_transcript.delta"]
    assert kinds[-6:] == SPOKEN_TAIL
    assert set(kinds[4:-6]) == {"response.output_audio_transcript.delta", "response.output_audio.delta"}
    done = answer[-1]["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Nice to meet you."}]
    assert [event["type"] for event in harness.wait(0.1)] == ["rate_limits.updated"]
    assert harness.times[-1] - harness.times[-2] == pytest.approx(0.030)


def test_text_in_text_out_in_the_recorded_order() -> None:
    harness = Harness(FIRST, answers=[Text("Nice to meet you."), Text("How are you?")])
    harness.update(output_modalities=["text"])
    harness.say("Hello.")
    answer = harness.send("response.create")
    assert squeezed(answer) == [
        *HEAD,
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    deltas = harness.of("response.output_text.delta")
    assert "".join(event["delta"] for event in deltas) == "Nice to meet you. How are you?"
    assert harness.last("response.output_text.done")["text"] == "Nice to meet you. How are you?"


def test_deltas_are_padded_to_sixteen_characters() -> None:
    harness = Harness()
    harness.say("Hello.")
    harness.send("response.create")
    deltas = [event for event in harness.events if "delta" in event and "output_audio.delta" not in event["type"]]
    assert deltas
    assert all((len(event["delta"]) + len(event["obfuscation"])) % 16 == 0 for event in deltas)
    assert all("obfuscation" not in event for event in harness.of("response.output_audio.delta"))


def test_push_to_talk_commits_without_answering() -> None:
    harness = Harness().push_to_talk()
    assert harness.append(SPEECH) == []
    committed = harness.send("input_audio_buffer.commit")
    assert [event["type"] for event in committed] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert committed[1]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert {event.get("item_id", event.get("item", {}).get("id")) for event in committed} == {committed[0]["item_id"]}
    assert squeezed(harness.send("response.create"))[-6:] == SPOKEN_TAIL


def test_previous_item_ids_follow_the_conversation_with_the_recorded_quirk() -> None:
    harness = Harness()
    (first, _) = harness.say("one")
    assert first["previous_item_id"] is None
    harness.send("response.create")
    answer = harness.of("conversation.item.added")[-1]
    assert answer["previous_item_id"] == first["item"]["id"]
    # Recorded: `done` names no item when the item before is the conversation's first.
    assert harness.of("conversation.item.done")[-1]["previous_item_id"] is None
    harness.say("two")
    harness.send("response.create")
    second, third = harness.of("conversation.item.added")[-2:]
    assert second["previous_item_id"] == answer["item"]["id"]
    assert third["previous_item_id"] == second["item"]["id"]
    assert harness.of("conversation.item.done")[-1]["previous_item_id"] == second["item"]["id"]


@pytest.mark.parametrize(("model", "size"), [(MINI, 19_200), (FIRST, 12_000)])
def test_audio_comes_in_deltas_of_the_recorded_size_and_a_rest(model: str, size: int) -> None:
    audio = SPEECH[:38_402]
    harness = Harness(model, speech=audio)
    harness.say("Hello.")
    harness.send("response.create")
    pieces = [base64.b64decode(event["delta"]) for event in harness.of("response.output_audio.delta")]
    assert b"".join(pieces) == audio
    assert {len(piece) for piece in pieces[:-1]} == {size}
    assert len(pieces[-1]) < size
    assert harness.of("response.output_audio.delta")[-1]["delta"].endswith("=")


def test_the_transcript_starts_before_the_audio() -> None:
    harness = Harness()
    harness.say("Hello.")
    harness.send("response.create")
    kinds = [kind for kind in harness.types if kind.endswith(("transcript.delta", "audio.delta"))]
    assert kinds[:4] == ["response.output_audio_transcript.delta"] * 3 + ["response.output_audio.delta"]


def test_audio_is_sent_at_the_pace_that_was_set() -> None:
    harness = Harness(FIRST, speech=SPEECH * 3, options=Options(pace=2))
    harness.say("Hello.")
    harness.send("response.create")
    harness.wait(5)
    times = [at for at, kind in zip(harness.times, harness.types, strict=True) if kind == "response.output_audio.delta"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([0.125] * len(gaps))  # 250 ms of audio each, twice as fast as it plays


def test_the_2_x_models_mark_their_phase_and_1_x_do_not() -> None:
    for model, expected in ((MINI, "final_answer"), (FIRST, None)):
        harness = Harness(model)
        harness.say("Hello.")
        harness.send("response.create")
        assert harness.last("response.output_item.done")["item"].get("phase") == expected


def test_instructions_metadata_and_modalities_of_one_response() -> None:
    harness = Harness()
    harness.say("Hello.")
    wanted = {"instructions": "Be brief.", "metadata": {"topic": "x"}, "output_modalities": ["text"]}
    answer = harness.send("response.create", response=wanted)
    assert answer[0]["response"]["metadata"] == {"topic": "x"}
    assert answer[-1]["response"]["output_modalities"] == ["text"]
    respond = harness.effect(Respond)
    assert respond.request.instructions == "Be brief."
    harness.send("response.create")
    assert harness.last("response.done")["response"]["output_modalities"] == ["audio"]


def test_the_responder_reads_the_transcripts() -> None:
    harness = Harness(transcript="what time is it", holds=["transcribestream"]).push_to_talk()
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    assert squeezed(harness.send("response.create")) == ["response.created"]  # the ASR is still at work
    assert "response.done" in squeezed(harness.release())
    respond = harness.effect(Respond)
    assert respond.request.items[0]["content"][0]["transcript"] == "what time is it"
    # The words that the responder reads are not shown: the item's own transcript stays null without transcription.
    assert harness.of("conversation.item.added")[0]["item"]["content"][0]["transcript"] is None


# ------------------------------------------------------------------ one response at a time, cancelling


def test_only_one_response_writes_to_the_conversation() -> None:
    harness = Harness(holds=["speak"])
    harness.say("Hello.")
    running = harness.send("response.create")[0]["response"]["id"]
    (refused,) = harness.send("response.create", event_id="mine")
    assert refused["error"]["code"] == "conversation_already_has_active_response"
    assert running in refused["error"]["message"]
    assert refused["error"]["event_id"] == "mine"
    harness.release()
    assert harness.last("response.done")["response"]["id"] == running


def test_cancel_is_handled_while_the_response_runs() -> None:
    harness = Harness(FIRST, speech=SPEECH * 4, options=Options(pace=1))
    harness.say("Hello.")
    harness.send("response.create")
    harness.wait(1.1)
    tail = harness.send("response.cancel")
    assert [event["type"] for event in tail] == SPOKEN_TAIL
    response = tail[-1]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_token_details"]["audio_tokens"] == 25  # 1.25 s at one per 50 ms, billed
    assert [event["type"] for event in harness.wait(10)] == ["rate_limits.updated"]  # and nothing of it later
    (refused,) = harness.send("response.cancel")
    assert refused["error"]["code"] == "response_cancel_not_active"


def test_cancelling_by_another_id_cancels_nothing() -> None:
    harness = Harness(holds=["speak"])
    harness.say("Hello.")
    harness.send("response.create")
    (refused,) = harness.send("response.cancel", response_id="resp_other")
    assert refused["error"]["code"] == "response_cancel_not_active"
    harness.release()
    assert harness.last("response.done")["response"]["status"] == "completed"


def test_side_responses_run_beside_and_leave_the_conversation_alone() -> None:
    harness = Harness(holds=["speak"])
    harness.say("Hello.")
    main = harness.send("response.create")[0]["response"]["id"]
    aside = {
        "conversation": "none",
        "metadata": {"topic": "mood"},
        "output_modalities": ["text"],
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Judge."}]}],
    }
    side = harness.send("response.create", response=aside)
    assert side[0]["response"]["conversation_id"] is None
    assert side[-1]["response"]["metadata"] == {"topic": "mood"}
    assert side[-1]["response"]["status"] == "completed"
    assert not [event for event in side if event["type"].startswith("conversation.")]
    harness.release()
    assert harness.last("response.done")["response"]["id"] == main


def test_a_side_response_can_be_cancelled_by_its_id_and_can_point_at_items() -> None:
    harness = Harness(holds=["speak"])
    item_id = harness.say("Hello.")[0]["item"]["id"]
    wanted = {"conversation": "none", "input": [{"type": "item_reference", "id": item_id}]}
    side = harness.send("response.create", response=wanted)[0]["response"]["id"]
    respond = harness.effect(Respond)
    assert [item["id"] for item in respond.request.items] == [item_id]
    assert harness.send("response.cancel", response_id=side)[-1]["response"]["status"] == "cancelled"
    wanted["input"] = [{"type": "item_reference", "id": "item_none"}]
    assert harness.send("response.create", response=wanted)[0]["error"]["param"] == "response.input[0].id"


# ------------------------------------------------------------------ functions


def test_a_function_call_and_its_round() -> None:
    harness = Harness(FIRST, answers=[Text("I will look."), Call("get_weather", {"city": "London"})])
    harness.update(tools=[WEATHER], output_modalities=["text"])
    harness.say("Weather?")
    assert squeezed(harness.send("response.create")) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = harness.last("response.function_call_arguments.done")
    assert (done["name"], json.loads(done["arguments"])) == ("get_weather", {"city": "London"})
    assert "\n" in done["arguments"]  # recorded on 1.x: JSON in odd whitespace
    written = "".join(event["delta"] for event in harness.of("response.function_call_arguments.delta"))
    assert written == done["arguments"]
    harness.answers = [Text("Foggy.")]
    item = {"type": "function_call_output", "call_id": done["call_id"], "output": "fog"}
    added, _ = harness.send("conversation.item.create", item=item)
    assert added["item"] == {"id": added["item"]["id"], **item}  # no status, recorded
    assert harness.send("response.create")[-1]["response"]["status"] == "completed"


def test_2_x_speaks_beside_its_call_in_one_response() -> None:
    harness = Harness(MINI, answers=[Text("I will look."), Call("get_weather", {"city": "London"})])
    harness.update(tools=[WEATHER], output_modalities=["text"])
    harness.say("Weather?")
    assert squeezed(harness.send("response.create")) == [
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
    message, call = harness.last("response.done")["response"]["output"]
    assert (message["phase"], call["arguments"]) == ("commentary", '{"city":"London"}')


def test_with_tools_only_the_first_sentence_waits_for_what_follows() -> None:
    harness = Harness(MINI, holds=["respond", "speak"])
    harness.update(tools=[WEATHER])
    harness.say("Weather?")
    harness.send("response.create")
    [respond] = harness.held

    def spoken_of() -> list[str]:
        return list(dict.fromkeys(asked.text for asked in harness.effects if isinstance(asked, Speak)))

    def answer(piece: Answer | None) -> None:
        harness._take(harness.session.take(harness.now, harness.session.responded, respond.job, piece))

    answer(Text("One."))
    assert spoken_of() == []  # a call may follow, and then this is commentary
    answer(Text("Two."))
    assert spoken_of() == ["One."]
    assert harness.last("response.output_item.added")["item"]["phase"] == "final_answer"
    harness.release("speak")
    assert spoken_of() == ["One.", "Two."]  # though what comes third is not known yet
    answer(None)
    assert harness.last("response.done")["response"]["status"] == "completed"


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_answer_that_stops_before_its_end_leaves_an_incomplete_response(modality: str, reason: Any) -> None:
    harness = Harness(answers=[Text("Half of it and"), Cut(reason)])
    harness.update(output_modalities=[modality])
    harness.say("Tell me all.")
    harness.send("response.create")
    response = harness.last("response.done")["response"]
    assert (response["status"], response["status_details"]) == ("incomplete", {"type": "incomplete", "reason": reason})
    [message] = response["output"]
    [part] = message["content"]
    assert (message["status"], part.get("transcript") or part["text"]) == ("incomplete", "Half of it and")
    if modality == "audio":  # all audio that was sent counts
        audio = b"".join(base64.b64decode(event["delta"]) for event in harness.of("response.output_audio.delta"))
        assert audio == SPEECH


def test_a_very_long_text_does_not_come_all_in_one_even_where_nothing_is_paced() -> None:
    text = "word " * 2_000 + "end."
    harness = Harness(answers=[Text(text)], options=Options(pace=0))
    harness.update(output_modalities=["text"])
    harness.say("Tell me all.")
    at_once = harness.send("response.create")
    assert 100 < len(at_once) < 500  # the others have their turn
    harness.wait(1)
    assert harness.last("response.done")["response"]["status"] == "completed"
    assert "".join(event["delta"] for event in harness.of("response.output_text.delta")) == text


def test_several_calls_in_one_response_unless_parallel_calls_are_off() -> None:
    answers = [Call("get_weather", {"city": "London"}), Call("get_weather", {"city": "Oslo"})]
    harness = Harness(answers=answers)
    harness.update(tools=[WEATHER])
    harness.say("Weather?")
    output = harness.send("response.create")[-1]["response"]["output"]
    assert [json.loads(item["arguments"])["city"] for item in output] == ["London", "Oslo"]
    assert len({item["call_id"] for item in output}) == 2
    alone = harness.send("response.create", response={"parallel_tool_calls": False})[-1]["response"]["output"]
    assert len(alone) == 1


def test_an_output_for_a_call_that_never_was_is_refused() -> None:
    item = {"type": "function_call_output", "call_id": "call_none", "output": "x"}
    (refused,) = Harness().send("conversation.item.create", item=item)
    assert refused["error"]["code"] == "invalid_tool_call_id"


def test_mcp_servers_are_accepted_and_reported_as_out_of_reach() -> None:
    harness = Harness()
    sent = harness.update(tools=[{"type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp"}])
    assert [event["type"] for event in sent] == [
        "session.updated",
        "mcp_list_tools.in_progress",
        "conversation.item.added",
        "conversation.item.done",
        "mcp_list_tools.failed",
    ]


# ------------------------------------------------------------------ items


def test_items_go_where_the_client_says_under_the_ids_it_gives() -> None:
    harness = Harness()
    harness.say("b", id="item_b")
    front = harness.send(
        "conversation.item.create",
        previous_item_id="root",
        item={"id": "a", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}]},
    )
    assert (front[0]["item"]["id"], front[0]["previous_item_id"]) == ("a", None)
    content = [{"type": "output_text", "text": "between"}]
    item = {"type": "message", "role": "assistant", "content": content}
    between = harness.send("conversation.item.create", previous_item_id="a", item=item)
    assert between[0]["previous_item_id"] == "a"
    harness.send("response.create")
    respond = harness.effect(Respond)
    assert [item["role"] for item in respond.request.items] == ["system", "assistant", "user"]
    assert harness.say("again", id="item_b")[0]["error"]["param"] == "item.id"
    assert harness.say("where?", id="c")[0]["item"]["id"] == "c"
    (refused,) = harness.send("conversation.item.create", previous_item_id="item_none", item=item)
    assert refused["error"]["param"] == "previous_item_id"


def test_every_item_can_be_retrieved_and_audio_comes_with_it() -> None:
    harness = Harness(speech=SPEECH).push_to_talk()
    harness.append(SPEECH)
    spoken = harness.send("input_audio_buffer.commit")[0]["item_id"]
    harness.send("response.create")
    answer = harness.last("response.done")["response"]["output"][0]["id"]
    (heard,) = harness.send("conversation.item.retrieve", item_id=spoken)
    assert base64.b64decode(heard["item"]["content"][0]["audio"]) == SPEECH
    (said,) = harness.send("conversation.item.retrieve", item_id=answer)
    assert base64.b64decode(said["item"]["content"][0]["audio"]) == SPEECH
    assert said["item"]["content"][0]["transcript"] == "Nice to meet you."
    text = harness.say("text")[0]["item"]
    assert harness.send("conversation.item.retrieve", item_id=text["id"])[0]["item"] == text


def test_truncation_cuts_the_audio_takes_the_words_and_checks_its_arguments() -> None:
    harness = Harness(speech=SPEECH)
    user = harness.say("Hello.")[0]["item"]["id"]
    harness.send("response.create")
    item_id = harness.last("response.done")["response"]["output"][0]["id"]

    def truncate(ms: Any, item: str = item_id, index: int = 0) -> dict[str, Any]:
        (answer,) = harness.send("conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=ms)
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
    part = harness.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert (part["transcript"], len(base64.b64decode(part["audio"]))) == ("", 400 * 48)
    assert truncate(401)["error"]["code"] == "invalid_value"


def test_an_answer_can_be_truncated_while_it_is_being_said() -> None:
    harness = Harness(FIRST, speech=SPEECH * 4, options=Options(pace=1))
    harness.say("Hello.")
    harness.send("response.create")
    harness.wait(1)
    item_id = harness.last("response.output_item.added")["item"]["id"]
    (cut,) = harness.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
    assert cut["type"] == "conversation.item.truncated"
    harness.wait(10)
    part = harness.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert (part["transcript"], len(base64.b64decode(part["audio"]))) == ("", 500 * 48)


def test_items_are_deleted_and_then_unknown() -> None:
    harness = Harness()
    item_id = harness.say("Hello.")[0]["item"]["id"]
    assert harness.send("conversation.item.delete", item_id=item_id)[0]["type"] == "conversation.item.deleted"
    for doing in ("delete", "retrieve"):
        (refused,) = harness.send(f"conversation.item.{doing}", item_id=item_id)
        assert refused["error"]["code"] == f"item_{doing}_invalid_item_id"


def test_pictures_are_taken_and_counted() -> None:
    harness = Harness()
    content = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    added, _ = harness.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert added["item"]["content"][0]["detail"] == "auto"
    usage = harness.send("response.create")[-1]["response"]["usage"]
    assert usage["input_token_details"]["image_tokens"] > 0
    content = [{"type": "input_image", "image_url": "https://example.org/cat.png"}]
    (refused,) = harness.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
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
            "missing_required_parameter",  # reported: replayed assistant audio is asked for its text
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
    (refused,) = Harness().send("conversation.item.create", item=item)
    assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)


# ------------------------------------------------------------------ limits and failures


def test_max_output_tokens_leave_the_response_incomplete() -> None:
    harness = Harness(speech=SPEECH * 5)
    harness.say("Hello.")
    done = harness.send("response.create", response={"max_output_tokens": 25})[-1]["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"
    audio = b"".join(base64.b64decode(event["delta"]) for event in harness.of("response.output_audio.delta"))
    assert 0 < len(audio) <= 25 * 50 * 48
    harness.update(output_modalities=["text"])
    done = harness.send("response.create", response={"max_output_tokens": 2})[-1]["response"]
    assert done["status"] == "incomplete"
    assert len(harness.last("response.output_text.done")["text"].split()) == 2


def test_a_failed_response_has_no_output_and_a_usage_of_zeros() -> None:
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota."}
    harness = Harness(options=Options(pace=0, failure=error, failing=2))
    harness.say("Hello.")
    assert harness.send("response.create")[-1]["response"]["status"] == "completed"
    harness.send("response.create")
    harness.wait(0.01)
    failed = harness.last("response.done")["response"]
    assert (failed["status"], failed["output"], failed["usage"]["total_tokens"]) == ("failed", [], 0)
    assert failed["status_details"] == {"type": "failed", "error": error}
    assert harness.send("response.create")[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("failing", [{"answers": [RuntimeError("no answer")]}, {"speech": RuntimeError("no speech")}])
def test_an_engine_that_breaks_fails_the_response_and_not_the_session(failing: dict[str, Any]) -> None:
    harness = Harness(**failing)
    harness.say("Hello.")
    done = harness.send("response.create")[-1]["response"]
    assert (done["status"], done["status_details"]["error"]["type"]) == ("failed", "server_error")
    harness.answers, harness.speech = [Text("Better now.")], SPEECH
    assert harness.send("response.create")[-1]["response"]["status"] == "completed"


def test_a_conversation_too_long_is_cut_or_refused_as_the_session_says() -> None:
    harness = Harness(FIRST)
    harness.update(output_modalities=["text"])
    harness.say("word " * 33_000)
    harness.say("What was last?")
    harness.send("response.create")
    respond = harness.effect(Respond)
    assert len(respond.request.items) == 1
    harness.update(truncation="disabled")
    done = harness.send("response.create")[-1]["response"]
    assert done["status_details"]["error"]["code"] == "context_length_exceeded"


def test_the_buffer_is_bounded() -> None:
    harness = Harness(options=Options(pace=0, buffer_bytes=100_000)).push_to_talk()
    assert harness.append(SPEECH * 2) == []
    (refused,) = harness.send("input_audio_buffer.append", audio=b64(SPEECH))
    assert refused["error"]["code"] == "input_audio_buffer_full"
    assert harness.send("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    assert harness.append(SPEECH) == []


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
    harness = Harness()
    (refused,) = harness.frame(frame)
    error = refused["error"]
    assert (refused["type"], error["type"], error["code"]) == ("error", "invalid_request_error", code)
    assert error["param"] == (param or error["param"])
    assert words in error["message"]
    assert error["event_id"] is None
    harness.say("Still there?")
    assert harness.send("response.create")[-1]["response"]["status"] == "completed"


def test_the_error_names_the_clients_own_event() -> None:
    (refused,) = Harness().send("nope", event_id="my_event")
    assert refused["error"]["event_id"] == "my_event"
    assert refused["event_id"] != "my_event"


@pytest.mark.parametrize(("audio", "ms"), [(b"", "0.00"), (bytes(4_798), "99.96")])
def test_a_commit_needs_a_tenth_of_a_second(audio: bytes, ms: str) -> None:
    harness = Harness().push_to_talk()
    harness.append(audio)
    (refused,) = harness.send("input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    assert f"buffer only has {ms}ms of audio" in refused["error"]["message"]
    assert refused["error"]["param"] is None
    harness.append(SILENCE[: 4_800 - len(audio)])
    assert harness.send("input_audio_buffer.commit")[0]["type"] == "input_audio_buffer.committed"


_MIB_15 = 15 * 1024 * 1024


@pytest.mark.parametrize("own_id", [{}, {"event_id": "my_append"}], ids=["without an id", "with an id"])
def test_an_append_holds_up_to_15_mib(own_id: dict[str, str]) -> None:
    harness = Harness().push_to_talk()
    for size in (1_048_576, _MIB_15):
        assert harness.send("input_audio_buffer.append", audio=b64(bytes(size)), **own_id) == []
    (refused,) = harness.send("input_audio_buffer.append", audio=b64(bytes(_MIB_15 + 2)), **own_id)
    assert refused["error"]["code"] == "string_above_max_length"
    assert refused["error"]["event_id"] == own_id.get("event_id")
    harness.send("input_audio_buffer.commit")
    assert sum(len(asked.pcm) for asked in harness.effects) == 1_048_576 + _MIB_15
