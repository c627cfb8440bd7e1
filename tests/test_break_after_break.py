"""A session that breaks more than once: every turn stands once, and every reply stays as it was."""

import pytest
from dialogue import serve, until, usage

from rtnb.opening import connect
from rtnb.session.updates import Reconnecting

BREAKS_AFTER = (2, 3, 4)  # turns, after which the socket is gone
TURNS = 6


def speech(number):
    """Half a second that no other answer has."""
    return bytes([number, 0]) * 12_000


class Server:
    """A server whose sessions give ids in one of three ways; it remembers what each session was told of earlier ones.

    Args:
        ids: `"kept"`: it takes the ids it is given, and its own are unique. `"own"`: it gives every item an id of its
            own. `"again"`: each session counts from one, so that ids of another session come back. `"counted"`: so,
            and it takes the ids it is given.
    """

    def __init__(self, ids):
        self.ids = ids
        self.turns = 0
        self.count = 0
        self.told = []

    def new_id(self, kind):
        self.count += 1
        return f"{kind}_{self.count}"

    def session(self, talk):
        if self.ids in ("again", "counted"):
            self.count = 0
        talk.open()
        told = []
        self.told.append(told)
        while len(told) < 2 * self.turns:
            item = talk.expect("conversation.item.create")["item"]
            told.append(item["content"][0]["text"])
            if self.ids in ("own", "again"):
                item = {**item, "id": self.new_id("item")}
            for name in ("added", "done"):
                talk.say({"type": f"conversation.item.{name}", "item": {**item, "status": "completed"}})
        while True:
            self.turns += 1
            number = self.turns
            talk.take_message(self.new_id("item"))
            ids = {"id": self.new_id("resp"), "item_id": self.new_id("item")}
            talk.answer(f"answer {number}", speech(number), **ids, usage=usage(output_text=1))
            if number in BREAKS_AFTER:
                talk.drop()
                return
            if number == TURNS:
                return


@pytest.mark.parametrize("ids", ["kept", "own", "again", "counted"])
def test_any_number_of_breaks_keeps_every_turn_once_and_every_reply_as_it_was(ids):
    server = Server(ids)
    replies, breaks = [], []
    with serve(server.session) as url, connect(url=url, reconnect=True, modalities="audio") as chat:
        chat.subscribe(lambda update: breaks.append(update) if isinstance(update, Reconnecting) else None)
        for number in range(1, TURNS + 1):
            replies.append(chat.ask(f"question {number}").wait(20))
            until(lambda: len(breaks) == sum(after <= number for after in BREAKS_AFTER))  # noqa: B023 - run at once
        said = [f"{kind} {number}" for number in range(1, TURNS + 1) for kind in ("question", "answer")]
        assert [turn.words for turn in chat.turns] == said
        assert [turn.role for turn in chat.turns] == ["user", "assistant"] * TURNS
        for number, reply in enumerate(replies, 1):
            assert (reply.status, reply.text) == ("completed", f"answer {number}")
            assert reply.audio.pcm == speech(number)
        assert len(chat.conversation.responses) == TURNS
        assert len(chat.bill) == TURNS
    # Each new session is given all that was said before it, in its order.
    assert server.told == [said[: 2 * turns] for turns in (0, *BREAKS_AFTER)]


def test_one_refused_turn_of_the_history_leaves_the_others_once():
    def first(talk):
        talk.open()
        for number in (1, 2):
            talk.take_message(f"item_{number}")
            talk.answer(f"answer {number}", id=f"resp_{number}", item_id=f"said_{number}")
        talk.drop()

    def second(talk):
        talk.open()
        for number in range(4):
            event = talk.expect("conversation.item.create")
            if number == 1:
                talk.say({"type": "error", "error": {"message": "Not this.", "event_id": event["event_id"]}})
            else:
                talk.say({"type": "conversation.item.added", "item": event["item"]})
        talk.take_message("item_3")
        talk.answer("answer 3", id="resp_3", item_id="said_3")

    news = []
    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        chat.subscribe(lambda update: news.append(update) if isinstance(update, Reconnecting) else None)
        chat.ask("question 1").wait(10)
        chat.ask("question 2").wait(10)
        until(lambda: news)
        assert chat.ask("question 3").wait(10).text == "answer 3"
        said = [f"{kind} {number}" for number in (1, 2, 3) for kind in ("question", "answer")]
        assert [turn.words for turn in chat.turns] == said


def test_a_turn_the_new_session_would_not_take_is_not_mistaken_for_the_next_one():
    def first(talk):
        talk.open()
        talk.take_message("item_1")
        talk.answer("Hello to you.", id="resp_1", item_id="item_2")
        talk.drop()

    def second(talk):
        talk.open()
        for _ in range(2):
            event = talk.expect("conversation.item.create")
            talk.say({"type": "error", "error": {"message": "No old items.", "event_id": event["event_id"]}})
        talk.take_message("item_3")
        talk.answer("Still here.", id="resp_2", item_id="item_4")

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        news = []
        chat.subscribe(lambda update: news.append(update) if isinstance(update, Reconnecting) else None)
        before = chat.ask("Hello").wait(10)
        until(lambda: news)
        assert chat.ask("Are you there?").wait(10).text == "Still here."
        assert before.text == "Hello to you."
        assert [turn.words for turn in chat.turns] == ["Hello", "Hello to you.", "Are you there?", "Still here."]
        assert any("without all of its history" in warning for warning in chat.warnings)
