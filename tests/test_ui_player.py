"""The player of an answer without a browser: what its page is sent, and when it has been played."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtnb.ui.player import widget as module
from rtnb.ui.player.widget import StreamPlayer

PCM = bytes(2_400)  # 50 ms
WAIT_SECONDS = 20


class Page:
    """The page's end, and the widget that it shows."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sound: list[bytes] = []
        self.closed = False
        self.played = threading.Event()
        self.player = StreamPlayer(self.played.set)
        self.player.widget.close()
        self.player.widget = self
        self.sent = 0

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.heard.append(content)
        self.sound += buffers or []

    def close(self) -> None:
        self.closed = True

    def say(self, kind: str, page: str = "p", **fields: Any) -> None:
        self.sent += 1
        self.player._link.received({"kind": kind, "n": self.sent, "page": page, **fields})

    def speak(self) -> None:
        self.player.push("a", PCM)
        self.player.words("a", "Bring")
        self.player.words("a", "Bring gloves.")
        self.player.end("a")
        self.player.over()

    @property
    def numbers(self) -> list[int]:
        return [content["n"] for content in self.heard]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setattr(module, "_AGAIN_AFTER_SECONDS", ())
    it = Page()
    yield it
    it.player.close()


def test_an_answer_goes_out_as_it_comes_and_words_only_as_far_as_they_are_new(page: Page) -> None:
    page.speak()
    assert page.heard == [
        {"kind": "audio", "n": 1, "item": "a"},
        {"kind": "words", "n": 2, "item": "a", "start": 0, "text": "Bring"},
        {"kind": "words", "n": 3, "item": "a", "start": 5, "text": " gloves."},
        {"kind": "end", "n": 4, "item": "a"},
        {"kind": "over", "n": 5},
    ]
    assert page.sound == [PCM]


def test_a_page_that_cannot_be_heard_is_sent_all_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_AFTER_SECONDS", (0.05, 0.1))
    page.speak()
    until(lambda: page.numbers == [1, 2, 3, 4, 5] * 3)
    assert page.sound == [PCM] * 3


def test_a_page_that_says_that_it_is_there_is_sent_all_at_once_and_nothing_later(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_AFTER_SECONDS", (0.1,))
    page.player.push("a", PCM)
    page.say("hello")
    assert page.numbers == [1, 1]
    until(lambda: not page.player._timers[0].is_alive())
    page.player.push("a", PCM)
    assert page.numbers == [1, 1, 2]


def test_a_page_that_is_reloaded_plays_the_answer_from_its_beginning(page: Page) -> None:
    page.say("hello")
    for _ in range(400):
        page.player.push("a", bytes(48_000))  # 400 s, 19 MB
    page.heard.clear()
    page.player._link.received({"kind": "hello", "n": 1, "page": "again"})
    assert page.numbers == list(range(1, 401))


def test_a_page_that_comes_when_all_is_over_plays_nothing_out_of_the_past(page: Page) -> None:
    page.speak()
    page.heard.clear()
    page.say("hello")
    assert page.heard == []


def test_it_is_over_when_the_page_has_played_it(page: Page) -> None:
    page.speak()
    page.say("hello", ack=True)
    assert not page.played.is_set()
    page.say("played", ack=True)
    assert page.played.is_set()
    assert [content for content in page.heard if content["kind"] == "ack"] == [
        {"kind": "ack", "to": "p", "upto": 1},
        {"kind": "ack", "to": "p", "upto": 2},
    ]


def test_it_is_over_when_its_time_is_up_unless_it_is_held(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE_LATE_SECONDS", 0.0)
    page.say("hello")
    page.say("held", held=True)
    page.speak()
    until(lambda: not any(timer.is_alive() for timer in page.player._timers))
    assert not page.played.is_set()
    page.say("held", held=False)
    assert page.played.wait(WAIT_SECONDS)


def test_a_player_that_was_closed_sends_and_keeps_nothing(page: Page) -> None:
    page.player.push("a", PCM)
    page.player.close()
    assert page.closed
    page.heard.clear()
    page.speak()
    page.say("hello")
    assert page.heard == []


def test_the_time_of_an_answer_that_waits_for_another_is_counted_from_the_others_end(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE_LATE_SECONDS", 0.0)
    monkeypatch.setattr(StreamPlayer, "_speaking_until", 0.0)
    page.player.push("a", bytes(96_000))  # 2 s
    page.player.over()
    second = Page()
    began = time.monotonic()
    second.speak()
    assert second.played.wait(WAIT_SECONDS)
    assert time.monotonic() - began > 1.5
    assert page.played.is_set()
    second.player.close()


def test_an_answer_that_goes_on_after_a_pause_has_its_whole_length_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE_LATE_SECONDS", 0.0)
    page.player.push("a", bytes(48_000))  # 1 s
    page.say("hello")
    page.player.over()
    page.say("held", held=True)
    threading.Event().wait(0.5)  # so long it is held
    page.say("held", held=False)
    began = time.monotonic()
    assert page.played.wait(WAIT_SECONDS)
    assert time.monotonic() - began > 0.9
