"""A live call as a dialogue of three: the page, the kernel, the server."""

from __future__ import annotations

import base64
import copy
import json
import queue
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dialogue import Talk, serve, usage

import rtnb
from rtnb.errors import AudioError, InputError
from rtnb.session.history import words_heard
from rtnb.ui.call.widget import Call

SECOND = np.sin(np.arange(24_000) * 0.1).astype(np.float32)
PCM = (SECOND * 9000).astype("<i2").tobytes()


class Page:
    """A page with one call in it, without a browser."""

    def __init__(self, url: str, page: str = "page", **options: Any) -> None:
        self.told: queue.Queue[tuple[dict[str, Any], list[bytes]]] = queue.Queue()
        self.all: list[dict[str, Any]] = []
        self.name = page
        self.n = 0
        self.call: Call = rtnb.call(url=url, key="sk-none", show=False, **options)
        self.link = self.call._engine.link
        self.link._send = lambda content, buffers: self.told.put((content, buffers or []))
        self.say("hello")
        self.hear("welcome")

    def another(self, name: str) -> Page:
        """Another page that shows the same call; what it is told is heard here."""
        it = copy.copy(self)
        it.name, it.n = name, 0
        return it

    def say(self, kind: str, *buffers: bytes, **fields: Any) -> None:
        self.n += 1
        self.link.received({"kind": kind, "n": self.n, "page": self.name, **fields}, buffers)

    def hear(self, kind: str, **like: Any) -> dict[str, Any]:
        """Hear until a message of this kind that has these fields."""
        deadline = time.monotonic() + 10
        while True:
            content, buffers = self.told.get(timeout=max(0.01, deadline - time.monotonic()))
            self.all.append(content)
            if content["kind"] == kind and all(content.get(k) == v for k, v in like.items()):
                return {**content, "buffers": buffers}

    def start(self) -> None:
        self.say("start")
        self.hear("state", state="open")


def user_spoke(talk: Talk, item_id: str = "item_1", previous: str | None = None, words: str = "Hello.") -> None:
    """What the server says when it has heard somebody speak and stop."""
    item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
    item["content"] = [{"type": "input_audio", "transcript": None}]
    talk.say(
        {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 800},
        {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous},
        {"type": "conversation.item.added", "previous_item_id": previous, "item": item},
        {"type": "conversation.item.done", "previous_item_id": previous, "item": item},
    )
    talk.say(
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": item_id,
            "content_index": 0,
            "transcript": words,
            "usage": {"type": "duration", "seconds": 1},
        }
    )


def hear_sound(talk: Talk, size: int) -> bytes:
    pcm = b""
    while len(pcm) < size:
        pcm += base64.b64decode(talk.expect("input_audio_buffer.append")["audio"])
    return pcm


def test_a_call_says_what_it_is_before_anybody_clicks():
    call = rtnb.call(practice=True, show=False)
    assert repr(call) == "Call(ready, 0 turns)"
    assert (call.state, call.turns, call.cost.usd, list(call.log), call.source) == ("ready", [], 0, [], "")


def test_an_argument_the_api_does_not_have_is_refused_at_once():
    with pytest.raises(InputError, match="server_vad"):
        rtnb.call(turn_detection="loud", show=False)
    with pytest.raises(InputError):
        rtnb.call(tools=[3], show=False)


def test_without_a_key_it_says_in_the_cell_who_answers(capsys, monkeypatch):
    monkeypatch.setattr("rtnb.keys.lookup", lambda *_: None)
    call = rtnb.call(show=False)
    assert "practice server" in capsys.readouterr().out
    assert call._settings["practice"] is True


