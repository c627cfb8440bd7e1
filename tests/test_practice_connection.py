"""One client's connection alone: in what order messages come, who waits for whom, on both event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from rtnb.server import server
from rtnb.web.connection import Connection

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on one of the loops that the server may run on."""
    factory = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not to be had on this system").new_event_loop

    def on_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(coroutine, 30))

    return on_loop


@asynccontextmanager
async def serving(handle: Callable[[Any], Coroutine[Any, Any, None]]) -> AsyncIterator[str]:
    """The URL of a server that gives each connection to `handle`."""
    async with serve(handle, "127.0.0.1", 0, create_connection=Connection, compression=None) as listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


class Ears:
    """Whoever listens on the server's side."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self._more = asyncio.Event()

    def take(self, frame: str | bytes) -> None:
        self.heard.append(frame)
        self._more.set()

    async def listen(self, connection: Connection) -> None:
        await connection.listen(self.take)

    async def until(self, count: int) -> None:
        """Wait until so many messages have come."""
        while len(self.heard) < count:
            self._more.clear()
            await self._more.wait()


def test_whole_broken_up_and_binary_messages_come_in_the_order_they_were_sent(run: Run) -> None:
    ears = Ears()

    async def play() -> None:
        async with serving(ears.listen) as url, connect(url) as client:
            for message in ["one", ["t", "w", "o"], "three", b"four", "five", ["six"], "seven"]:
                await client.send(message)
            await ears.until(7)
            await client.send("eight")  # straight from the network again, once the queue is empty
            await ears.until(8)

    run(play())
    assert ears.heard == ["one", "two", "three", b"four", "five", "six", "seven", "eight"]


def test_what_came_before_anybody_listened_is_not_lost(run: Run) -> None:
    ears = Ears()

    async def late(connection: Connection) -> None:
        await asyncio.sleep(0.1)
        await ears.listen(connection)

    async def play() -> None:
        async with serving(late) as url, connect(url) as client:
            await client.send("early")
            await client.send("too")
            await ears.until(2)

    run(play())
    assert ears.heard == ["early", "too"]


@pytest.mark.parametrize("message", ["a whole text", ["in ", "pieces"]])
def test_a_fault_of_ours_ends_the_connection_with_1011_and_is_raised(run: Run, message: Any) -> None:
    raised: list[BaseException] = []

    def fail(frame: str | bytes) -> None:
        raise RuntimeError(f"no idea what to do with {frame!r}")

    async def handle(connection: Connection) -> None:
        try:
            await connection.listen(fail)
        except RuntimeError as error:
            raised.append(error)
            await connection.close(1011)

    async def play() -> int | None:
        async with serving(handle) as url, connect(url) as client:
            await client.send(message)
            await client.wait_closed()
            return client.protocol.close_code  # websockets 14.0 tells it there only

    assert run(play()) == 1011
    assert [str(error).split("with ")[1] for error in raised] == [repr("".join(message))]


def test_a_text_that_is_none_is_refused_as_the_protocol_asks(run: Run) -> None:
    ears = Ears()

    async def play() -> int | None:
        async with serving(ears.listen) as url, connect(url) as client:
            await client.send(b"\xff\xfe", text=True)
            await client.wait_closed()
            return client.protocol.close_code  # websockets 14.0 tells it there only

    assert run(play()) == 1007
    assert ears.heard == []


def test_who_floods_waits_for_the_others(run: Run) -> None:
    ears = Ears()

    def work(frame: str | bytes) -> None:
        ears.take(frame)
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass

    async def play() -> None:
        async with (
            serving(lambda connection: connection.listen(work)) as url,
            connect(url) as flooding,
            connect(url) as quiet,
        ):
            for _ in range(500):
                await flooding.send("me")
            await quiet.send("and me?")
            await ears.until(501)

    run(play())
    assert ears.heard.index("and me?") < 100
    assert ears.heard.count("me") == 500


def test_several_messages_in_one_write_are_several_messages(run: Run) -> None:
    async def speak(connection: Connection) -> None:
        assert connection.keeps_up
        connection.send_together([b"one", "zwölf".encode(), b"x" * 70_000])
        await connection.wait_closed()
        assert not connection.keeps_up

    async def play() -> list[str | bytes]:
        async with serving(speak) as url, connect(url) as client:
            return [await client.recv() for _ in range(3)]

    assert run(play()) == ["one", "zwölf", "x" * 70_000]


def test_a_client_that_reads_nothing_does_not_keep_up(run: Run) -> None:
    async def play() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def speak(connection: Connection) -> None:
            sent = 0
            while connection.keeps_up and sent < 5_000:
                connection.send_together([b"x" * 60_000])
                sent += 1
                await asyncio.sleep(0)
            told.set_result(sent)
            connection.transport.abort()

        async with serving(speak) as url, connect(url, max_queue=1, close_timeout=0.1):  # and `recv` is never called
            return await told

    assert 1 < run(play()) < 5_000


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_the_practice_server_answers_on_either_loop(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if fast:
        pytest.importorskip("uvloop", reason="uvloop is not to be had on this system")
    else:
        monkeypatch.setattr(server, "_fast_loop", lambda: None)

    async def play(practice: server.Practice) -> list[str]:
        kinds = []
        headers = {"Authorization": "Bearer practice"}
        async with connect(practice.url + "?model=gpt-realtime", additional_headers=headers) as client:
            await client.send('{"type": "response.create"}')
            while "response.done" not in kinds:
                kinds.append(str(await client.recv()).split('"')[3])
        return kinds

    with server.start(engines=False, seed=3, pace=100) as practice:
        kinds = asyncio.run(play(practice))
        assert type(practice._loop).__module__.startswith("uvloop") == fast
    assert kinds[:2] == ["session.created", "response.created"]
    assert kinds.count("response.output_audio.delta") > 5
