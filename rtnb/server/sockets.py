"""Sockets around the state machine: handshakes, sessions, sideband, the end. Runs on one asyncio loop."""

from __future__ import annotations

import asyncio
import itertools
import random
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from rtnb.errors import InputError
from rtnb.server import http
from rtnb.server.engines.engines import Engines, Workers
from rtnb.server.event_writer import EventWriter
from rtnb.server.faults import FaultInjector, Faults, read_faults
from rtnb.server.handshake import Handshake, Rejected, Secrets, admit, bearer
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.beta import BetaSession
from rtnb.server.protocol.effects import Close, Ids, Send
from rtnb.server.protocol.realtime import RealtimeSession
from rtnb.server.protocol.session import Options
from rtnb.server.protocol.translations import TranslationSession
from rtnb.server.server_session import SendQueue, ServerSession
from rtnb.web.connection import Connection
from rtnb.web.origins import OriginCheck, cross_origin, masked_log

__all__ = ["Server", "ServerConfig"]

_PING_SECONDS = 20.26  # recorded, with a payload of 4 bytes
_FRAME_BYTES = 32 * 1024 * 1024  # one append of 15 MiB is 20 MiB of base64
_OPEN_SECONDS = 10.0  # for the whole handshake: who sends it byte by byte is shown out


_socket_log = masked_log("rtnb.practice.sockets")


@dataclass(frozen=True)
class ServerConfig:
    """How a server is set up.

    Attributes:
        host: The address it listens on.
        port: The port; 0 takes a free one.
        key: The key it asks for; None takes any.
        beta: Whether it also speaks the Beta interface.
        options: Of each session.
        faults: What goes wrong in each session.
        seed: Makes ids, padding and faults repeat; None makes each run different.
        record: A directory for what is said in each session, or None.
        models: Names served besides the known ones.
        tls: For `wss://`, or None.
        sessions: The most sessions at once.
        origin_check: Who may come in.
    """

    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = field(default=None, repr=False)
    beta: bool = False
    options: Options = field(default_factory=Options)
    faults: Faults = field(default_factory=Faults)
    seed: int | None = None
    record: Path | None = None
    models: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    sessions: int = 1_000
    origin_check: OriginCheck = field(default_factory=lambda: OriginCheck(["127.0.0.1"]))


