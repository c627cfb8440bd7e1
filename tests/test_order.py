"""Calls that nobody awaits: what they send goes out in the order they were made."""

import contextlib
import threading

import pytest
from dialogue import serve, until

from rtnb.audio import Clip
from rtnb.errors import ConnectionFailed, ResponseFailed
from rtnb.opening import connect

PCM = b"\1\0" * 2400
MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a note"}]}
SHORT = {
    "input_audio_buffer.append": "append",
    "input_audio_buffer.commit": "commit",
    "input_audio_buffer.clear": "clear",
    "conversation.item.create": "create",
    "conversation.item.delete": "delete",
    "conversation.item.truncate": "truncate",
    "response.create": "respond",
    "response.cancel": "cancel",
    "session.update": "update",
    "x": "send",
}
CALLS = {
    "append": lambda chat: chat.append(PCM),
    "commit": lambda chat: chat.commit(),
    "clear": lambda chat: chat.clear(),
    "create": lambda chat: chat.create(MESSAGE),
    "delete": lambda chat: chat.delete("item_0"),
    "truncate": lambda chat: chat.truncate("item_0", 10),
    "cancel": lambda chat: chat.cancel(),
    "update": lambda chat: chat.update(instructions="Rhyme."),
    "seed": lambda chat: chat.seed([("user", "earlier")]),
    "send": lambda chat: chat.send({"type": "x"}),
    "respond": lambda chat: chat.respond(),
    "side": lambda chat: chat.side("Which language?"),
    "ask": lambda chat: chat.ask("Hi"),
    "ask_clip": lambda chat: chat.ask(Clip.from_pcm(PCM, rate_hz=24_000)),
}
SENT_BY = {
    "seed": ["create"],
    "side": ["respond"],
    "ask": ["create", "respond"],
    "ask_clip": ["append", "commit", "respond"],
}
ORDERS = [
    ("append", "commit", "respond"),
    ("append", "commit", "append", "commit", "respond"),
    ("append", "clear", "append", "commit"),
    ("create", "respond"),
    ("create", "side", "create"),
    ("update", "respond"),
    ("send", "respond"),
    ("seed", "ask"),
    ("commit", "ask"),
    ("delete", "create", "respond"),
    ("truncate", "ask"),
    ("ask", "create", "update"),
    ("ask_clip", "append", "commit"),
    ("respond", "cancel"),
    ("side", "delete"),
]


def hear_all(talk, count):
    """Hear this many events after the session's own configuration, answering none."""
    return [SHORT[talk.hear()["type"]] for _ in range(count)]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("opened", [True, False], ids=["open", "still connecting"])
def test_calls_that_are_not_awaited_go_out_in_their_order(order, opened):
    wanted = [name for call in order for name in SENT_BY.get(call, [call])]
    heard, all_heard, may_open = [], threading.Event(), threading.Event()

    def script(talk):
        may_open.wait(10)
        talk.open()
        heard.extend(hear_all(talk, len(wanted)))
        all_heard.set()

    with serve(script) as url:
        chat = connect(url=url, provider="openai", key="not-a-key")
        if opened:
            may_open.set()
            chat.wait(10)
        handles = [CALLS[call](chat) for call in order]
        may_open.set()
        assert all_heard.wait(10), f"only {heard} of {wanted}"
        assert heard == wanted
        chat.close().wait(10)
        for handle in filter(None, handles):  # nobody answered, and nobody waits on
            with contextlib.suppress(ConnectionFailed):
                handle.wait(10)


def test_what_is_called_during_a_break_goes_to_the_new_session_in_its_order():
    heard, all_heard = [], threading.Event()

    def first(talk):
        talk.open()
        talk.drop()

    def second(talk):
        talk.open()
        heard.extend(hear_all(talk, 5))
        all_heard.set()

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        until(lambda: chat.state != "open")
        chat.append(PCM)
        chat.commit()
        chat.append(PCM)
        chat.create(MESSAGE)
        chat.respond()
        assert all_heard.wait(20)
    assert heard == ["append", "commit", "append", "create", "respond"]


