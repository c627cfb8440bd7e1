"""Engine work beside the loop: in order within a session, in turn between sessions, given up when nobody waits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from rtnb.server.engines.engines import canned
from rtnb.server.engines.workers import Workers
from rtnb.server.protocol.effects import Detect, Respond, Speak, Stop, Transcribe, TranscribeStream, Transcript
from rtnb.server.protocol.requests import Request


class Answers:
    """What workers answered, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, ...]] = []
        self._more = threading.Condition()

    def __call__(self, *answer: Any) -> None:
        with self._more:
            self.got.append(answer)
            self._more.notify_all()

    def wait(self, count: int) -> list[tuple[Any, ...]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.got) >= count, 5), self.got
            return list(self.got)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(1) as one:
        yield one


class Echo:
    """A listener that repeats how much it got."""

    made = 0

    def __init__(self) -> None:
        Echo.made += 1
        self.size = 0

    def feed(self, pcm: bytes) -> str | None:
        self.size += len(pcm)
        return str(self.size)

    def finish(self) -> Transcript:
        return Transcript(f"all {self.size}")


def test_what_was_said_and_thought_comes_in_order_and_ends(pool: ThreadPoolExecutor) -> None:
    answers = Answers()
    workers = Workers(canned("Yes."), pool, answers)
    workers.submit(Respond("a", Request()))
    workers.submit(Speak("b", "one two three four five six", "marin"))
    got = answers.wait(6)
    assert [(method, job) for method, job, _ in got] == [("responded", "a")] * 2 + [("spoke", "b")] * 4
    assert (got[0][2].text, got[1][2], got[-1][2]) == ("Yes.", None, None)


def test_a_listener_gets_its_sound_in_order_and_is_forgotten_when_stopped(pool: ThreadPoolExecutor) -> None:
    answers = Answers()
    workers = Workers(replace(canned(), transcribe=lambda language, quiet: Echo()), pool, answers)
    for job in ("a", "b"):
        workers.submit(TranscribeStream(job, bytes(100)))
        workers.submit(TranscribeStream(job, bytes(10)))
    workers.submit(Stop("b"))
    workers.submit(TranscribeStream("a", b"", last=True))
    assert answers.wait(5)[:5] == [
        ("partly_transcribed", "a", "100"),
        ("partly_transcribed", "a", "110"),
        ("partly_transcribed", "b", "100"),
        ("partly_transcribed", "b", "110"),
        ("transcribed", "a", Transcript("all 110")),
    ]


def test_the_last_words_so_far_come_before_the_whole_that_corrects_them(pool: ThreadPoolExecutor) -> None:
    class Correcting(Echo):
        text = "hello Ned there"

        def finish(self) -> Transcript:
            return Transcript("hello, Ned, there")

    answers = Answers()
    workers = Workers(replace(canned(), transcribe=lambda language, quiet: Correcting()), pool, answers)
    workers.submit(TranscribeStream("a", b"", last=True))
    assert answers.wait(2) == [
        ("partly_transcribed", "a", "hello Ned there"),
        ("transcribed", "a", Transcript("hello, Ned, there")),
    ]


def test_work_nobody_waits_for_is_given_up(pool: ThreadPoolExecutor) -> None:
    def endless(wanted: Speak) -> Any:
        while True:
            yield bytes(2)
            time.sleep(0.001)

    answers = Answers()
    workers = Workers(replace(canned(), speak=endless), pool, answers)
    workers.submit(Speak("a", "x", "marin"))
    answers.wait(1)
    workers.submit(Stop("a"))
    workers.submit(Transcribe("b", b""))  # the only thread is free again
    deadline = time.monotonic() + 5
    while answers.got[-1] != ("transcribed", "b", Transcript("")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answers.got[-1] == ("transcribed", "b", Transcript(""))


def test_one_sessions_flood_does_not_keep_another_waiting(pool: ThreadPoolExecutor) -> None:
    class Slow:
        def feed(self, pcm: bytes) -> list[float]:
            time.sleep(0.02)
            return [0.0]

    flood, other = Answers(), Answers()
    flooding = Workers(replace(canned(), vad=Slow), pool, flood)
    flooding.submit(Detect(bytes(48_000 * 400), first=True))  # 400 s at once: 100 pieces
    Workers(canned(), pool, other).submit(Transcribe("b", b""))
    other.wait(1)
    assert len(flood.got) < 20
    flooding.close()


def test_an_engine_that_raises_answers_with_its_error(pool: ThreadPoolExecutor) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("broken")

    answers = Answers()
    workers = Workers(replace(canned(), transcribe=broken, respond=broken, speak=broken), pool, answers)
    for work in (Transcribe("a", b""), Respond("b", Request()), Speak("c", "x", "marin"), TranscribeStream("d", b"x")):
        workers.submit(work)
    assert {(method, job, str(error)) for method, job, error in answers.wait(4)} == {
        ("transcribed", "a", "broken"),
        ("responded", "b", "broken"),
        ("spoke", "c", "broken"),
        ("transcribed", "d", "broken"),
    }
