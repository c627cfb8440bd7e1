"""One voice in several frames: Colab shows each output in one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import pytest

import rtnb
from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

OUTPUT = rtnb.Clip.from_pcm(bytes(480_000), rate_hz=24_000, name="ten seconds")._repr_html_()
# What starts by itself, as a live answer does, and what it was told.
ANSWER = (
    "window.told = []; window.it = { start: () => told.push('start'), hush: () => told.push('hush'), sounds: () => 1 }"
)


@pytest.fixture
def frames(tmp_path: Any) -> Iterator[list[Any]]:
    """Open a page whose three outputs are frames of one address, and return the frames."""
    outputs = "".join(f'<iframe srcdoc="{escape(OUTPUT)}"></iframe>' for _ in range(3))
    with lab.chromium() as browser:
        page = browser.new_page()
        page.route("**/*", lambda route: route.fulfill(body=f"<html>{outputs}</html>", content_type="text/html"))
        page.goto("http://localhost:1/")
        frames = page.frames[1:]
        for frame in frames:
            frame.wait_for_selector(".rtnb-audio.on")
            frame.evaluate(ANSWER)
        yield frames


def playing(frame: Any) -> bool:
    return frame.evaluate("!document.querySelector('audio').paused")


def until_told(frame: Any, *told: str) -> None:
    frame.wait_for_function(
        "(told) => JSON.stringify(window.told) === told", arg=str(list(told)).replace("'", '"').replace(" ", "")
    )


def test_what_the_user_starts_pauses_what_plays_in_another_frame(frames: list[Any]) -> None:
    first, second, _ = frames
    first.click(".rtnb-audio button")
    first.wait_for_function("!document.querySelector('audio').paused")
    second.click(".rtnb-audio button")
    first.wait_for_function("document.querySelector('audio').paused")
    assert playing(second)


def test_answers_of_several_frames_speak_one_after_the_other(frames: list[Any]) -> None:
    for frame in frames:
        frame.evaluate("__rtnbVoice.wait(it)")
    first, second, third = frames
    until_told(first, "start")
    assert second.evaluate("told.length") == third.evaluate("told.length") == 0
    first.evaluate("__rtnbVoice.leave(it)")
    until_told(second, "start")
    assert third.evaluate("told.length") == 0
    second.evaluate("__rtnbVoice.leave(it)")
    until_told(third, "start")


def test_an_answer_waits_for_what_the_user_plays_in_another_frame(frames: list[Any]) -> None:
    first, second, _ = frames
    first.click(".rtnb-audio button")
    first.wait_for_function("!document.querySelector('audio').paused")
    second.evaluate("__rtnbVoice.wait(it)")
    assert second.evaluate("new Promise((done) => setTimeout(() => done(told.length), 200))") == 0
    first.click(".rtnb-audio button")
    until_told(second, "start")


def test_the_user_is_heard_before_what_waits_and_it_speaks_afterwards(frames: list[Any]) -> None:
    first, second, third = frames
    first.evaluate("__rtnbVoice.wait(it)")
    until_told(first, "start")
    second.evaluate("__rtnbVoice.wait(it)")
    third.click(".rtnb-audio button")
    until_told(first, "start", "hush")
    assert second.evaluate("told.length") == 0
    third.click(".rtnb-audio button")
    until_told(second, "start")


def test_a_frame_that_is_removed_gives_the_voice_back(frames: list[Any]) -> None:
    first, second, _ = frames
    first.evaluate("__rtnbVoice.wait(it)")
    until_told(first, "start")
    second.evaluate("__rtnbVoice.wait(it)")
    first.page.evaluate("document.querySelector('iframe').remove()")
    until_told(second, "start")


def test_what_left_before_it_was_its_turn_does_not_keep_the_others_waiting(frames: list[Any]) -> None:
    first, second, third = frames
    first.evaluate("__rtnbVoice.wait(it)")
    until_told(first, "start")
    second.evaluate("__rtnbVoice.wait(it)")
    third.evaluate("__rtnbVoice.wait(it)")
    second.evaluate("__rtnbVoice.leave(it)")
    first.evaluate("__rtnbVoice.leave(it)")
    until_told(third, "start")
    assert second.evaluate("told.length") == 0


def test_frames_without_an_address_have_a_voice_each(frames: list[Any]) -> None:
    page = frames[0].page
    page.set_content(f'<iframe sandbox="allow-scripts" srcdoc="{escape(OUTPUT)}"></iframe>')
    frame = page.frames[-1]
    frame.wait_for_selector(".rtnb-audio.on")
    frame.evaluate(ANSWER)
    frame.evaluate("__rtnbVoice.wait(it)")
    until_told(frame, "start")
