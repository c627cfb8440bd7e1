"""Events of an answer without ids, without objects, and with words in the place of objects: all of it is kept."""

import time

import numpy as np
import pytest
from dialogue import serve, until
from test_border import CREATED, PART, dialogue, done, words

from rtnb.audio import Clip
from rtnb.errors import ResponseFailed, ServerError
from rtnb.opening import connect

TEXT = {"type": "response.output_text.delta", **PART, "delta": "Whole."}
WHOLE = words("Whole.", "output_text")
TONE = Clip.from_array((np.sin(np.arange(24_000) / 9) * 0.3).astype(np.float32), rate_hz=24_000)


def without(event, *names):
    return {name: value for name, value in event.items() if name not in names}


def ended(**response):
    return {"type": "response.done", "response": response}


def ask(*frames, **wanted):
    """Ask one question of a server that answers with these frames; return its reply and its session."""
    with serve(dialogue(*frames)) as url, connect(url=url, timeout=5, **wanted) as chat:
        reply = chat.ask("Hi").wait(20)
        assert chat.ask("And?").wait(20).text == "The second."
        return reply, chat


BEGINNINGS = {
    "nothing": [{"type": "response.created"}],
    "no id": [{"type": "response.created", "response": {"status": "in_progress"}}],
    "null": [{"type": "response.created", "response": None}],
    "a list": [{"type": "response.created", "response": []}],
    "fields beside": [{"type": "response.created", "id": "resp_1", "status": "in_progress"}],
    "twice": [{"type": "response.created"}, {"type": "response.created"}],
    "its id later": [{"type": "response.created"}, CREATED],
    "its id first": [CREATED, {"type": "response.created"}],
    "none": [],
}
MIDDLES = {
    "ids": [TEXT],
    "no ids": [without(TEXT, "response_id", "item_id")],
    "only at the end": [],
    "as an item": [{"type": "response.output_item.done", "response_id": "resp_1", "item": WHOLE}],
}
ENDS = {
    "whole": done([WHOLE]),
    "no id": ended(status="completed", output=[WHOLE]),
    "no ids at all": ended(output=[without(WHOLE, "id")]),
    "fields beside": {"type": "response.done", "id": "resp_1", "status": "completed", "output": [WHOLE]},
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("end", ENDS)
def test_an_answer_whose_events_lack_ids_or_objects_is_one_and_whole(beginning, middle, end):
    reply, chat = ask(*BEGINNINGS[beginning], *MIDDLES[middle], ENDS[end])
    assert (reply.status, reply.text, len(reply.responses)) == ("completed", "Whole.", 1)
    assert [turn.words for turn in chat.turns if turn.role == "assistant"] == ["Whole.", "The second."]


OUTPUTS = [
    "Whole.",
    ["Whole."],
    [["Whole."]],
    {"text": "Whole."},
    [{"text": "Whole."}],
    [{"content": "Whole."}],
    [{"type": "output_text", "text": "Whole."}],
]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("deltas", [[], [TEXT]])
def test_words_in_the_place_of_items_are_the_answers_and_told(output, deltas):
    reply, chat = ask(CREATED, *deltas, ended(id="resp_1", status="completed", output=output))
    assert (reply.status, reply.text) == ("completed", "Whole.")
    assert any(warning.startswith("The server sent") for warning in reply.warnings)
    assert next(e for e in chat.log if e.type == "response.done").event["response"]["output"] == output


def test_words_beside_an_item_are_kept_too():
    reply, _ = ask(CREATED, TEXT, ended(id="resp_1", output=[[], WHOLE, "And this.", None]))
    assert reply.text == "Whole.\nAnd this."


def test_a_missing_object_is_told():
    reply, chat = ask({"type": "response.created"}, TEXT, {"type": "response.done"})
    assert [warning for warning in reply.warnings if "no response object" in warning]
    assert reply.warnings == chat.warnings


def test_an_answer_known_by_two_ids_is_waited_for_as_long_as_it_goes_on():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "response.created"})
        for _ in range(12):
            time.sleep(0.2)
            talk.say({**TEXT, "delta": "more "})
        talk.say(done())

    with serve(script) as url, connect(url=url, timeout=1) as chat:
        assert chat.ask("Hi").wait(60).text == "more " * 12


def test_an_answer_without_an_id_is_cancelled_without_one():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "response.created"}, without(TEXT, "response_id"))
        assert "response_id" not in talk.expect("response.cancel")
        talk.say(ended(status="cancelled"))

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        until(lambda: any(turn.role == "assistant" and turn.text for turn in chat.turns))
        reply.cancel()
        assert reply.wait(20).status == "cancelled"


def test_what_began_before_it_was_asked_for_is_another_answer():
    def script(talk):
        talk.open()
        talk.say(without(TEXT, "response_id"))
        talk.take_message()
        talk.answer("fine")

    with serve(script) as url, connect(url=url, timeout=5) as chat:
        until(lambda: chat.turns)
        assert chat.ask("Hi").wait(20).text == "fine"


