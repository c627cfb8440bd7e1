"""The words on the wire."""

import json

import pytest

from rtnb.protocol import beta, client_events, error_events, frames


def test_every_client_event_has_an_id_of_its_own():
    events = [
        client_events.session_update({"type": "realtime"}),
        client_events.append(b"\0\0"),
        client_events.commit(),
        client_events.clear(),
        client_events.item_create(client_events.message("user", [{"type": "input_text", "text": "hi"}])),
        client_events.respond(),
        client_events.cancel(),
        client_events.truncate("item_1", 100),
        client_events.delete("item_1"),
        client_events.retrieve("item_1"),
    ]
    assert len({event["event_id"] for event in events}) == len(events)
    assert all(json.loads(frames.dumps(event)) == event for event in events)


def test_what_is_optional_is_left_out_rather_than_null():
    assert "response" not in client_events.respond()
    assert "response_id" not in client_events.cancel()
    assert "previous_item_id" not in client_events.item_create({"type": "message"})
    assert client_events.item_create({"type": "message"}, "root")["previous_item_id"] == "root"


def test_append_as_a_frame_says_the_same_as_append_as_an_event():
    pcm = bytes(range(255))
    assert json.loads(client_events.append_frame("event_1", pcm)) == {
        "type": "input_audio_buffer.append",
        "event_id": "event_1",
        "audio": frames.encode_audio(pcm),
    }


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4801, 12_000])
def test_sound_survives_base64_whatever_its_length(size):
    pcm = bytes(i % 251 for i in range(size))
    assert frames.decode_audio(frames.encode_audio(pcm)) == pcm


def test_joined_base64_with_padding_inside_is_refused_not_cut_short():
    joined = frames.encode_audio(b"1") + frames.encode_audio(b"2")
    with pytest.raises(ValueError, match=r"(?i)base64|padding|non-"):
        frames.decode_audio(joined)


@pytest.mark.parametrize("frame", [b"", b"not json", b"[]", b"{}", b'{"type": 3}', b'{"type": null}', b"\xff\xfe"])
def test_a_frame_that_is_no_event_is_a_value_error(frame):
    with pytest.raises(ValueError, match=r"no JSON object|unexpected|literal|invalid|empty|str is not valid"):
        frames.loads(frame)


def test_beta_names_become_ga_names_and_assistant_content_with_them():
    event = {
        "type": "conversation.item.created",
        "item": {"id": "item_1", "role": "assistant", "content": [{"type": "audio", "transcript": "hi"}]},
    }
    assert beta.to_ga(event)["type"] == "conversation.item.added"
    assert beta.to_ga(event)["item"]["content"] == [{"type": "output_audio", "transcript": "hi"}]
    assert beta.to_ga({"type": "response.audio.delta", "delta": ""})["type"] == "response.output_audio.delta"
    ga = {"type": "response.output_audio.delta", "delta": ""}
    assert beta.to_ga(ga) is ga


def test_a_ga_session_is_flattened_for_a_beta_server():
    event = client_events.session_update(
        {
            "type": "realtime",
            "output_modalities": ["audio"],
            "max_output_tokens": 100,
            "instructions": "Be brief.",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "turn_detection": None,
                    "transcription": {"model": "whisper-1"},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy"},
            },
        }
    )
    assert beta.to_beta(event)["session"] == {
        "modalities": ["text", "audio"],
        "max_response_output_tokens": 100,
        "instructions": "Be brief.",
        "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw",
        "turn_detection": None,
        "input_audio_transcription": {"model": "whisper-1"},
        "voice": "alloy",
    }


def test_a_refusal_names_the_field_and_the_code_and_ends_with_what_to_do():
    error = error_events.error_from(
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": "unknown_parameter",
                "message": "Unknown parameter: 'session.bogus'.",
                "param": "session.bogus",
            },
        },
        "the session's configuration",
    )
    assert str(error).startswith("The server refused the session's configuration (field session.bogus)")
    assert str(error).endswith("send it again.")
    assert (error.code, error.param, error.type) == ("unknown_parameter", "session.bogus", "invalid_request_error")


def test_a_refusal_that_quotes_a_key_is_masked():
    event = {"type": "error", "error": {"message": "Incorrect API key provided: sk-ab***************wxyz."}}
    assert "wxyz" not in str(error_events.error_from(event, "it"))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update"},
        {"type": "session.update", "session": "x"},
        {"type": "session.update", "session": {"audio": {"input": {"format": "pcm16"}}}},
        {"type": "session.update", "session": {"audio": {"input": {"format": {}}}}},
        {"type": "session.update", "session": {"audio": ["x"]}},
        {"type": "session.update", "session": {"audio": {"output": "x"}}},
        {"type": "response.create", "response": None},
        {"type": "response.create", "response": {"output_modalities": 5}},
        {"type": "conversation.item.create", "item": {"role": "assistant", "content": ["x"]}},
        {"type": "conversation.item.create", "item": {"role": "assistant", "content": 5}},
    ],
)
def test_what_has_no_form_of_the_api_goes_to_a_beta_server_as_it_is(event):
    assert beta.to_beta(event) is event
