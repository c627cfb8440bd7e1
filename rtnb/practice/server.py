"""The practice server: sockets and HTTP around the protocol's state machine, on a thread and a loop of its own."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from rtnb.practice.doors import Admission, Refusal, Secrets, admit
from rtnb.practice.engines import Engines, Workers, canned, installed
from rtnb.practice.live import Live, Outlet, encode
from rtnb.practice.outputs import Close, Ids, Send
from rtnb.practice.script import Options, Script

__all__ = ["Practice", "start"]

_log = logging.getLogger("rtnb.practice")
_PING_SECONDS = 20.26  # recorded, with a payload of 4 bytes
_FRAME_BYTES = 32 * 1024 * 1024  # one append of 15 MiB is 20 MiB of base64


class Practice:
    """A running practice server. Close it, or use it in a `with` or `async with`.

    Attributes:
        url: `ws://127.0.0.1:PORT/v1/realtime`, for WebSocket clients.
        base_url: `http://127.0.0.1:PORT/v1`, for OpenAI's own clients.
    """

    def __init__(self, host: str, port: int, options: Options, engines: Engines, *, seed: int | None) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._engines = engines
        self._seed = seed
        self._number = itertools.count()
        self._secrets = Secrets()
        self._key: str | None = None
        self._beta = False
        self._lives: dict[str, Live] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="rtnb-practice-engine")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="rtnb-practice", daemon=True)
        self._thread.start()
        self._port = self._ready.result()

    @property
    def url(self) -> str:
        """For WebSocket clients."""
        return f"ws://{self._host}:{self._port}/v1/realtime"

    @property
    def base_url(self) -> str:
        """For OpenAI's own clients."""
        return f"http://{self._host}:{self._port}/v1"

    def close(self) -> None:
        """End every session (clients see 1001) and the server with it. Safe to call twice."""
        if self._thread.is_alive() and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Practice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Practice:
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        state = "" if self._thread.is_alive() else ", closed"
        return f"Practice({self.url}{state})"

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            server = await serve(
                self._serve,
                self._host,
                self._port,
                process_request=self._http,
                select_subprotocol=_subprotocol,
                compression=None,
                max_size=_FRAME_BYTES,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                close_timeout=2,
            )
        except OSError as error:
            self._ready.set_exception(error)
            return
        async with server:
            self._ready.set_result(next(iter(server.sockets)).getsockname()[1])
            await self._stop.wait()
            for live in list(self._lives.values()):
                live.end()
            server.close()
            await server.wait_closed()

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        if "upgrade" in request.headers.get("Connection", "").lower():
            return None
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, "This is a WebSocket server.\n")

    async def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        try:
            admission = admit(
                request.path,
                request.headers,
                _offered(request.headers),
                key=self._key,
                given=self._secrets,
                now=time.time(),
                beta=self._beta,
            )
        except Refusal as refusal:
            ids = Ids(random.Random())
            event = {"type": "error", "event_id": ids.new("event"), "error": refusal.problem.error()}
            await connection.send(encode(event), text=True)
            await connection.close(refusal.close_code, refusal.reason)
            return
        await self._converse(connection, admission)

    async def _converse(self, connection: ServerConnection, admission: Admission) -> None:
        number = next(self._number)
        ids = Ids(random.Random() if self._seed is None else random.Random(f"{self._seed}/{number}"))
        loop = asyncio.get_running_loop()
        script = Script(
            ids,
            now=loop.time(),
            unix_seconds=time.time(),
            kind=admission.kind,
            model=admission.model,
            options=self._options,
        )
        outlet = Outlet(connection)

        def send(output: Send | Close) -> None:
            outlet.send(output if isinstance(output, Close) else encode(output.event))

        live = Live(script, lambda answer: Workers(self._engines, self._pool, answer), send)
        self._lives[script.session["id"]] = live
        try:
            live.begin()
            async for frame in connection:
                live.take(frame)
        except ConnectionClosed:
            pass
        finally:
            live.end()
            del self._lives[script.session["id"]]
            await outlet.finish()


def _offered(headers: Headers) -> list[str]:
    return [name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]


def _subprotocol(connection: ServerConnection, offered: Any) -> Any:
    return "realtime" if "realtime" in offered else None


def start(
    *, host: str = "127.0.0.1", port: int = 0, engines: bool | Engines = True, seed: int | None = None, **options: Any
) -> Practice:
    """Start a practice server beside your program."""
    built = engines if isinstance(engines, Engines) else installed() if engines else canned()
    return Practice(host, port, Options(**options), built, seed=seed)
