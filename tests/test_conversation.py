"""The fold: events in whatever order, one state out."""

import json

import pytest

from rtnb.protocol import event_types, frames
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.items import Turns
from rtnb.protocol.updates import (
    AudioDelta,
    InputTranscript,
    InputTranscriptFailed,
    ItemAdded,
    Other,
    ResponseEnded,
    TextDelta,
    ToolCalled,
    Truncated,
)


def fold(*events, conversation=None):
    conversation = conversation or Conversation()
    updates = [update for event in events for update in conversation.apply(event)]
    return conversation, updates


def item(id="item_a", role="assistant", status="in_progress", content=(), **more):
    return {"id": id, "type": "message", "role": role, "status": status, "content": list(content), **more}


def response(id="resp_1", status="in_progress", **more):
    return {"id": id, "status": status, "output": [], "usage": None, "conversation_id": "conv_1", **more}


PART = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}


def spoken_answer(words=("Hel", "lo."), chunks=(b"ab", b"cd")):
    """A spoken answer in the recorded order."""
    return [
        {"type": "response.created", "response": response()},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item()},
        {"type": "conversation.item.added", "previous_item_id": "item_u", "item": item()},
        {"type": "response.content_part.added", **PART, "part": {"type": "audio", "transcript": ""}},
        *({"type": "response.output_audio_transcript.delta", **PART, "delta": word} for word in words),
        *({"type": "response.output_audio.delta", **PART, "delta": frames.encode_audio(chunk)} for chunk in chunks),
        {"type": "response.output_audio.done", **PART},
        {"type": "response.output_audio_transcript.done", **PART, "transcript": "".join(words)},
        {"type": "conversation.item.done", "previous_item_id": None, "item": item(status="completed")},
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": item()},
        {"type": "response.done", "response": response(status="completed", usage={"total_tokens": 7})},
    ]


def user(id="item_u", text="Hi"):
    return {
        "type": "conversation.item.added",
        "previous_item_id": None,
        "item": item(id, "user", "completed", [{"type": "input_text", "text": text}]),
    }


def test_a_spoken_answer_becomes_one_turn_with_words_and_sound():
    talk, updates = fold(user(), *spoken_answer())
    assert [turn.words for turn in talk.turns] == ["Hi", "Hello."]
    assert talk.turns[1].audio.pcm == b"abcd"
    assert talk.turns[1].audio_ms == pytest.approx(4 / 48)
    assert [u.whole for u in updates if isinstance(u, TextDelta)] == ["Hel", "Hello."]
    assert [(u.pcm, u.start_ms) for u in updates if isinstance(u, AudioDelta)] == [(b"ab", 0), (b"cd", 2 / 48)]
    assert isinstance(updates[-1], ResponseEnded)
    assert talk.responses["resp_1"].usage == {"total_tokens": 7}
    assert talk.active_response() is None


def test_the_turn_stands_where_the_conversation_puts_it_once():
    talk, _ = fold(user(), *spoken_answer(), user("item_2", "Again"))
    assert [turn.item_id for turn in talk.turns] == ["item_u", "item_a", "item_2"]
    fold({"type": "conversation.item.added", "previous_item_id": "item_u", "item": item("item_new")}, conversation=talk)
    assert [turn.item_id for turn in talk.turns] == ["item_u", "item_new", "item_a", "item_2"]


def test_transcription_of_the_person_may_come_after_the_answer():
    sound = item("item_u", "user", "completed", [{"type": "input_audio", "transcript": None}])
    words = {"item_id": "item_u", "content_index": 0}
    transcription = "conversation.item.input_audio_transcription"
    talk, updates = fold(
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "item_u"},
        {"type": "conversation.item.added", "previous_item_id": None, "item": sound},
        *spoken_answer(),
        {"type": f"{transcription}.delta", **words, "delta": "Good"},
        {"type": f"{transcription}.delta", **words, "delta": " morning"},
        {
            "type": f"{transcription}.completed",
            **words,
            "transcript": "Good morning.",
            "usage": {"type": "duration", "seconds": 3},
        },
        {"type": "conversation.item.done", "previous_item_id": None, "item": sound},
    )
    assert [turn.words for turn in talk.turns] == ["Good morning.", "Hello."]
    heard = [u for u in updates if isinstance(u, InputTranscript)]
    assert [(u.piece, u.whole, u.final) for u in heard] == [
        ("Good", "Good", False),
        (" morning", "Good morning", False),
        (".", "Good morning.", True),
    ]
    assert [(turn.item_id, usage) for turn, usage in talk.transcribed] == [
        ("item_u", {"type": "duration", "seconds": 3})
    ]


def test_a_transcription_that_failed_is_told_and_harms_nothing():
    talk, updates = fold(
        user(),
        {
            "type": "conversation.item.input_audio_transcription.failed",
            "item_id": "item_u",
            "content_index": 0,
            "error": {"code": "DeploymentNotFound", "message": "no"},
        },
        *spoken_answer(),
    )
    assert [u.error["code"] for u in updates if isinstance(u, InputTranscriptFailed)] == ["DeploymentNotFound"]
    assert talk.turns[-1].words == "Hello."


def test_an_odd_delta_does_not_shift_the_samples_of_the_next():
    _, updates = fold(*spoken_answer(chunks=(b"abc", b"d", b"ef")))
    sounds = [u for u in updates if isinstance(u, AudioDelta)]
    assert [u.pcm for u in sounds] == [b"ab", b"cd", b"ef"]
    assert [u.start_ms * 48 for u in sounds] == [0, 2, 4]


