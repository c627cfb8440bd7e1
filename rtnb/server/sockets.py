"""Sockets around the state machine: handshakes, sessions, sideband, the end. Runs on one asyncio loop."""

import asyncio
import itertools
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from rtnb import models
from rtnb.audio import pcm
from rtnb.errors import InputError
from rtnb.server import rest
from rtnb.server.auth import Auth, Rejected, bearer
from rtnb.server.engines.engines import Engines
from rtnb.server.engines.workers import Workers
from rtnb.server.event_writer import Write, written_down
from rtnb.server.faults import FaultInjector, Faults, read_faults
from rtnb.server.handshake import Handshake, read_handshake
from rtnb.server.protocol import beta, realtime, translations
from rtnb.server.protocol.effects import Close, Ids, Send
from rtnb.server.protocol.session import Options
from rtnb.server.script import ScriptedResponder, Step
from rtnb.server.server_session import ServerSession
from rtnb.web.connection import Connection, Inflating
from rtnb.web.http import Request, Response, api_error, is_target, offered_protocols
from rtnb.web.origins import OriginCheck, cross_origin
from rtnb.web.send_queue import SendQueue
from rtnb.web.server import listen, masked_log

_PING_SECONDS = models.limits().ping_seconds
_OPEN_SECONDS = 10.0  # for the whole handshake: a client that sends it byte by byte is disconnected
# The API's, and where Azure has the first.
_PATHS = re.compile("/v1/realtime(/translations)?/?|/openai(/v1)?/realtime/?")
_NO_CALL = "No session found for the provided call_id"  # recorded

_socket_log = masked_log("rtnb.practice.sockets")


