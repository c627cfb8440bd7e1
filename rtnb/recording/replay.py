"""Play a saved session back by a small server on this computer.

The replay answers what a client asks with what the server answered when the same was asked, in any order and as often
as one likes, at the pace of the recording or faster. Names of the API are the recording's; nothing is made up, and a
question that is not in the recording is answered with an `error` event that says so.
"""

import asyncio
import copy
import functools
import hmac
import os
import secrets
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.protocol import client_events, error_events, frames
from rtnb.protocol.entry import Spool
from rtnb.protocol.frames import Event
from rtnb.recording.exchanges import Exchange, Exchanges, alike, loudness, question
from rtnb.recording.load import RecordedEvent, Recording, open_recording
from rtnb.transport import io_thread
from rtnb.web.connection import Connection
from rtnb.web.http import Request, Response, api_error
from rtnb.web.origins import OriginCheck
from rtnb.web.send_queue import Frame, SendQueue
from rtnb.web.server import listen, masked_log

_socket_log = masked_log("rtnb.replay.sockets")
_urls: dict[tuple[Path, int, float], str] = {}
_servers: list[Any] = []  # an asyncio server nobody holds is collected, and its socket with it


def serve(path: str | os.PathLike[str], speed: float = 1.0) -> str:
    """Play a recording back to whoever connects.

    Args:
        path: The file `Session.save` wrote.
        speed: How many times faster than it was recorded, above 0; `math.inf` does not wait at all.

    Returns:
        The address, on this machine only; it stays for as long as the process does. Any program that speaks the
        Realtime API can talk to it. It holds a secret, for no key is asked for: keep it as you would keep one.

    Raises:
        ReplayError: If the file cannot be read.
    """
    recording = open_recording(path)
    if (name := (recording.path, recording.path.stat().st_mtime_ns, speed)) not in _urls:
        _urls[name] = io_thread.submit(_serve(recording, speed)).result(10)
    return _urls[name]


async def _serve(recording: Recording, speed: float) -> str:
    # No key protects a replay, so its address does. It looks like a secret of the API's, so it is masked like one.
    secret = "ek_" + secrets.token_hex(16)

    async def handle(connection: Connection) -> None:
        await _Player(connection, Exchanges(recording), speed).run()

    def answer(connection: Connection, request: Request) -> Response | None:
        if hmac.compare_digest(request.path.encode(errors="replace")[1 : len(secret) + 2], f"{secret}/".encode()):
            return None
        message = "Your address leads to no replay. Take the whole address that rtnb gave for it."
        return api_error(HTTPStatus.FORBIDDEN, message, "address_not_known")

    check = OriginCheck(["127.0.0.1"], remedy="A replay is for programs on this computer, not for pages.")
    options: dict[str, Any] = {"logger": _socket_log, "max_size": 64 << 20}
    server, port = await listen(handle, "127.0.0.1", 0, origin_check=check, answer=answer, **options)
    _servers.append(server)
    return f"ws://127.0.0.1:{port}/{secret}/v1/realtime"