def test_what_is_said_before_the_line_is_open_is_not_lost():
    wait = threading.Event()
    heard = []

    def script(talk: Talk) -> None:
        wait.wait(5)
        asked = talk.open()
        assert asked["audio"]["input"]["turn_detection"] == {"type": "server_vad"}
        assert asked["audio"]["input"]["transcription"]
        heard.append(hear_sound(talk, 2 * len(PCM)))

    with serve(script) as url:
        page = Page(url)
        page.say("start")
        page.hear("state", state="connecting")
        page.say("audio", PCM)
        wait.set()
        page.hear("state", state="open")
        page.say("audio", PCM[::-1])
        deadline = time.monotonic() + 5
        while not heard and time.monotonic() < deadline:
            time.sleep(0.02)
        page.call.hang_up().wait(5)
    assert heard == [PCM + PCM[::-1]]


def test_a_turn_as_the_page_is_told_of_it():
    def script(talk: Talk) -> None:
        talk.open()
        hear_sound(talk, len(PCM))
        user_spoke(talk, words="Hello you.")
        talk.answer("Good day.", PCM, expect=False)

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("audio", PCM)
        assert page.hear("speech")["silence"] is True
        page.hear("committed", item="item_1")
        sound = b""
        while len(sound) < len(PCM):
            sound += page.hear("audio", item="item_answer")["buffers"][0]
        assert sound == PCM
        page.hear("audio_end", item="item_answer")
        user = next((m for m in page.all if m["kind"] == "turn" and m["role"] == "user" and not m["open"]), None)
        user = user or page.hear("turn", role="user", open=False)
        assert (user["text"], user["after"]) == ("Hello you.", None)
        answer = page.hear("turn", role="assistant", open=False)
        assert (answer["text"], answer["after"], answer["audio_ms"]) == ("Good day.", "item_1", 1000)
        assert [t.words for t in page.call.turns] == ["Hello you.", "Good day."]
        assert page.call.cost.usd is not None
        page.call.hang_up().wait(5)
        assert page.hear("state")["text"] == "You hung up."


def test_the_line_of_the_person_stays_open_until_it_is_transcribed():
    go = threading.Event()

    def script(talk: Talk) -> None:
        talk.open()
        talk.say({"type": "input_audio_buffer.committed", "item_id": "item_1", "previous_item_id": None})
        go.wait(5)
        talk.say(
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "item_1",
                "content_index": 0,
                "transcript": "At last.",
            }
        )

    with serve(script) as url:
        page = Page(url)
        page.start()
        assert page.hear("turn", item="item_1")["open"] is True
        go.set()
        closed = page.hear("turn", item="item_1", open=False)
        assert closed["text"] == "At last."
        page.call.hang_up().wait(5)


def test_speaking_over_the_answer_truncates_it_to_what_was_played():
    cuts = []

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.answer("One two three four.", PCM)
        talk.say({"type": "input_audio_buffer.speech_started", "item_id": "item_9", "audio_start_ms": 0})
        cuts.append(talk.expect("conversation.item.truncate"))
        talk.say(
            {"type": "conversation.item.truncated", "item_id": "item_answer", "content_index": 0, "audio_end_ms": 412}
        )

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Count.")
        page.hear("speech", on=True, silence=True)
        page.say("cut", items=[{"item": "item_answer", "played_ms": 412}])
        turn = page.hear("turn", item="item_answer", played_ms=412)
        assert turn["audio_ms"] == 1000
        page.call.hang_up().wait(5)
    assert (cuts[0]["item_id"], cuts[0]["content_index"], cuts[0]["audio_end_ms"]) == ("item_answer", 0, 412)


def test_what_was_played_to_its_end_is_not_truncated_and_more_than_came_is_clamped():
    sent = []

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.answer("One.", PCM)
        talk.expect("input_audio_buffer.append")
        sent.extend(event["type"] for event in talk.heard)

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Count.")
        page.hear("response", on=False, status="completed")
        page.say("cut", items=[{"item": "item_answer", "played_ms": 1600}, {"item": "item_unknown", "played_ms": 3}])
        page.say("audio", PCM)
        time.sleep(0.3)
        page.call.hang_up().wait(5)
    assert "conversation.item.truncate" not in sent


