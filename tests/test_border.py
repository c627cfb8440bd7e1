"""What a server sends that is not as it should be: kept in the log, told, and never a reason to wait for ever."""

import json
import time

import pytest
from dialogue import serve, until, usage

from rtnb.errors import ResponseFailed, ServerError
from rtnb.opening import connect
from rtnb.transport import channel

ITEM = {"id": "item_1", "type": "message", "role": "assistant", "status": "completed"}
CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "status": "in_progress", "conversation_id": "c", "output": []},
}
PART = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A server that owes an answer is given up after a tenth of the usual time."""
    monkeypatch.setattr(channel, "_SILENCE_SECONDS", channel._SILENCE_SECONDS / 10)


def done(output=(), **fields):
    response = {"id": "resp_1", "status": "completed", "conversation_id": "c", "output": list(output), **fields}
    return {"type": "response.done", "response": response}


def words(text, kind="output_audio"):
    return {**ITEM, "content": [{"type": kind, "transcript" if kind.endswith("audio") else "text": text}]}


def say_raw(talk, frame):
    talk.socket.send(frame)


def dialogue(*frames):
    """A script whose first answer is `frames`, events or raw text, and whose second is an ordinary one."""

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        for frame in frames:
            if isinstance(frame, dict):
                talk.say(frame)
            else:
                say_raw(talk, frame)
        event = talk.hear()
        if event["type"] == "response.cancel":
            event = talk.hear()
        assert event["type"] == "conversation.item.create"
        item = {**event["item"], "id": "item_user_2"}
        talk.say({"type": "conversation.item.added", "item": item})
        talk.answer("The second.", id="resp_2", item_id="item_2")

    return script


# --- events that do not parse -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_has_not_become_null(number):
    ending = json.dumps(done([words("All of it.")], usage={**usage(output_text=7), "odd": 0})).replace(
        '"odd": 0', f'"odd": {number}'
    )
    with serve(dialogue(CREATED, ending)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.status, reply.text, reply.usage.output_text_tokens) == ("completed", "All of it.", 7)
        assert chat.log[-1].event["response"]["usage"]["odd"] is None
        assert chat.ask("And?").wait(10).text == "The second."


def test_half_a_surrogate_pair_and_bytes_that_are_no_utf8_are_replaced():
    delta = json.dumps({"type": "response.output_text.delta", **PART, "delta": "a\ud83db"})
    other = b'{"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "\xff!"}'
    with serve(dialogue(CREATED, delta, other, done())) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "a?b\ufffd!"


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "response.done", "response": {"id": "resp_1", "status": "comple',
        '{"type": "response.done", "response": "not an object"}',
        '{"type": "response.done", "response": ["not an object"]}',
        "{broken",
        "",
        b"\x00\x01\x02",
    ],
)
def test_an_end_that_cannot_be_read_fails_its_turn_with_a_sentence_and_the_session_goes_on(frame):
    delta = {"type": "response.output_text.delta", **PART, "delta": "Half an ans"}
    with serve(dialogue(CREATED, delta, frame)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        with pytest.raises(ResponseFailed, match="The server sent an event that cannot be read") as failed:
            reply.wait(10)
        assert failed.value.reply is reply
        assert (reply.status, reply.text) == ("incomplete", "Half an ans")
        assert chat.ask("And?").wait(10).text == "The second."


ODD = [
    {"status_details": "odd"},
    {"usage": {"input_token_details": {"cached_tokens_details": "x"}, "output_token_details": "x"}},
    {"output": [{"type": "message", "content": "Whole."}]},
    {"output": [{"type": "message", "content": [{"text": 5}]}]},
    {"output": ["no item"]},
    {"output": 5},
    {"output": None},
    {"usage": "x"},
    {"usage": {"input_token_details": "x"}},
]


def late(*frames, seconds=0.4):
    """A script whose answer ends only when the client has long heard that it began."""

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say(CREATED, {"type": "response.output_text.delta", **PART, "delta": "Whole."})
        time.sleep(seconds)
        for frame in frames:
            talk.say(frame)

    return script


@pytest.mark.parametrize("fields", ODD)
def test_an_odd_end_that_comes_late_is_an_end_too(fields):
    ending = {"type": "response.done", "response": {"id": "resp_1", "status": "completed", **fields}}
    with serve(late(ending)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.status, reply.text.startswith("Whole.")) == ("completed", True)
        assert reply.cost is not None


def test_an_end_without_its_response_is_the_end_of_the_response_it_names():
    with serve(late({"type": "response.done", "response_id": "resp_1"})) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "Whole."


@pytest.mark.parametrize("details", ["boom", {"error": "boom"}, {"error": ["boom"]}, {"error": {"message": "boom"}}])
def test_a_failure_is_told_in_whatever_form_it_is_written(details):
    ending = {"type": "response.done", "response": {"id": "resp_1", "status": "failed", "status_details": details}}
    with serve(late(ending, seconds=0)) as url, connect(url=url) as chat, pytest.raises(ResponseFailed, match="boom"):
        chat.ask("Hi").wait(10)


@pytest.mark.parametrize("fields", ODD)
def test_an_end_with_one_odd_field_is_an_end_all_the_same(fields):
    ending = {"type": "response.done", "response": {"id": "resp_1", "status": "completed", **fields}}
    delta = {"type": "response.output_text.delta", **PART, "delta": "Whole."}
    with serve(dialogue(CREATED, delta, ending)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.status, reply.text) == ("completed", "Whole.")


def test_a_frame_that_is_no_event_is_kept_as_it_came():
    with serve(dialogue(CREATED, "{broken", done())) as url, connect(url=url) as chat:
        chat.ask("Hi").wait(10)
        kept = [entry.event for entry in chat.log if entry.type == "rtnb.malformed"]
        assert kept == [{"type": "rtnb.malformed", "bytes": 7, "text": "{broken"}]


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "AAA',
        '{"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "§§§"}',
        '{"type": "rate_limits.updated", "rate_limits": [{"name": ',
        "{broken",
        "",
        b"\x00\x01\x02",
        '{"type": "conversation.item.added", "item": {"id": "item_u',
        '{"no type": 1}',
        "[1, 2]",
        '"hello"',
        "7",
    ],
)
def test_where_the_answer_goes_on_it_is_told_and_nothing_else(frame):
    delta = {"type": "response.output_text.delta", **PART, "delta": "Whole."}
    with serve(dialogue(CREATED, frame, delta, done())) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert (reply.status, reply.text) == ("completed", "Whole.")
        assert [w for w in chat.warnings if w.startswith("The server sent an event that cannot be read")]
        assert chat.ask("And?").wait(10).text == "The second."


def test_an_answer_to_a_request_that_cannot_be_read_is_told_to_who_waits():
    def script(talk):
        talk.open()
        talk.expect("input_audio_buffer.append")
        talk.expect("input_audio_buffer.commit")
        say_raw(talk, '{"type": "input_audio_buffer.committed", "item_id"')
        talk.take_message()
        talk.answer()

    with serve(script) as url, connect(url=url) as chat:
        chat.append(bytes(9600))
        with pytest.raises(ServerError, match="cannot be read"):
            chat.commit().wait(10)
        assert chat.ask("Hi").wait(10).status == "completed"


@pytest.mark.parametrize("event", ["session.created", "session.updated"])
def test_a_session_whose_beginning_cannot_be_read_fails_with_a_sentence(event):
    def script(talk):
        if event == "session.created":
            say_raw(talk, '{"type": "session.created", "session": {"id": "s"')
            return
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.expect("session.update")
        say_raw(talk, '{"type": "session.updated", "session": {"id"')

    with serve(script) as url:
        chat = connect(url=url)
        asked = chat.ask("Hi")
        with pytest.raises(ServerError, match="cannot be read"):
            chat.wait(10)
        with pytest.raises(ServerError, match="cannot be read"):
            asked.wait(10)


# --- errors as other servers write them -------------------------------------------------------------------------------


def test_an_error_in_the_middle_of_an_answer_that_has_no_end_is_its_end():
    delta = {"type": "response.output_text.delta", **PART, "delta": "Half an ans"}
    with serve(dialogue(CREATED, delta, {"type": "error", "error": "boom"})) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        with pytest.raises(ResponseFailed, match="boom") as failed:
            reply.wait(10)
        assert failed.value.reply.text == "Half an ans"
        assert chat.ask("And?").wait(10).text == "The second."


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"error": "boom"}, "boom"),
        ({"error": ["boom", 5]}, "boom"),
        ({"error": 5}, "5"),
        ({"error": None, "message": "boom"}, "boom"),
        ({"message": "boom", "code": 400}, "boom"),
        ({"error": {"message": {"text": "boom"}, "code": 5}}, "boom"),
        ({"error": {"message": "boom", "event_id": None}}, "boom"),
        ({"error": {}}, "no reason given"),
        ({}, "no reason given"),
    ],
)
def test_an_error_in_any_form_ends_the_turn_that_waits_and_not_the_session(fields, said):
    with serve(dialogue({"type": "error", **fields})) as url, connect(url=url) as chat:
        with pytest.raises(ServerError, match=f"The server refused to answer.*{said}"):
            chat.ask("Hi").wait(10)
        assert chat.ask("And?").wait(10).text == "The second."
        assert next(entry.event for entry in chat.log if entry.type == "error").items() >= fields.items()


def test_an_answer_that_begins_late_is_not_blamed_for_an_error_before_it():
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.expect("session.update")
        talk.say({"type": "error", "error": "an odd field"})
        talk.take_message()
        talk.expect("response.create")
        talk.say(CREATED)
        time.sleep(3 * channel._SILENCE_SECONDS)  # it thinks
        talk.answer("Here.", id="resp_1", item_id="item_1", expect=False)

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(20).text == "Here."
        assert any("did not confirm" in warning for warning in chat.warnings)


def test_a_slow_answer_after_a_complaint_is_waited_for():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "error", "error": {"message": "The field speed is ignored."}})
        time.sleep(3 * channel._SILENCE_SECONDS)
        talk.say(CREATED, {"type": "error", "error": {"message": "Transcription is not available."}})
        time.sleep(3 * channel._SILENCE_SECONDS)
        talk.answer("Here.", id="resp_1", item_id="item_1", expect=False)

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(20).text == "Here."


def test_an_error_that_names_nobody_ends_nothing_that_goes_on():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "error", "error": {"message": "Something else went wrong.", "event_id": None}})
        talk.answer("Here.", expect=False)
        talk.say({"type": "error", "error": "and once more"})

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "Here."
        until(lambda: sum(entry.type == "error" for entry in chat.log) == 2)
        assert chat.state == "open"


# --- words that only a final object brings ----------------------------------------------------------------------------


FINAL = "words only here"


@pytest.mark.parametrize(
    "events",
    [
        [done([words(FINAL)])],
        [done([words(FINAL, "output_text")])],
        [done([words(FINAL, "text")])],
        [done([{k: v for k, v in words(FINAL).items() if k != "id"}])],
        [done([{"type": "message", "content": [{"transcript": FINAL}]}])],
        [{"type": "response.output_item.done", "response_id": "resp_1", "item": words(FINAL)}, done([])],
        [{"type": "response.output_item.done", "response_id": "resp_1", "item": words(FINAL)}, done([words(FINAL)])],
        [{"type": "response.output_audio_transcript.done", **PART, "transcript": FINAL}, done([words(FINAL)])],
        [{"type": "response.content_part.done", **PART, "part": {"type": "audio", "transcript": FINAL}}, done([])],
        [
            {"type": "response.output_item.added", "response_id": "resp_1", "item": {**ITEM, "content": []}},
            {"type": "conversation.item.added", "item": {**ITEM, "content": []}},
            {"type": "conversation.item.done", "item": words(FINAL)},
            done([]),
        ],
        [
            {"type": "response.output_item.added", "response_id": "resp_1", "item": {**ITEM, "content": []}},
            done([{k: v for k, v in words(FINAL).items() if k != "id"}]),
        ],
    ],
)
def test_words_that_only_a_final_object_brings_are_kept_once_and_heard_of(events):
    with serve(dialogue(CREATED, *events)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        pieces = [piece.text for piece in reply if piece.text]
        assert (reply.status, reply.text, pieces) == ("completed", FINAL, [FINAL])
        assert [(turn.role, turn.words) for turn in chat.turns] == [("user", "Hi"), ("assistant", FINAL)]


ONE, TWO = {**words("one"), "id": "a"}, {**words("two"), "id": "b"}
HALF = {"type": "response.output_audio_transcript.delta", **PART, "delta": "words on"}
PARTS = {**ITEM, "content": [{"type": "output_text", "text": "one"}, {"type": "output_text", "text": "two"}]}


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([done([ONE, TWO])], "one\ntwo"),
        ([{"type": "response.output_item.added", "response_id": "resp_1", "item": TWO}, done([ONE, TWO])], "two\none"),
        ([HALF, done([words(FINAL)])], FINAL),
        ([{"type": "response.output_text.delta", **PART, "delta": "one"}, done([PARTS])], "one\ntwo"),
    ],
)
def test_what_a_final_object_has_beyond_the_deltas_is_kept(events, text):
    with serve(dialogue(CREATED, *events)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert reply.text == text
        pieces = "".join(piece.text for piece in reply)
        assert sorted(pieces.replace("\n", "")) == sorted(text.replace("\n", ""))


def test_what_deltas_brought_is_not_said_twice_by_the_final_objects():
    events = [
        {"type": "response.output_audio_transcript.delta", **PART, "delta": "words only "},
        {"type": "response.output_audio_transcript.delta", **PART, "delta": "here"},
        {"type": "response.output_audio_transcript.done", **PART, "transcript": FINAL},
        {"type": "response.content_part.done", **PART, "part": {"type": "audio", "transcript": FINAL}},
        {"type": "response.output_item.done", "response_id": "resp_1", "item": words(FINAL)},
        done([words(FINAL)]),
    ]
    with serve(dialogue(CREATED, *events)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        assert [piece.text for piece in reply] == ["words only ", "here"]
        assert reply.text == FINAL