def test_a_truncated_answer_keeps_what_was_heard():
    pcm = bytes(48 * 100)
    talk, updates = fold(
        *spoken_answer(chunks=(pcm,)),
        {"type": "conversation.item.truncated", "item_id": "item_a", "content_index": 0, "audio_end_ms": 40},
    )
    assert talk.turns[0].truncated_ms == 40
    assert talk.turns[0].audio.seconds == pytest.approx(0.04)
    assert isinstance(updates[-1], Truncated)


def test_unknown_events_and_fields_change_nothing():
    talk, updates = fold(
        {"type": "response.brand_new", "surprise": [1]},
        *({**event, "future_field": True} for event in (user(), *spoken_answer())),
        {"type": "rate_limits.updated", "rate_limits": []},
    )
    assert isinstance(updates[0], Other)
    assert [turn.words for turn in talk.turns] == ["Hi", "Hello."]


def test_beta_names_fold_the_same():
    beta = event_types.BETA_NAMES
    renamed = [{**event, "type": beta.get(event["type"], event["type"])} for event in spoken_answer()]
    assert renamed != spoken_answer()
    talk, _ = fold(*renamed)
    assert talk.turns[0].words == "Hello."
    assert talk.turns[0].audio.pcm == b"abcd"


def test_a_server_that_leaves_out_the_events_around_still_gives_a_turn():
    talk, _ = fold(
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_audio.delta", **PART, "delta": frames.encode_audio(b"ab")},
        {"type": "response.output_audio_transcript.done", **PART, "transcript": "Hello."},
        {"type": "response.done", "response": {"id": "resp_1"}},
    )
    assert talk.turns[0].words == "Hello."
    assert talk.responses["resp_1"].status == "completed"


def test_events_of_an_answer_in_reverse_break_nothing():
    talk, _ = fold(*reversed(spoken_answer()))
    assert talk.turns[0].audio.pcm == b"cdab"


def test_an_out_of_band_answer_is_kept_but_not_part_of_the_talk():
    side = [{**e} for e in spoken_answer() if not e["type"].startswith("conversation.")]
    side[0] = {"type": "response.created", "response": response(conversation_id=None, metadata={"topic": "x"})}
    side[-1] = {"type": "response.done", "response": response(status="completed", conversation_id=None)}
    talk, updates = fold(user(), *side)
    assert [turn.words for turn in talk.turns] == ["Hi"]
    assert talk.turn("item_a").words == "Hello."
    assert talk.responses["resp_1"].metadata == {"topic": "x"}
    assert any(isinstance(u, ItemAdded) and u.turn.item_id == "item_a" for u in updates)


def call_item(status="completed", arguments='{"city":"Oslo"}'):
    return {
        "id": "item_c",
        "type": "function_call",
        "status": status,
        "name": "weather",
        "call_id": "call_1",
        "arguments": arguments,
    }


@pytest.mark.parametrize("without", ["nothing", "arguments.done", "response.done output"])
def test_a_call_is_told_once_whichever_event_brings_it(without):
    added = call_item("in_progress", "")
    done = {"response_id": "resp_1", "item_id": "item_c", "call_id": "call_1", "name": "weather"}
    events = [
        {"type": "response.created", "response": response()},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": added},
        {"type": "conversation.item.added", "previous_item_id": None, "item": added},
    ]
    if without != "arguments.done":
        events.append({"type": "response.function_call_arguments.done", **done, "arguments": '{"city":"Oslo"}'})
    output = [] if without == "response.done output" else [call_item()]
    events.append({"type": "response.done", "response": response(status="completed", output=output)})
    _, updates = fold(*events)
    calls = [(u.name, u.call_id, json.loads(u.arguments)) for u in updates if isinstance(u, ToolCalled)]
    assert calls == [("weather", "call_1", {"city": "Oslo"})]


def test_sound_appended_before_a_commit_belongs_to_that_item():
    heard = bytearray()
    talk = Conversation(lambda start, end: bytes(heard[start:end]))
    for pcm in (b"11", b"2222"):
        heard += pcm
        talk.appended(len(pcm))
        talk.sent({"type": "input_audio_buffer.commit"})
    heard += b"33"  # the next words are on their way before the server has answered
    talk.appended(2)
    for item_id in ("one", "two"):
        fold({"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": item_id}, conversation=talk)
    assert [turn.audio.pcm for turn in talk.turns] == [b"11", b"2222"]


def test_cleared_sound_belongs_to_nobody():
    heard = b"xxxx1111"
    talk = Conversation(lambda start, end: heard[start:end])
    talk.appended(4)
    talk.sent({"type": "input_audio_buffer.clear"})
    talk.appended(4)
    talk.sent({"type": "input_audio_buffer.commit"})
    fold(
        {"type": "input_audio_buffer.cleared"},
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "one"},
        conversation=talk,
    )
    assert talk.turns[0].audio.pcm == b"1111"


def test_detected_speech_is_cut_out_by_the_servers_offsets():
    heard = bytes(range(200)) * 48
    talk = Conversation(lambda start, end: heard[start:end])
    talk.appended(len(heard))
    fold(
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 20, "item_id": "one"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 120, "item_id": "one"},
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "one"},
        conversation=talk,
    )
    assert talk.turns[0].audio.pcm == heard[20 * 48 : 120 * 48]


def test_turns_show_who_and_what_without_letting_markup_through():
    talk, _ = fold(user(text="<b>Hi</b>"), *spoken_answer())
    assert repr(talk.turns) == "user: <b>Hi</b>\nassistant: Hello."
    assert "&lt;b&gt;Hi" in talk.turns._repr_html_()
    assert repr(Turns()) == "(no turns yet)"


def test_a_deleted_item_leaves():
    talk, _ = fold(user(), *spoken_answer(), {"type": "conversation.item.deleted", "item_id": "item_u"})
    assert [turn.item_id for turn in talk.turns] == ["item_a"]