def test_stop_cancels_holds_the_sound_back_and_races_are_not_told():
    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.expect("response.create")
        part = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
        item = {"id": "item_a", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
        delta = {"type": "response.output_audio.delta", **part, "delta": base64.b64encode(PCM).decode()}
        talk.say(
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
            delta,
        )
        cancel = talk.expect("response.cancel")
        truncate = talk.expect("conversation.item.truncate")
        assert truncate["audio_end_ms"] == 250
        # A few deltas may still arrive, and the cancel may have come too late.
        talk.say(delta, delta)
        for event, code in ((cancel, "response_cancel_not_active"), (truncate, "item_truncate_invalid_item_id")):
            error = {"type": "invalid_request_error", "code": code, "message": "no", "event_id": event["event_id"]}
            talk.say({"type": "error", "error": error})
        done = {
            **response,
            "status": "cancelled",
            "status_details": {"type": "cancelled", "reason": "client_cancelled"},
        }
        talk.say({"type": "response.done", "response": done})

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Talk.")
        page.hear("audio")
        page.say("stop", items=[{"item": "item_a", "played_ms": 250}])
        page.all.clear()
        page.hear("response", on=False, status="cancelled")
        time.sleep(0.2)
        page.call.hang_up().wait(5)
        page.hear("state", state="closed")
    assert not [m for m in page.all if m["kind"] in ("audio", "notice")]


def test_an_answer_whose_sound_never_reached_the_page_is_truncated_to_nothing():
    cuts = []
    spoken = threading.Event()

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.answer("Long.", PCM * 8, item_id="item_long")  # more than goes ahead at once
        talk.answer("Next.", PCM, id="resp_2", item_id="item_next", expect=False)
        spoken.set()
        talk.say({"type": "input_audio_buffer.speech_started", "item_id": "item_9", "audio_start_ms": 0})
        for _ in range(2):
            event = talk.expect("conversation.item.truncate")
            cuts.append((event["item_id"], event["audio_end_ms"]))

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Talk.")
        page.hear("speech", on=True)
        page.say("cut", items=[{"item": "item_long", "played_ms": 900}])
        deadline = time.monotonic() + 5
        while len(cuts) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        page.call.hang_up().wait(5)
    assert cuts == [("item_long", 900), ("item_next", 0)]


def test_push_to_talk_commits_and_asks():
    def script(talk: Talk) -> None:
        assert talk.open()["audio"]["input"]["turn_detection"] is None
        assert talk.take_sound() == PCM
        talk.answer("Heard.", PCM)
        talk.expect("input_audio_buffer.append")
        talk.expect("input_audio_buffer.clear")

    with serve(script) as url:
        page = Page(url, turn_detection=None)
        page.start()
        page.say("audio", PCM)
        page.say("commit")
        page.hear("response", on=False, status="completed")
        page.say("audio", PCM[:960])
        page.say("commit")
        assert page.hear("notice")["code"] == "too_short"
        page.call.hang_up().wait(5)


def test_tools_are_called_in_a_call_too():
    def weather(city: str) -> str:
        """The weather somewhere.

        Args:
            city: Where.
        """
        return f"3 °C in {city}"

    outputs = []

    def script(talk: Talk) -> None:
        assert talk.open()["tools"][0]["name"] == "weather"
        hear_sound(talk, len(PCM))
        user_spoke(talk, words="Weather in Oslo?")
        call = {"id": "item_f", "type": "function_call", "name": "weather", "call_id": "call_1", "status": "completed"}
        call["arguments"] = '{"city": "Oslo"}'
        response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
        talk.say(
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": call},
            {"type": "conversation.item.added", "previous_item_id": "item_1", "item": call},
            {"type": "conversation.item.done", "previous_item_id": "item_1", "item": call},
            {"type": "response.done", "response": {**response, "status": "completed", "output": [call]}},
        )
        outputs.append(talk.expect("conversation.item.create")["item"])
        item = {**outputs[0], "id": "item_o"}
        talk.say({"type": "conversation.item.added", "previous_item_id": "item_f", "item": item})
        talk.answer("It is three degrees.", PCM, id="resp_2")

    with serve(script) as url:
        page = Page(url, tools=[weather])
        page.start()
        page.say("audio", PCM)
        shown = page.hear("turn", role="tool", text="weather(city='Oslo') → 3 °C in Oslo")
        assert shown["after"] == "item_1"
        answer = page.hear("turn", role="assistant", open=False)
        assert answer["after"] == "item_f"
        page.call.hang_up().wait(5)
    assert outputs[0]["output"] == "3 °C in Oslo"


def test_a_failed_answer_is_told_in_the_servers_words():
    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded sk-abc123."}
        talk.answer("", status="failed", status_details={"type": "failed", "error": error})

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Hi.")
        told = page.hear("response", on=False)
        assert (told["status"], told["code"]) == ("failed", "insufficient_quota")
        assert "abc123" not in told["text"]
        page.call.hang_up().wait(5)


def test_a_refused_key_ends_it_before_it_began():
    def script(talk: Talk) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "invalid_api_key",
            "message": "Incorrect API key: sk-xx***AAAA.",
        }
        talk.say({"type": "error", "error": error})
        talk.socket.close(3000, "invalid_request_error.invalid_api_key")

    with serve(script) as url:
        page = Page(url)
        page.say("start")
        closed = page.hear("state", state="closed")
        assert closed["text"].startswith("Your key was refused")
        assert "AAAA" not in closed["text"]
        assert page.call.state == "closed"