class Server:
    """The server on its loop.

    Args:
        house: How it is set up.
        engines: What hears, thinks and speaks.
        pool: The threads for engine work.
    """

    def __init__(self, house: ServerConfig, engines: Engines, pool: ThreadPoolExecutor) -> None:
        self._house = house
        self._engines = engines
        self._pool = pool
        self._secrets = Secrets()
        self._numbers = itertools.count(1)
        self.lives: dict[str, ServerSession] = {}

    async def run(self, ready: Any, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; calls `ready` with the port once clients can come."""
        house = self._house
        server = await serve(
            self._converse,
            house.host,
            house.port,
            ssl=house.tls,
            process_request=self._request,
            select_subprotocol=_subprotocol,
            create_connection=Connection,
            compression=None,
            max_size=_FRAME_BYTES,
            open_timeout=_OPEN_SECONDS,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            close_timeout=2,
            server_header="rtnb practice",
            logger=_socket_log,
        )
        async with server:
            ready(next(iter(server.sockets)).getsockname()[1])
            await stop.wait()
            for live in list(self.lives.values()):
                live.end()

    # ------------------------------------------------------------------ before the session

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Connection)
        house = self._house
        refused = house.origin_check.refusal(request, connection.local_address[1])
        if refused is not None:
            return refused
        if connection.preflight or "upgrade" not in request.headers.get("Connection", "").lower():
            answer = http.answer(
                request,
                connection.posted,
                preflight=connection.preflight,
                key=house.key,
                given=self._secrets,
                ids=Ids(random.Random()),
                beta=house.beta,
            )
            answer.headers.update(cross_origin(request))
            return answer
        try:
            status = self._faults(request.path).refuse
        except InputError:
            status = None  # told inside the socket
        if status is None:
            return None
        return connection.respond(HTTPStatus(status), f"Refused on purpose with {status}.\n")

    def _faults(self, path: str) -> Faults:
        asked = parse_qs(urlsplit(path).query).get("fault", [])
        return self._house.faults.merged(read_faults(",".join(asked)))

    def _admit(self, request: Request) -> tuple[Handshake, Faults]:
        try:
            faults = self._faults(request.path)
        except InputError as error:
            raise Rejected(ApiError(str(error), code="invalid_value", param="fault"), 4000) from error
        key = "" if faults.invalid_key else self._house.key
        admission = admit(
            request.path,
            request.headers,
            _offered(request.headers),
            key=key,
            given=self._secrets,
            now=time.time(),
            beta=self._house.beta,
            more_models=self._house.models,
        )
        return admission, faults

    # ------------------------------------------------------------------ the session

    async def _converse(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        assert connection.request is not None
        try:
            admission, faults = self._admit(connection.request)
            with self._live(admission, faults, connection) as (live, outlet, tape):
                try:
                    await connection.listen(live.take if tape is None else _written_down(live.take, tape))
                finally:
                    await outlet.finish()
        except Rejected as refusal:
            await _turn_away(connection, refusal)

    @contextmanager
    def _live(
        self, admission: Handshake, faults: Faults, connection: Connection
    ) -> Iterator[tuple[ServerSession, SendQueue, EventWriter | None]]:
        seed = admission.query.get("seed") or self._house.seed
        chance = random.Random() if seed is None else random.Random(f"{seed}/{next(self._numbers)}")
        if admission.kind == "sideband":
            live = self._of_call(admission.call_id)
            outlet = SendQueue(connection, FaultInjector(faults, chance))
            live.outlets.append(outlet)
            try:
                yield live, outlet, None
            finally:
                if outlet in live.outlets:
                    live.outlets.remove(outlet)
            return
        if len(self.lives) >= self._house.sessions:
            # No number is documented for the real server: code and wording are ours.
            message = f"This server takes {self._house.sessions} sessions at a time. Try again when one has ended."
            raise Rejected(ApiError(message, code="session_limit_exceeded"), 4000)
        now = asyncio.get_running_loop().time()
        script = self._script(admission, faults, Ids(chance), now)
        session_id = script.settings["id"]
        record = self._house.record
        assert connection.request is not None
        keys = [self._house.key or "", bearer(connection.request.headers, _offered(connection.request.headers))]
        tape = None if record is None else EventWriter(record, session_id, now, keys)
        engines = _broken(self._engines, faults)
        live = ServerSession(script, lambda answer: Workers(engines, self._pool, answer))
        outlet = SendQueue(connection, FaultInjector(faults, chance), tape)
        live.outlets.append(outlet)
        self.lives[session_id] = live
        try:
            live.begin()
            yield live, outlet, tape
        finally:
            live.end()
            del self.lives[session_id]
            for other in live.outlets:
                if other is not outlet:  # a sideband ends with its call
                    other.send([Close(0.0, 1000, "")])
            if tape is not None:
                tape.close()

    def _script(self, admission: Handshake, faults: Faults, ids: Ids, now: float) -> Any:
        options = faults.options(self._house.options)
        if admission.kind == "translation":
            return TranslationSession(
                ids, now=now, unix_seconds=time.time(), model_name=admission.model_name, options=options
            )
        kind = BetaSession if admission.beta else RealtimeSession
        return kind(
            ids,
            now=now,
            unix_seconds=time.time(),
            kind=admission.kind,
            model=admission.model,
            options=options,
            preset=admission.session,
        )

    def _of_call(self, call_id: str) -> ServerSession:
        """The session a `?call_id=` names: `rtc_` and the session's own 21 characters, or the session's id itself."""
        live = self.lives.get("sess_" + call_id.removeprefix("rtc_").removeprefix("sess_"))
        if live is None:
            # Unconfirmed: what the real server says to a call that is not there.
            message = f"No call with id '{call_id}' is in progress."
            raise Rejected(ApiError(message, code="call_not_found", param="call_id"), 4000)
        return live


def _written_down(take: Callable[[str | bytes], None], tape: EventWriter) -> Callable[[str | bytes], None]:
    loop = asyncio.get_running_loop()

    def write_and_take(frame: str | bytes) -> None:
        tape.write("client", frame, loop.time())
        take(frame)

    return write_and_take


async def _turn_away(connection: Connection, refusal: Rejected) -> None:
    now = asyncio.get_running_loop().time()
    event_id = Ids(random.Random()).new("event")
    event = {"type": "error", "event_id": event_id, "error": refusal.problem.error()}
    outlet = SendQueue(connection, FaultInjector(Faults(), random.Random()))
    outlet.send([Send(now, event), Close(now, refusal.close_code, refusal.reason)])
    await connection.wait_closed()
    await outlet.finish()


def _broken(engines: Engines, faults: Faults) -> Engines:
    """The engines, with those that are to fail failing."""

    def deaf(*args: Any) -> Any:
        raise RuntimeError("The recogniser failed on purpose.")

    def mute(wanted: Any) -> Iterator[bytes]:
        yield next(iter(engines.speak(wanted)), b"\0" * 9_600)
        raise RuntimeError("The voice failed on purpose.")

    if faults.deaf:
        engines = replace(engines, hear=deaf, listen=deaf)
    return replace(engines, speak=mute) if faults.mute else engines


def _offered(headers: Headers) -> list[str]:
    return [name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]


def _subprotocol(connection: ServerConnection, offered: Any) -> Any:
    return "realtime" if "realtime" in offered else None