# --- states that the API has not, calls without a name, errors without words ------------------------------------------


@pytest.mark.parametrize(
    ("status", "details", "read"),
    [
        ("finished", None, "completed"),
        ("complete", None, "completed"),
        ("COMPLETE", None, "completed"),
        ("canceled", None, "cancelled"),
        ("in_progress", None, "completed"),
        (5, None, "completed"),
    ],
)
def test_an_end_with_a_state_that_the_api_has_not_is_read_and_told(status, details, read):
    reply, _ = ask(CREATED, TEXT, ended(id="resp_1", status=status, status_details=details))
    assert (reply.status, reply.text) == (read, "Whole.")
    assert any(str(status) in warning or "as its status" in warning for warning in reply.warnings)


def test_and_one_with_an_error_has_failed():
    failed = ended(id="resp_1", status="broken", status_details={"error": {"message": "boom"}})
    with pytest.raises(ResponseFailed, match="boom"):
        ask(CREATED, TEXT, failed)


@pytest.mark.parametrize("status", ["queued", "completed", "generating"])
def test_a_beginning_is_no_end_whatever_its_state(status):
    reply, _ = ask({"type": "response.created", "response": {"id": "resp_1", "status": status}}, TEXT, done())
    assert (reply.status, reply.text) == ("completed", "Whole.")
    assert any(status in warning for warning in reply.warnings)


@pytest.mark.parametrize("name", [None, "", {}])
def test_a_call_without_a_name_is_told(name):
    call = {"id": "f", "type": "function_call", "name": name, "call_id": "call_1", "arguments": "{}"}
    item = {"type": "response.output_item.done", "response_id": "resp_1", "item": call}
    reply, _ = ask(CREATED, item, done([call]), tools=[len])
    assert reply.status == "completed"
    assert any("function call without a name" in warning for warning in reply.warnings)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"error": None}, "no reason given"),
        ({}, "no reason given"),
        ({"error": "overloaded"}, "overloaded"),
        ({"error": {"message": "Sorry about that!"}}, "Sorry about that!"),
    ],
)
def test_an_error_that_ends_nothing_is_told(error, said):
    reply, chat = ask(CREATED, {"type": "error", **error}, TEXT, done())
    assert (reply.status, reply.text) == ("completed", "Whole.")
    assert [warning for warning in reply.warnings if warning.startswith(f"The server reported an error: {said}")]
    assert set(reply.warnings) == set(chat.warnings)


# --- audio whose end the server does not say --------------------------------------------------------------------------


def audio_item(talk, item_id, *, names=("added", "done"), committed=False):
    """Hear audio until its commit, and announce the item that it is; gives the audio's size."""
    size = 0
    while (event := talk.hear())["type"] != "input_audio_buffer.commit":
        size += len(event["audio"]) * 3 // 4
    content = [{"type": "input_audio", "transcript": None}]
    item = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
    for name in names:
        talk.say({"type": f"conversation.item.{name}", "previous_item_id": None, "item": item})
    if committed:
        talk.say({"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": None})
    return size


@pytest.mark.parametrize("names", [("added", "done"), ("added",), ("done",), ("created",)])
@pytest.mark.parametrize("provider", [None, "openai"])
@pytest.mark.parametrize("committed", [False, True])
def test_audio_that_only_its_item_says_to_be_committed_is(names, provider, committed):
    def script(talk):
        talk.open()
        for number in (1, 2):
            audio_item(talk, f"item_{number}", names=names, committed=committed)
            talk.answer(f"Answer {number}.", id=f"resp_{number}", item_id=f"answer_{number}")

    with serve(script) as url, connect(url=url, provider=provider, key="sk-not-a-key", timeout=60) as chat:
        for number in (1, 2):
            reply = chat.ask(TONE).wait(20)
            assert (reply.text, reply.warnings) == (f"Answer {number}.", [])
        spoken = [turn for turn in chat.turns if turn.role == "user"]
        assert [turn.audio.seconds for turn in spoken] == [1.0, 1.0]


def test_the_commit_of_the_caller_is_answered_by_its_item():
    def script(talk):
        talk.open()
        audio_item(talk, "item_1")

    with serve(script) as url, connect(url=url, timeout=60) as chat:
        chat.append(bytes(48_000))
        chat.commit().wait(20)


# --- what is said of silence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 40])
def test_what_else_came_is_not_denied(others):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        for _ in range(others):
            talk.say({"type": "rate_limits.updated", "rate_limits": []})
            time.sleep(0.05)

    of = " of the answer" if others else ""
    with serve(script) as url, connect(url=url, timeout=1) as chat, pytest.raises(ServerError) as silent:
        chat.ask("Hi").wait(20)
    assert str(silent.value).startswith(f"The server sent nothing{of} for 1 s, not even that it refused to answer")