def test_after_a_lost_socket_the_history_goes_to_the_new_one_as_text():
    seeds = []

    def first(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        item = {"id": "item_u", "type": "message", "role": "user", "status": "completed"}
        item["content"] = [{"type": "input_text", "text": "I am Ada."}]
        talk.say({"type": "conversation.item.added", "previous_item_id": None, "item": item})
        talk.answer("Hello Ada.", PCM)
        talk.drop()

    def second(talk: Talk) -> None:
        talk.open()
        for number in range(2):
            item = talk.expect("conversation.item.create")["item"]
            seeds.append((item["role"], item["content"][0]["type"], item["content"][0]["text"]))
            talk.say({"type": "conversation.item.added", "item": {**item, "id": f"item_s{number}"}})
        talk.expect("conversation.item.create")
        talk.answer("Still here.", PCM, id="resp_3", item_id="item_b")

    with serve(first, second) as url:
        page = Page(url)
        page.start()
        page.say("say", text="I am Ada.")
        closed = page.hear("state", state="closed")
        assert closed["reason"] == "dropped"
        page.start()
        page.say("say", text="Are you there?")
        page.hear("turn", text="Still here.", open=False)
        assert [t.words for t in page.call.turns if t.role == "assistant"] == ["Hello Ada.", "Still here."]
        assert not [m for m in page.all if m["kind"] == "turn" and m["item"].startswith("item_s")]
        assert len(page.call.log) > len(page.call.session.log)
        page.call.hang_up().wait(5)
    assert seeds == [("user", "input_text", "I am Ada."), ("assistant", "output_text", "Hello Ada.")]


def test_of_an_answer_that_was_spoken_over_only_what_was_heard_is_history():
    from rtnb.protocol.conversation import Turn

    said = Turn("a", role="assistant", transcript="one two three four", truncated_ms=500, audio_bytes=48_000)
    whole = Turn("b", role="user", transcript="hello")
    assert [(turn.role, words_heard(turn, " …")) for turn in (said, whole)] == [
        ("assistant", "one two …"),
        ("user", "hello"),
    ]
    said.transcript = "今天天气很好我们"  # no spaces to cut at
    assert (said.role, words_heard(said, " …")) == ("assistant", "今天天气 …")


def answering(talk: Talk, words: str = "One two three four.", pcm: bytes = PCM * 2) -> None:
    """The beginning of an answer that goes on for long."""
    part = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
    item = {"id": "item_a", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    response = {"id": "resp_1", "status": "in_progress", "output": [], "conversation_id": "conv_1"}
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        {"type": "response.output_audio_transcript.delta", **part, "delta": words},
        {"type": "response.output_audio.delta", **part, "delta": base64.b64encode(pcm).decode()},
    )


def answer_ended(talk: Talk) -> None:
    details = {"type": "cancelled", "reason": "client_cancelled"}
    talk.say(
        {
            "type": "response.done",
            "response": {"id": "resp_1", "status": "cancelled", "status_details": details, "output": []},
        }
    )


def test_another_tab_cannot_talk_into_the_call_but_can_take_it_over():
    heard = []

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.expect("response.create")
        answering(talk)
        heard.append(talk.expect("input_audio_buffer.clear")["type"])
        heard.append(talk.expect("response.cancel")["type"])
        heard.append(talk.expect("conversation.item.truncate")["audio_end_ms"])
        answer_ended(talk)
        heard.append(hear_sound(talk, len(PCM)))

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Count.")
        page.hear("audio")
        other = page.another("other")
        other.say("hello")
        welcome = page.hear("welcome", to="other")
        assert (welcome["state"], welcome["owner"], welcome["away"]) == ("open", "page", False)
        other.say("audio", b"xx")
        other.say("hangup")
        assert page.call.state == "open"
        other.say("start")
        assert page.hear("state", owner="other")["state"] == "open"
        page.say("cut", items=[{"item": "item_a", "played_ms": 700}])
        page.say("audio", b"yy")
        page.hear("response", on=False)
        other.say("audio", PCM)
        page.call.hang_up().wait(5)
    assert heard == ["input_audio_buffer.clear", "response.cancel", 700, PCM]


def test_a_page_that_is_reloaded_finds_the_same_call_and_goes_on_in_the_same_session():
    heard = []

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.expect("response.create")
        answering(talk)
        talk.expect("input_audio_buffer.clear")
        talk.expect("response.cancel")
        heard.append(talk.expect("conversation.item.truncate")["audio_end_ms"])
        answer_ended(talk)
        heard.append(hear_sound(talk, len(PCM)))

    with serve(script) as url:
        page = Page(url)
        page.start()
        page.say("say", text="Count.")
        page.hear("audio")
        # The last word of a page comes though a message before it was lost.
        page.link.received({"kind": "bye", "page": "page", "items": [{"item": "item_a", "played_ms": 300}]})
        assert page.hear("state", away=True)["state"] == "open"
        page.hear("response", on=False)
        back = page.another("back")
        back.say("hello")
        welcome = page.hear("welcome", to="back")
        assert (welcome["state"], welcome["owner"], welcome["away"]) == ("open", "", True)
        assert page.hear("turn", to="back", role="assistant")["played_ms"] == 300
        session = page.call.session
        back.say("start")
        page.hear("state", owner="back", away=False)
        back.say("audio", PCM)
        deadline = time.monotonic() + 5
        while len(heard) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert page.call.session is session
        page.call.hang_up().wait(5)
    assert heard == [300, PCM]


def test_what_a_tool_brings_while_nobody_is_there_is_answered_when_somebody_is():
    gone, ran = threading.Event(), threading.Event()

    def slow() -> str:
        """Take your time."""
        gone.wait(5)
        return "done"

    order = []

    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.expect("response.create")
        call = {"id": "item_f", "type": "function_call", "name": "slow", "call_id": "call_1", "arguments": "{}"}
        response = {"id": "resp_1", "status": "completed", "output": [call], "conversation_id": "conv_1"}
        talk.say(
            {"type": "response.created", "response": {**response, "output": [], "status": "in_progress"}},
            {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": call},
            {"type": "conversation.item.added", "previous_item_id": None, "item": call},
            {"type": "response.done", "response": response},
        )
        talk.expect("conversation.item.create", over=("input_audio_buffer.clear",))
        ran.set()
        talk.expect("response.create", over=("input_audio_buffer.clear",))
        order.append("answered")

    with serve(script) as url:
        page = Page(url, tools=[slow])
        page.start()
        page.say("say", text="Do it.")
        page.hear("response", on=False)
        page.link.received({"kind": "bye", "page": "page", "items": []})
        page.hear("state", away=True)
        gone.set()
        assert ran.wait(5)
        time.sleep(0.2)
        assert order == []
        page.another("back").say("start")
        deadline = time.monotonic() + 5
        while not order and time.monotonic() < deadline:
            time.sleep(0.02)
        page.call.hang_up().wait(5)
    assert order == ["answered"]


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_line_with_nobody_there_is_not_held_for_long(monkeypatch, goodbye: bool):
    monkeypatch.setattr("rtnb.ui.call.engine._HEARTBEAT_SECONDS", 0.05)
    limit = "_PAGE_BACK_SECONDS" if goodbye else "_PAGE_GONE_SECONDS"
    monkeypatch.setattr(f"rtnb.ui.call.engine.{limit}", 0.4)

    def script(talk: Talk) -> None:
        talk.open()
        talk.hear()  # until it is closed

    with serve(script) as url:
        page = Page(url)
        page.start()
        if goodbye:
            page.link.received({"kind": "bye", "page": "page", "items": []})
        closed = page.hear("state", state="closed")
        assert (closed["reason"], closed["away"]) == ("page", False)
        assert page.call.ended == "Nobody was on the page any more, so the call was ended."


def test_a_kernel_that_runs_a_cell_does_not_take_the_page_for_gone(monkeypatch):
    monkeypatch.setattr("rtnb.ui.call.engine._HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr("rtnb.ui.call.engine._PAGE_GONE_SECONDS", 0.3)
    monkeypatch.setattr("rtnb.ui.shared.waiting.free_seconds", lambda: 0.0)

    def script(talk: Talk) -> None:
        talk.open()
        talk.hear()

    with serve(script) as url:
        page = Page(url)
        page.start()
        time.sleep(0.8)
        assert page.call.state == "open"
        page.call.hang_up().wait(5)


def test_the_budget_ends_the_call():
    def script(talk: Talk) -> None:
        talk.open()
        talk.expect("conversation.item.create")
        talk.answer("Costly.", PCM, usage=usage(output_audio=100_000))

    with serve(script) as url:
        page = Page(url, budget=0.1, model="gpt-realtime-2.1", provider="openai")
        page.start()
        page.say("say", text="Hi.")
        closed = page.hear("state", state="closed")
        assert closed["reason"] == "budget"


def test_saving_words_sound_and_events(tmp_path: Path):
    def script(talk: Talk) -> None:
        talk.open()
        hear_sound(talk, len(PCM))
        user_spoke(talk, words="Hello you.")
        talk.answer("Good day.", PCM, expect=False)

    with serve(script) as url:
        page = Page(url)
        with pytest.raises(InputError, match="no turns"):
            page.call.save(tmp_path / "early.txt")
        page.start()
        page.say("audio", PCM)
        page.hear("turn", role="assistant", open=False)
        page.hear("response", on=False) if not any(m["kind"] == "response" and not m["on"] for m in page.all) else None
        page.call.hang_up().wait(5)
        call = page.call
    assert call.save(tmp_path / "call.txt").read_text() == "You: Hello you.\n\nAnswer: Good day.\n"
    clip = rtnb.Clip.read(call.save(tmp_path / "call.wav"))
    assert clip.seconds == pytest.approx(1.0 + 0.8 + 0.4, abs=0.1)
    lines = [json.loads(line) for line in call.save(tmp_path / "call.jsonl").read_text().splitlines()]
    assert lines[0]["type"] == "session.created"
    assert "sk-none" not in (tmp_path / "call.jsonl").read_text()
    folder = call.save(tmp_path / "all")
    assert sorted(path.name for path in folder.iterdir()) == ["call.jsonl", "call.md", "call.opus"]
    with pytest.raises(AudioError):
        call.save(tmp_path / "call.xyz")
