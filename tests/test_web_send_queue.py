"""A send queue alone: what is due goes out in its order, also when it is made late, and an end ends it."""

from __future__ import annotations

import asyncio
from typing import Any

from rtnb.web.send_queue import CloseFrame, Drop, Frame, SendQueue


class Connection:
    """Notes what goes out and how."""

    def __init__(self, keeps_up: bool = True) -> None:
        self.keeps_up = keeps_up
        self.transport = self
        self.notes: list[Any] = []

    def send_together(self, texts: list[bytes]) -> None:
        self.notes.append(texts)

    async def send(self, content: bytes, *, text: bool) -> None:
        self.notes.append(content)

    async def close(self, code: int, reason: str) -> None:
        self.notes.append((code, reason))

    def abort(self) -> None:
        self.notes.append("dropped")


def play(connection: Connection, *batches: list[tuple[float, Any]], seconds: float = 0.3) -> list[bytes]:
    """Send batches of (seconds from now, text or end) one after another; return what was reported as sent."""
    sent: list[bytes] = []

    async def run() -> None:
        queue = SendQueue(connection, on_send=sent.append)  # type: ignore[arg-type]
        now = asyncio.get_running_loop().time()
        for batch in batches:
            queue.send([end if isinstance(end, CloseFrame | Drop) else Frame(now + after, end) for after, end in batch])
        await asyncio.sleep(seconds)
        await queue.finish()

    asyncio.run(run())
    return sent


def test_what_is_due_goes_out_at_once_and_together() -> None:
    connection = Connection()
    assert play(connection, [(0, b"one"), (0, b"two")], [(0, b"three")], seconds=0) == [b"one", b"two", b"three"]
    assert connection.notes == [[b"one", b"two"], [b"three"]]


def test_who_does_not_keep_up_gets_them_one_by_one() -> None:
    connection = Connection(keeps_up=False)
    assert play(connection, [(0, b"one"), (0, b"two")]) == [b"one", b"two"]
    assert connection.notes == [b"one", b"two"]


def test_what_is_due_earlier_overtakes_what_waits_and_equals_keep_their_order() -> None:
    connection = Connection()
    sent = play(connection, [(0.1, b"late"), (0.1, b"later")], [(0, b"early")])
    assert sent == connection.notes == [b"early", b"late", b"later"]


def test_a_text_made_when_it_is_due_knows_what_happened_until_then_and_may_be_none() -> None:
    connection, made = Connection(), []

    def make() -> bytes:
        made.append(list(connection.notes))
        return b"made"

    assert play(connection, [(0.05, make), (0.06, lambda: None)], [(0, b"before")]) == [b"before", b"made"]
    assert made == [[b"before"]]


def test_nothing_follows_an_end() -> None:
    for end, noted in ((CloseFrame(0, 1001, "x" * 200), (1001, "x" * 120)), (Drop(0), "dropped")):
        connection = Connection()
        assert play(connection, [(0, end), (0.05, b"after")]) == []
        assert connection.notes == [noted]