class _Player:
    """Connection to a replay."""

    def __init__(self, connection: Connection, exchanges: Exchanges, speed: float) -> None:
        self._connection, self._speed = connection, speed
        self._exchanges, self._recording = exchanges, exchanges.recording
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue(connection)
        self._appended = Spool()
        self._buffer_from = 0
        self._asked: list[Any] = []  # questions since the last response; None for one that the recording does not hold
        self._running: dict[str, dict[str, Any]] = {}  # responses under way, as the recording ends them
        self._cancelled: set[str] = set()
        # Of the events that the server sent because of audio: the next, for how much audio the last one was due, and
        # when it goes out.
        self._next = self._reached = 0
        self._next_free = 0.0
        self._closing = False
        self._watch: asyncio.TimerHandle | None = None
        self._handlers = {"session.update": self._update, "session.close": self._close}
        self._handlers |= {"input_audio_buffer.append": self._append, "session.input_audio_buffer.append": self._append}
        self._handlers |= {"input_audio_buffer.commit": self._commit, "input_audio_buffer.clear": self._clear}
        self._handlers |= {"conversation.item.create": self._create, "conversation.item.retrieve": self._retrieve}
        self._handlers |= {"conversation.item.truncate": self._confirm, "conversation.item.delete": self._confirm}
        self._handlers |= {"response.create": self._respond, "response.cancel": self._cancel}

    async def run(self) -> None:
        opening = self._exchanges.opening
        try:
            self._play(opening, opening[0].at_seconds if opening else 0.0)
            await self._connection.listen(self._take)
        except ValueError:  # a frame that is no event ends the connection
            pass
        finally:
            await self._queue.finish()
            if self._watch is not None:
                self._watch.cancel()

    def _take(self, frame: str | bytes) -> None:
        event = frames.loads(frame)
        if (handler := self._handlers.get(event["type"])) is None:
            self._refuse(event, f"a {event['type']}")
        else:
            handler(event)

    # what goes out

    def _send(self, event: Event) -> None:
        self._queue.send([Frame(self._loop.time(), frames.dumps({"event_id": client_events.new_event_id(), **event}))])

    def _refuse(self, event: Event, what: str, code: str = error_events.NOT_RECORDED, message: str = "") -> None:
        missing = f"The recording {self._recording.path.name} does not hold {what}."
        message = message or f"{missing} Ask what it holds, or connect without replay=."
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        self._send({"type": "error", "error": {**error, "event_id": event.get("event_id")}})

    def _play(self, events: Iterable[RecordedEvent], since_seconds: float, metadata: Any = None) -> None:
        """Send events of the recording, each as long from now as it came after `since_seconds`."""
        now = self._loop.time()
        due = [(now + (one.at_seconds - since_seconds) / self._speed, one) for one in events]
        self._queue.send([Frame(at, functools.partial(self._text, one, metadata)) for at, one in due])

    def _text(self, recorded: RecordedEvent, metadata: Any = None) -> bytes | None:
        """Write an event of the recording as it goes out now. None for one whose response was cancelled."""
        event = self._recording.whole(recorded)
        response = event.get("response") or {}
        response_id: str = event.get("response_id") or response.get("id") or ""
        if response_id in self._cancelled:
            return None
        if response:
            if metadata is not None:
                event["response"] = {**response, "metadata": metadata}
            if event["type"] == "response.created":
                self._running[response_id] = event["response"]
            elif event["type"] == "response.done":
                self._running.pop(response_id, None)
        return frames.dumps(event)

    # the answers

    def _find(self, asked: Any, before: tuple[Any, ...] | None = None) -> Exchange | None:
        """Find the recorded answer to the same question: the next that was not played yet, or else the first."""
        found = [one for one in self._exchanges.asked if one.asks(asked) and before in (None, one.before)]
        exchange = min(found, key=lambda one: (one.question[:3] != asked[:3], one.used), default=None)
        if exchange is not None:
            exchange.used += 1
        return exchange

    def _update(self, event: Event) -> None:
        """Answer with the recording's settings; what else is asked for changes nothing that was recorded."""
        updates = self._exchanges.updates
        exchange = updates.pop(0) if len(updates) > 1 else next(iter(updates), None)
        if exchange is not None and any(recorded.type.endswith("session.updated") for recorded in exchange.events):
            self._play(exchange.events, exchange.at_seconds)
        else:
            opening = next((recorded.event.get("session") for recorded in self._exchanges.opening), None) or {}
            self._send({"type": "session.updated", "session": {**opening, **(event.get("session") or {})}})

    def _append(self, event: Event) -> None:
        self._appended.write(frames.decode_audio(event.get("audio") or ""))
        self._play_on_audio()

    def _close(self, event: Event) -> None:
        """End a translation, once that is asked for; one that was cut has no end in its recording."""
        self._closing = True
        self._play_on_audio()
        if self._next < len(self._exchanges.on_audio):
            self._refuse(event, "sound that ends here")
        elif not any(recorded.type == "session.closed" for recorded in self._recording.events):
            self._refuse(event, "the end of this translation, for the connection broke before it")

    def _clear(self, event: Event) -> None:
        self._buffer_from = self._appended.size
        self._send({"type": "input_audio_buffer.cleared"})

    def _commit(self, event: Event) -> None:
        pcm = self._appended.read(self._buffer_from, self._appended.size)
        self._buffer_from = self._appended.size
        if message := error_events.commit_refusal(pcm_arithmetic.milliseconds(len(pcm))):
            return self._refuse(event, "", error_events.COMMIT_EMPTY, message)
        said, measured = loudness(pcm), map(self._exchanges.loudness_of, self._exchanges.commits)
        numbers = {number for number, other in enumerate(measured) if alike(said, other)}
        found = [one for one in self._exchanges.asked if one.question[0] == "sound" and one.question[1] in numbers]
        self._answer(event, min(found, key=lambda exchange: exchange.used, default=None), "this sound", used=1)

    def _create(self, event: Event) -> None:
        self._answer(event, self._find(question(event)), "this question")

    def _answer(self, event: Event, exchange: Exchange | None, what: str, used: int = 0) -> None:
        """Play the answer to a new item, and keep what it asks for the response that follows."""
        self._asked.append(exchange and exchange.question)
        if exchange is None:
            self._refuse(event, what)
        else:
            exchange.used += used
            self._play(exchange.events, exchange.at_seconds)

    def _respond(self, event: Event) -> None:
        asked = question(event)
        before: tuple[Any, ...] | None = None
        if asked[1] != "beside":
            active = (id_ for id_, one in self._running.items() if one.get("conversation_id", "x") is not None)
            if (running := next(active, None)) is not None:
                code = "conversation_already_has_active_response"
                message = f"Conversation already has an active response in progress: {running}."
                return self._refuse(event, "", code, f"{message} Wait until it is finished.")
            before, self._asked = tuple(self._asked), []
        exchange = self._find(asked, before)
        if exchange is None or not exchange.events:
            return self._refuse(event, "an answer to this, asked in this way")
        for recorded in exchange.events:
            self._cancelled.discard((recorded.event.get("response") or {}).get("id") or "")
        self._play(exchange.events, exchange.at_seconds, (event.get("response") or {}).get("metadata"))

    def _cancel(self, event: Event) -> None:
        wanted = event.get("response_id")
        if (response_id := next((id_ for id_ in self._running if wanted in (None, id_)), None)) is None:
            no_response = "Cancellation failed: no active response found"
            return self._refuse(event, "", "response_cancel_not_active", no_response)
        self._cancelled.add(response_id)
        details = {"type": "cancelled", "reason": "client_cancelled"}
        ended = {**copy.deepcopy(self._running.pop(response_id)), "status": "cancelled", "status_details": details}
        self._send({"type": "response.done", "response": ended})

    def _confirm(self, event: Event) -> None:
        """Say that an item was truncated or deleted."""
        names = ("item_id",) if event["type"].endswith("delete") else ("item_id", "content_index", "audio_end_ms")
        self._send({"type": f"{event['type']}d", **{name: event[name] for name in names if name in event}})

    def _retrieve(self, event: Event) -> None:
        for recorded in self._recording.events:
            item = recorded.event.get("item") or {}
            if recorded.type == "conversation.item.retrieved" and item.get("id") == event.get("item_id"):
                return self._play([recorded], recorded.at_seconds)
        self._refuse(event, "this item on its own")

    # a server that detects turns

    def _play_on_audio(self) -> None:
        """Send what the server sent of its own when so much audio had come, once as much has come again."""
        events = self._exchanges.on_audio
        while self._next < len(events):
            due = events[self._next]
            if due.recorded.type == "session.closed" and not self._closing:
                return
            if due.after_bytes > self._appended.size:
                return self._wait_for_more()
            if due.recorded.type == "input_audio_buffer.committed" and not self._same_so_far(due.after_bytes):
                # The rest of this turn is left out: up to where the server detects the next one.
                rest = range(self._next + 1, len(events))
                begun = (n for n in rest if events[n].recorded.type == "input_audio_buffer.speech_started")
                self._next = next(begun, len(events))
                self._refuse({}, "what was said here")
                continue
            self._next += 1
            # Never before what came before it.
            self._next_free = max(self._next_free, self._loop.time() + due.seconds / self._speed)
            self._reached = due.after_bytes
            self._queue.send([Frame(self._next_free, functools.partial(self._text, due.recorded))])

    def _same_so_far(self, end: int) -> bool:
        start, self._buffer_from = self._buffer_from, end
        return alike(loudness(self._appended.read(start, end)), self._exchanges.loudness_of((start, end)))

    def _wait_for_more(self) -> None:
        """Say so after a while where audio ends too early for the recording: it would be waited for in vain."""
        if self._watch is not None:
            self._watch.cancel()

        def refuse() -> None:
            if self._appended.size - self._reached > pcm_arithmetic.byte_count(0.5):  # that nothing came of
                self._refuse({}, "sound that ends here")

        self._watch = self._loop.call_later(3.0, refuse)  # seconds for audio that the recording goes on with