def test_a_question_that_waits_for_an_answer_holds_up_nothing_that_is_called_after_it():
    heard, answered = [], threading.Event()

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        heard.append(talk.hear()["type"])  # called after the second question, while the first is being answered
        answered.wait(10)
        talk.answer("One.", id="resp_1", item_id="item_1", expect=False)
        talk.take_message("item_2")
        talk.answer("Two.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url) as chat:
        first, second = chat.ask("one"), chat.ask("two")
        chat.send({"type": "x"}).wait(10)
        answered.set()
        assert [first.wait(10).text, second.wait(10).text] == ["One.", "Two."]
    assert heard == ["x"]


def test_a_question_cancelled_before_its_turn_sends_nothing_and_lets_the_next_one_go():
    heard = []

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.expect("x")
        talk.answer("One.", id="resp_1", item_id="item_1", expect=False)
        heard.append(talk.take_message("item_2")["content"][0]["text"])
        talk.answer("Three.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url) as chat:
        first, second, third = chat.ask("one"), chat.ask("two"), chat.ask("three")
        second.cancel()
        assert second.wait(10).status == "cancelled"
        chat.send({"type": "x"})
        assert [first.wait(10).text, third.wait(10).text] == ["One.", "Three."]
    assert heard == ["three"]


@pytest.mark.parametrize("takes_cancels", [True, False])
def test_a_question_cancelled_before_its_answer_began_leaves_the_next_one_its_own(takes_cancels):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.expect("response.cancel")
        begun = {"id": "resp_1", "status": "in_progress", "conversation_id": "c", "output": []}
        talk.say({"type": "response.created", "response": begun})
        assert talk.expect("response.cancel")["response_id"] == "resp_1"
        status = "cancelled" if takes_cancels else "completed"
        talk.say({"type": "response.done", "response": {**begun, "status": status}})
        talk.take_message("item_2")
        talk.answer("Two.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url) as chat:
        first = chat.ask("one")
        until(lambda: any(entry.type == "response.create" for entry in chat.log))
        first.cancel()
        second = chat.ask("two")
        assert first.wait(10).status == "cancelled"
        assert second.wait(10).text == "Two."


def test_a_question_beside_an_aside_gets_its_own_answer():
    def script(talk):
        talk.open()
        aside = talk.expect("response.create")["response"]
        talk.take_message()
        talk.expect("response.create")
        for number, conversation, metadata in ((1, None, aside["metadata"]), (2, "c", None)):
            response = {"id": f"resp_{number}", "conversation_id": conversation, "metadata": metadata, "output": []}
            talk.say({"type": "response.created", "response": {**response, "status": "in_progress"}})
            part = {"response_id": f"resp_{number}", "item_id": f"item_{number}"}
            talk.say({"type": "response.output_text.delta", **part, "delta": f"answer {number}"})
        for number in (1, 2):
            talk.say({"type": "response.done", "response": {"id": f"resp_{number}", "status": "completed"}})

    with serve(script) as url, connect(url=url) as chat:
        aside, asked = chat.side("Which language?"), chat.ask("Hi")
        assert (aside.wait(10).text, asked.wait(10).text) == ("answer 1", "answer 2")


@pytest.mark.parametrize("echoes", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize(
    "call",
    [
        lambda chat: chat.ask("Hi", response={"conversation": "none", "metadata": {"topic": "x"}}),
        lambda chat: chat.respond(conversation="none", metadata={"topic": "x"}),
    ],
    ids=["ask", "respond"],
)
def test_an_answer_beside_the_conversation_is_that_of_the_call_that_asked_for_it(call, echoes):
    def script(talk):
        talk.open()
        event = talk.hear()
        if event["type"] == "conversation.item.create":
            talk.say({"type": "conversation.item.added", "item": {**event["item"], "id": "item_1"}})
            event = talk.expect("response.create")
        metadata = event["response"]["metadata"]
        assert metadata["topic"] == "x"
        done = {"conversation_id": None, "metadata": metadata if echoes else None}
        talk.answer("Beside.", expect=False, **done)
        talk.take_message("item_2")
        talk.answer("In it.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url) as chat:
        assert call(chat).wait(10).text == "Beside."
        assert chat.ask("Hi").wait(10).text == "In it."


def test_an_unreadable_end_of_an_aside_ends_the_aside_alone():
    def script(talk):
        talk.open()
        aside = talk.expect("response.create")["response"]
        talk.take_message()
        talk.expect("response.create")
        beside = {"id": "resp_1", "conversation_id": None, "metadata": aside["metadata"], "output": []}
        talk.say({"type": "response.created", "response": {**beside, "status": "in_progress"}})
        talk.answer("Here.", id="resp_2", item_id="item_2", expect=False, status="in_progress")
        talk.socket.send('{"type": "response.done", "response": {"object": "realtime.response", "id": "resp_1", "sta')
        talk.say({"type": "response.done", "response": {"id": "resp_2", "status": "completed"}})

    with serve(script) as url, connect(url=url) as chat:
        aside, asked = chat.side("Which language?"), chat.ask("Hi")
        with pytest.raises(ResponseFailed, match="cannot be read"):
            aside.wait(10)
        assert asked.wait(10).text == "Here."
        assert [e.event["response_id"] for e in chat.log if e.type == "response.cancel"] == ["resp_1"]


def test_sound_that_waits_for_its_turn_is_counted_as_unsent():
    may_open = threading.Event()

    def script(talk):
        may_open.wait(10)
        talk.open()
        talk.take_sound()

    with serve(script) as url:
        chat = connect(url=url)
        chat.append(PCM)
        committed = chat.commit()
        until(lambda: chat.unsent_bytes == len(PCM))
        may_open.set()
        committed.wait(10)
        assert chat.unsent_bytes == 0
        chat.close().wait(10)
