"""A live session alone: answers from threads, what is due, and the end, around a machine that only takes notes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from rtnb.server.protocol.effects import Effect, Send
from rtnb.server.server_session import ServerSession


class Machine:
    """Notes what it is given and when."""

    def __init__(self, work_seconds: float = 0.0) -> None:
        self.due: float | None = None
        self.notes: list[Any] = []
        self._work_seconds = work_seconds

    def open(self, now: float) -> list[Effect]:
        return []

    def take(self, now: float, act: Callable[..., list[Effect]] | None = None, *args: Any) -> list[Effect]:
        return act(*args, now) if act else self._advance(now)

    def spoke(self, job: str, piece: int, now: float) -> list[Effect]:
        self.notes.append(piece)
        until = time.perf_counter() + self._work_seconds
        while time.perf_counter() < until:
            pass
        return [Send(now, {"type": "said", "piece": piece})]

    def _advance(self, now: float) -> list[Effect]:
        assert self.due is not None
        self.notes.append(now - self.due)
        self.due = None
        return []

    def receive(self, frame: str | bytes, now: float) -> list[Effect]:
        self.due = now + float(frame)
        return []


class Workers:
    """Gives the answers away, and does nothing itself."""

    def __init__(self, answer: Callable[..., None]) -> None:
        self.answer = answer
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Outlet:
    """Keeps what goes out."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, outputs: list[Any]) -> None:
        self.sent += [output.event["piece"] for output in outputs]


def begin(machine: Machine) -> tuple[ServerSession, Workers, Outlet]:
    made: list[Workers] = []

    def workers(answer: Callable[..., None]) -> Any:
        made.append(Workers(answer))
        return made[0]

    live = ServerSession(machine, workers)
    outlet = Outlet()
    live.senders.append(outlet.send)
    return live, made[0], outlet


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("It did not come.")


def test_answers_from_several_threads_all_come_each_threads_in_order() -> None:
    machine = Machine()

    async def play() -> Outlet:
        live, workers, outlet = begin(machine)

        def answer(first: int) -> None:
            for piece in range(first, first + 5_000):
                workers.answer("spoke", "job1", piece)

        threads = [threading.Thread(target=answer, args=(first,)) for first in (0, 10_000, 20_000)]
        for thread in threads:
            thread.start()
        await until(lambda: len(machine.notes) == 15_000)
        for thread in threads:
            thread.join()
        live.end()
        return outlet

    outlet = asyncio.run(play())
    assert outlet.sent == machine.notes
    for first in (0, 10_000, 20_000):
        assert [piece for piece in machine.notes if first <= piece < first + 10_000] == [*range(first, first + 5_000)]


def test_a_voice_far_ahead_lets_the_others_speak() -> None:
    machine = Machine(work_seconds=0.001)

    async def play() -> int:
        live, workers, _ = begin(machine)
        for piece in range(300):
            workers.answer("spoke", "job1", piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        heard = len(machine.notes)  # somebody else has his turn
        await until(lambda: len(machine.notes) == 300)
        live.end()
        return heard

    assert 0 < asyncio.run(play()) < 100
    assert machine.notes == [*range(300)]


def test_what_is_due_comes_then_and_not_before_and_an_earlier_time_replaces_a_later_one() -> None:
    machine = Machine()

    async def play() -> float:
        live, _, _ = begin(machine)
        live.take("60")
        began = time.perf_counter()
        live.take("0.05")
        await until(lambda: bool(machine.notes))
        live.end()
        return time.perf_counter() - began

    assert 0.05 <= asyncio.run(play()) < 5
    [late] = machine.notes
    assert 0 <= late < 1


def test_after_the_end_nothing_reaches_the_machine() -> None:
    machine = Machine()

    async def play() -> bool:
        live, workers, _ = begin(machine)
        live.take("0.01")
        workers.answer("spoke", "job1", 1)
        live.end()
        workers.answer("spoke", "job1", 2)
        live.take("0.01")
        for _ in range(4000):
            if workers.closed:
                break
            await asyncio.sleep(0.005)
        return workers.closed

    assert asyncio.run(play())
    assert machine.notes == []