@dataclass(frozen=True)
class ServerConfig:
    """Settings of a server.

    Attributes:
        host: The address it listens on.
        port: The port; 0 takes a free one.
        key: The key it asks for; None takes any.
        beta: Whether it also speaks the Beta interface.
        options: Of each session.
        faults: What goes wrong in each session.
        seed: Makes ids, padding and faults repeat; None makes each run different.
        record: A directory for the events of each session, or None.
        models: Names served besides the known ones.
        tls: For `wss://`, or None.
        sessions: The most sessions at once.
        origin_check: Who may come in.
        script: The steps that each session's answers follow; none for no script.
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
    script: tuple[Step, ...] = ()


class Server:
    """Practice server on its loop.

    Args:
        config: How it is set up.
        engines: What transcribes, responds and speaks.
        pool: The threads for engine work.
    """

    def __init__(self, config: ServerConfig, engines: Engines, pool: ThreadPoolExecutor) -> None:
        self._config, self._engines, self._pool = config, engines, pool
        self._auth = Auth(config.key)
        self._numbers = itertools.count(1)
        self.sessions: dict[str, ServerSession] = {}

    async def run(self, ready: Callable[[int], Any], stop: asyncio.Event) -> None:
        """Serve until `stop` is set; calls `ready` with the port once clients can come."""
        config = self._config
        options: dict[str, Any] = {"origin_check": config.origin_check, "answer": self._answer, "ssl": config.tls}
        # One append of 15 MiB is 20 MiB of base64.
        options |= {"max_size": 32 << 20, "open_timeout": _OPEN_SECONDS, "close_timeout": 2, "logger": _socket_log}
        options |= {"ping_interval": _PING_SECONDS, "ping_timeout": _PING_SECONDS, "server_header": "rtnb practice"}
        options["extensions"] = [Inflating()]  # recorded: it agrees to deflate
        server, port = await listen(self._converse, config.host, config.port, protocol="realtime", **options)
        async with server:
            ready(port)
            await stop.wait()
            for session in list(self.sessions.values()):
                session.end()

    # ------------------------------------------------------------------ before the session

    def _answer(self, connection: Connection, request: Request) -> Response | None:
        opening = connection.opening
        assert opening is not None
        if not is_target(request.path):
            return api_error(HTTPStatus.BAD_REQUEST, "Your request's address cannot be read.")
        upgrades = "upgrade" in request.headers.get("Connection", "").lower()
        if opening.preflight or opening.body is not None or not upgrades:
            answer = rest.answer(request, opening, self._auth, Ids(random.Random()), beta=self._config.beta)
            answer.headers.update(cross_origin(request))
            return answer
        if not _PATHS.fullmatch(path := urlsplit(request.path).path):
            return api_error(HTTPStatus.NOT_FOUND, f"Invalid URL (GET {path})")
        with suppress(InputError):  # the client reads about it inside the socket
            if (status := self._faults(request.path).refuse) is not None:
                return connection.respond(HTTPStatus(status), f"Refused on purpose with {status}.\n")
        for call_id in parse_qs(urlsplit(request.path).query).get("call_id", ()):
            # Reported: a client secret opens no sideband either.
            key = bearer(request.headers, offered_protocols(request.headers))
            if key.startswith("ek_") or self._of_call(call_id) is None:
                return api_error(HTTPStatus.NOT_FOUND, _NO_CALL, "call_id_not_found", param="")
        return None

    def _faults(self, path: str) -> Faults:
        return self._config.faults.merged(read_faults(",".join(parse_qs(urlsplit(path).query).get("fault", []))))

    def _admit(self, request: Request) -> tuple[Handshake, Faults]:
        try:
            faults = self._faults(request.path)
        except InputError as error:
            raise Rejected(str(error), code="invalid_value", param="fault") from error
        key = bearer(request.headers, offered_protocols(request.headers))
        session = self._auth.check(key, refuse_all=faults.invalid_key)
        return read_handshake(request, session, beta=self._config.beta, more_models=self._config.models), faults

    # ------------------------------------------------------------------ the session

    async def _converse(self, connection: Connection) -> None:
        assert connection.request is not None
        try:
            handshake, faults = self._admit(connection.request)
            seed = handshake.query.get("seed") or self._config.seed
            chance = random.Random() if seed is None else random.Random(f"{seed}/{next(self._numbers)}")
            with self._session(connection.request, handshake, faults, chance) as (session, write):
                queue = SendQueue(connection, on_send=lambda text: write("server", text))
                injector = FaultInjector(faults, chance)

                def send(outputs: list[Send | Close]) -> None:
                    queue.send([frame for output in outputs for frame in injector.frames(output)])

                def take(frame: str | bytes) -> None:
                    write("client", frame)
                    session.take(frame)

                session.senders.append(send)
                try:
                    if handshake.kind != "sideband":
                        session.begin()
                    await connection.listen(take)
                finally:
                    session.senders.remove(send)
                    await queue.finish()
        except Rejected as refusal:
            await _reject(connection, refusal)

    @contextmanager
    def _session(
        self, request: Request, handshake: Handshake, faults: Faults, chance: random.Random
    ) -> Iterator[tuple[ServerSession, Write]]:
        """Make the session of a connection, or find the one that it joins; with it, what writes its events down."""
        if handshake.kind == "sideband":
            if (joined := self._of_call(handshake.query["call_id"])) is None:  # it has just ended
                raise Rejected(_NO_CALL, code="call_id_not_found", param="")
            yield joined, lambda sender, frame: None
            return
        if len(self.sessions) >= self._config.sessions:
            # No number is documented for the real server: code and wording are ours.
            message = f"This server takes {self._config.sessions} sessions at a time. Try again when one has ended."
            raise Rejected(message, code="session_limit_exceeded")
        script = self._script(handshake, faults, Ids(chance))
        session_id = script.settings["id"]
        engines = _failing(self._engines, faults)
        if self._config.script:
            engines = replace(engines, respond=ScriptedResponder(self._config.script, engines.respond))
        session = ServerSession(script, lambda answer: Workers(engines, self._pool, answer))
        keys = [self._config.key or "", bearer(request.headers, offered_protocols(request.headers))]
        with written_down(self._config.record, session_id, keys) as write:
            self.sessions[session_id] = session
            try:
                yield session, write
            finally:
                session.end()
                del self.sessions[session_id]
                for send_to_sideband in session.senders:  # they end with their call
                    send_to_sideband([Close(0.0, 1000, "")])

    def _of_call(self, call_id: str) -> ServerSession | None:
        """Find the session that `?call_id=` names: `rtc_` and its own 21 characters, or its id itself."""
        return self.sessions.get("sess_" + call_id.removeprefix("rtc_").removeprefix("sess_"))

    def _script(self, handshake: Handshake, faults: Faults, ids: Ids) -> Any:
        common: dict[str, Any] = {"now": asyncio.get_running_loop().time(), "unix_seconds": time.time()}
        options = faults.options(self._config.options)
        # Of 1 GiB for all that are open now: each session keeps what it has begun with.
        share = (1 << 30) // (len(self.sessions) + 1)
        common["options"] = replace(options, buffer_bytes=min(options.buffer_bytes, share))
        if handshake.kind == "translation":
            return translations.TranslationSession(ids, **common)
        kind = beta.BetaSession if handshake.beta else realtime.RealtimeSession
        return kind(ids, kind=handshake.kind, model=handshake.model, preset=handshake.session, **common)


async def _reject(connection: Connection, refusal: Rejected) -> None:
    event = {"type": "error", "event_id": Ids(random.Random()).new("event"), "error": refusal.error()}
    await connection.send(orjson.dumps(event), text=True)
    await connection.close(refusal.close_code, refusal.reason)


def _failing(engines: Engines, faults: Faults) -> Engines:
    """Make the engines that are to fail raise."""

    def deaf(*args: Any) -> Any:
        raise RuntimeError("The recogniser failed on purpose.")

    def mute(wanted: Any) -> Iterator[bytes]:
        yield next(iter(engines.speak(wanted)), pcm.silence(0.2))
        raise RuntimeError("The voice failed on purpose.")

    def faint(wanted: Any) -> Iterator[bytes]:
        for piece in engines.speak(wanted):
            yield pcm.quieter(piece, 40)

    if faults.deaf:
        engines = replace(engines, transcribe=deaf)
    speak = faint if faults.faint else engines.speak
    return replace(engines, speak=mute if faults.mute else speak)
