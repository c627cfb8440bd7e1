"""What a call leaves behind, and what a user decides in it: its record, its cuts, its picture, its questions."""

from __future__ import annotations

from typing import Any

import pytest
from dialogue import Talk, serve, until
from test_ui_call import PCM, Page, answer_ended, answering, hear_sound, user_spoke

import rtnb
from rtnb.errors import InputError
from rtnb.money import Cost
from rtnb.protocol.items import Turn
from rtnb.ui.call.record import cost_in_words


class Place:
    """Stands for an output of a cell: keeps what was shown in it last."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def update(self, data: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.shown = data

    @property
    def html(self) -> str:
        return str(self.shown.get("text/html", ""))


def shown(page: Page, count: int = 1) -> list[Place]:
    """Show a call in so many outputs."""
    places = [Place() for _ in range(count)]
    page.call._places += places
    return places


def one_turn(talk: Talk) -> None:
    talk.open()
    hear_sound(talk, len(PCM))
    user_spoke(talk, words="Hello <you>.")
    talk.answer("One two three four.", PCM, expect=False)


def talked(page: Page) -> None:
    """Take one turn to its end."""
    page.start()
    page.say("audio", PCM)
    page.hear("response", on=False)


def test_a_page_is_shown_every_event_when_it_asks_also_one_that_only_looks_on():
    with serve(one_turn) as url:
        page = Page(url)
        page.start()
        onlooker = page.another("onlooker")
        onlooker.say("events")
        early = page.hear("events", to="onlooker")["buffers"][0].decode()
        assert "session.created" in early
        assert "response.done" not in early
        page.say("audio", PCM)
        page.hear("response", on=False)
        page.say("events")
        table = page.hear("events", to="page")["buffers"][0].decode()
        for kind in ("input_audio_buffer.append", "response.output_audio.delta", "response.done"):
            assert kind in table
        page.say("hangup", why="person")


def test_a_call_that_is_over_leaves_its_turns_its_sound_and_its_cost_in_the_cell():
    with serve(one_turn) as url:
        page = Page(url, voice="marin")
        (place,) = shown(page)
        talked(page)
        assert place.shown == {}  # the widget stands there
        page.say("hangup", why="person")
        until(lambda: place.html)
    assert place.shown.keys() == {"text/plain", "text/html"}
    for words in (
        "Live call",
        "marin",
        "You hung up.",
        "Hello &lt;you&gt;.",
        "One two three four.",
        "Run this cell to",
    ):
        assert words in place.html
    assert place.html.count("data:audio/ogg") == 2
    assert "$" in place.html or "price unknown" in place.html
    assert repr(page.call) == place.shown["text/plain"]


def test_where_practice_answers_the_cost_says_that_it_is_free():
    assert cost_in_words(Cost(), "practice") == "$0 at OpenAI, free here"
    assert cost_in_words(Cost(), "openai") == "$0"


def test_two_outputs_of_one_call_store_its_sound_once():
    with serve(one_turn) as url:
        page = Page(url)
        first, last = shown(page, 2)
        talked(page)
        page.call.hang_up().wait(5)
        until(lambda: last.html and first.shown)
    assert (first.html, "data:audio/ogg" in last.html) == ("", True)


def test_a_call_that_never_came_about_says_why():
    def refuse(talk: Talk) -> None:
        talk.drop()

    with serve(refuse) as url:
        page = Page(url)
        (place,) = shown(page)
        page.say("start")
        page.hear("state", state="closed")
        until(lambda: place.html)
    assert page.call.ended
    assert page.call.ended.split(".")[0] in place.html


def test_a_call_that_goes_on_stands_in_its_cell_again():
    def again(talk: Talk) -> None:
        talk.open()
        for number in range(2):
            talk.take_message(f"item_again{number}")

    with serve(one_turn, again) as url:
        page = Page(url)
        (place,) = shown(page)
        talked(page)
        page.say("hangup", why="person")
        until(lambda: place.html)
        page.call._bundle = lambda: {"application/vnd.jupyter.widget-view+json": {}}
        page.start()
        until(lambda: "application/vnd.jupyter.widget-view+json" in place.shown)
        page.call.hang_up().wait(5)
        until(lambda: "One two three four." in place.html)


def test_an_interrupted_answer_shows_its_cut_in_the_turns():
    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.answer("One two three four.", PCM)
        talk.expect("conversation.item.truncate")
        talk.say(
            {"type": "conversation.item.truncated", "item_id": "item_answer", "content_index": 0, "audio_end_ms": 500}
        )

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Count.")
        page.hear("response", on=False)
        page.say("cut", items=[{"item": "item_answer", "played_ms": 500}])
        until(lambda: page.call.turns[-1].truncated_ms)
        page.call.hang_up().wait(5)
    words = "assistant: One two (interrupted after 0.5 s; not heard: three four.)"
    assert repr(page.call.turns[-1]) == words
    assert "not heard: three four." in page.call.turns._repr_html_()
    assert page.call.turns[-1].words == "One two three four."


def test_in_chinese_the_cut_is_in_characters():
    turn = Turn("item", "assistant", transcript="今天天气很好", spoken=True, truncated_ms=500)
    turn.add_audio(PCM)
    assert turn.cut() == ("今天天", "气很好")


@pytest.mark.parametrize("hangs_up", [True, False])
def test_what_was_not_heard_any_more_when_the_call_ended_is_cut_too(hangs_up: bool):
    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        answering(talk)  # two seconds, and it goes on
        while talk.heard[-1]["type"] != "input_audio_buffer.append":
            talk.hear()
        answer_ended(talk)
        if not hangs_up:
            talk.drop()

    with serve(script) as url:
        page = Page(url)
        (place,) = shown(page)
        page.start()
        page.say("say", text="Count.")
        page.hear("audio")
        page.hear("turn", item="item_a")
        cut = {"items": [{"item": "item_a", "played_ms": 1000}]}
        if hangs_up:
            page.say("cut", **cut)
            page.say("hangup", why="person")
        else:
            page.say("audio", PCM)
            page.hear("state", state="closed")
            page.say("cut", **cut)  # the page learns of the end, and then says what it had played
        until(lambda: "not heard: three four." in place.html)
    assert "(interrupted after 1.0 s; not heard: three four.)" in place.html


def test_the_picture_of_a_call_has_all_its_sessions():
    def again(talk: Talk) -> None:
        talk.open()
        for _ in range(2):
            talk.take_message(f"item_{len(talk.heard)}")
        talk.expect("conversation.item.create")
        talk.answer("Five.", PCM, id="resp_2", item_id="item_five")

    with serve(one_turn, again) as url:
        page = Page(url)
        with pytest.raises(InputError, match="not begun"):
            page.call.timeline()
        talked(page)
        once = page.call.timeline()
        page.say("hangup", why="person")
        page.hear("state", state="closed")
        page.start()
        page.say("say", text="And?")
        page.hear("response", on=False)
        page.call.hang_up().wait(5)
    both = page.call.timeline()
    labels = [span.label for span in both.spans if span.kind == "speaking"]
    assert labels == ["One two three four.", "Five."]
    assert len(both.spans) > len(once.spans)
    assert both.spans[-1].start_seconds >= max(span.end_seconds for span in once.spans)


def question(talk: Talk) -> dict[str, Any]:
    """Ask whether a tool may be called, and return the answer."""
    request = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "files", "name": "read"}
    request |= {"arguments": '{"path": "notes"}'}
    response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
    talk.open()
    talk.expect("conversation.item.create")
    talk.expect("response.create")
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": request},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [request]}},
    )
    return talk.expect("conversation.item.create")["item"]


@pytest.mark.parametrize("yes", [True, False])
def test_whether_a_tool_may_be_called_is_asked_in_the_call(yes: bool):
    said: list[dict[str, Any]] = []
    with serve(lambda talk: said.append(question(talk))) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Read my notes.")
        (asked,) = page.hear("approvals", waiting=[{"id": "mcpr_1", "text": 'files.read({"path": "notes"})'}])[
            "waiting"
        ]
        reloaded = page.another("later")
        reloaded.say("hello")
        assert page.hear("approvals", waiting=[asked])
        page.say("approve", id="mcpr_unknown", yes=yes)
        page.say("approve", id="mcpr_1", yes=yes)
        page.hear("approvals", waiting=[])
        page.say("approve", id="mcpr_1", yes=not yes)  # too late
        until(lambda: said)
        page.call.hang_up().wait(5)
    assert (said[0]["type"], said[0]["approve"]) == ("mcp_approval_response", yes)


def test_a_question_that_nobody_answers_ends_with_the_call():
    with serve(question) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Read my notes.")
        while not page.hear("approvals")["waiting"]:
            pass
        page.call.hang_up().wait(5)
        page.hear("approvals", waiting=[])


def test_a_function_of_ones_own_answers_instead():
    asked, said = [], []

    def approve(question: Any) -> bool:
        asked.append(str(question))
        return True

    with serve(lambda talk: said.append(globals()["question"](talk))) as url:
        page = Page(url, approve=approve)
        page.start()
        page.say("say", text="Read my notes.")
        until(lambda: said)
        page.call.hang_up().wait(5)
    assert asked == ['files.read({"path": "notes"})']
    assert said[0]["approve"] is True


def test_push_to_talk_is_a_word_of_its_own():
    asked = []
    with serve(lambda talk: asked.append(talk.open())) as url:
        page = Page(url, push_to_talk=True, speed=1.25)
        page.start()
        page.call.hang_up().wait(5)
    assert asked[0]["audio"]["input"]["turn_detection"] is None
    assert asked[0]["audio"]["output"]["speed"] == 1.25
    with pytest.raises(InputError, match="push_to_talk and for turn_detection"):
        rtnb.call(push_to_talk=True, turn_detection="semantic_vad", show=False)


def test_with_reconnect_the_call_goes_on_by_itself():
    def first(talk: Talk) -> None:
        talk.open()
        hear_sound(talk, len(PCM))
        talk.drop()

    def second(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create", over=("input_audio_buffer.append",))
        talk.answer("Still here.", PCM)

    with serve(first, second) as url:
        page = Page(url, reconnect=True)
        page.start()
        page.say("audio", PCM)
        until(lambda: len([entry for entry in page.call.log if entry.type == "session.created"]) == 2)
        until(lambda: page.call.session.state == "open")
        page.say("say", text="Are you there?")
        page.hear("response", on=False)
        assert page.call.state == "open"
        page.call.hang_up().wait(5)
    assert [turn.words for turn in page.call.turns][-1] == "Still here."
