"""Base of sessions of every kind: clock, timers, ids, effects, and the end.

A session owns no socket, clock or source of chance: times and ids are passed to it. Work for the ASR, the responder
and the TTS it asks for in its effects (`Transcribe`, `Respond`, `Speak` …), and their results come back through `take`,
with the method of the same verb (`transcribed`, `responded`, `spoke` …). `due` is the time at which `take` must be
called next.
"""

import copy
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtnb.audio.pcm import BYTES_PER_MS
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.client_events import event_id_of, read_event, read_frame
from rtnb.server.protocol.effects import Close, Effect, Ids, Send
from rtnb.server.protocol.items import Conversation
from rtnb.server.protocol.settings import Model


@dataclass(frozen=True)
class Options:
    """Differences of a server, or of one session on it, from the ordinary.

    Attributes:
        pace: Audio is sent this many times faster than it plays (recorded: about 12). 0 sends all at once.
        session_seconds: How long a session may last.
        buffer_bytes: The most audio, as s16le 24 kHz, that a session may hold in buffer and items together.
        item_count: The most items a conversation may hold.
        rate_limits_after: Seconds from `response.done` to `rate_limits.updated`; None never sends it.
        failure: The error object that responses fail with, or None.
        failing: Which responses fail, counted from 1; None means all of them.
        odd_last_chunk: Cut the last audio delta in the middle of a sample.
    """

    pace: float = 12.0
    session_seconds: float = 3600.0
    buffer_bytes: int = 3600 * 1000 * BYTES_PER_MS  # as much as a session can hear in its hour
    item_count: int = 20_000
    rate_limits_after: float | None = 0.030  # recorded: 29–46 ms
    failure: dict[str, Any] | None = None
    failing: int | None = None
    odd_last_chunk: bool = False


class Session:
    """One session as a pure state machine: inputs with their times in, effects with their times out.

    Args:
        ids: Source of ids and padding.
        now: The time, in seconds on any clock that all later times are on too.
        options: Differences of this session from the ordinary.
        settings: The session object as events show it.

    Attributes:
        now: The time of the last input or timer.
        closed: True once it has ended: nothing more comes out of it.
        model: The model that answers; a translation session has none.
        conversation: Its items; a translation session has none.
        parts: What acts on client events that have been checked, by the first words of their names; the last word is
            the method's name: `conversation.item.create` is for `parts["conversation.item"].create`.
    """

    model: Model
    conversation: Conversation
    parts: Mapping[str, Any]

    def __init__(self, ids: Ids, now: float, options: Options, settings: dict[str, Any]) -> None:
        self.ids, self.now, self.options, self.settings = ids, now, options, settings
        self.closed = False
        self._effects: list[Effect] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []  # the second number keeps their order
        self._timer_numbers = itertools.count()
        self._job_numbers = itertools.count(1)
        self._held: list[tuple[str, dict[str, Any]]] = []
        self.at(now + options.session_seconds, self._expire)

    # ------------------------------------------------------------------ inputs

    def open(self, now: float) -> list[Effect]:
        """Begin: the socket is open. Return the first event."""
        return self.take(now, self.send_settings, "session.created")

    @property
    def due(self) -> float | None:
        """Time at which `take` must be called next; None for not before the next input."""
        return self._timers[0][0] if self._timers and not self.closed else None

    def receive(self, frame: str | bytes, now: float) -> list[Effect]:
        """Take a frame of the client: text, or (refused) binary."""
        return self.take(now, self._receive, frame)

    def take(self, now: float, act: Callable[..., None] | None = None, *args: Any) -> list[Effect]:
        """Let the timers act that are due, then an input unless the session has ended; return the effects of both."""
        while self._timers and self._timers[0][0] <= now and not self.closed:
            at, _, timer_act = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            timer_act()
        self.now = max(self.now, now)
        if act is not None and not self.closed:
            act(*args)
        effects, self._effects = self._effects, []
        return effects

    def _receive(self, frame: str | bytes) -> None:
        event = None
        try:
            event = read_frame(frame)
            self.act(event)
        except ApiError as error:
            self.send("error", error=error.error(event_id_of(event)))

    def act(self, event: Any) -> None:
        """Act on a client event.

        Raises:
            ApiError: For the first thing wrong in it.
        """
        name, checked = read_event(event, self.settings["type"])
        part, _, method = name.rpartition(".")
        getattr(self.parts[part], method)(checked)

    # ------------------------------------------------------------------ for the parts of a session

    @property
    def audio_input(self) -> dict[str, Any]:
        """Settings of the user's audio."""
        return self.settings["audio"]["input"]

    def send(self, type: str, **fields: Any) -> None:
        """Send a server event that is due now."""
        self._effects.append(Send(self.now, {"type": type, "event_id": self.ids.new("event"), **fields}))

    def hold(self, type: str, **fields: Any) -> None:
        """Send a server event in the middle of the answer under way, or soon where that is slow to come."""
        self._held.append((type, fields))
        self.at(self.now + 2, self.send_held)

    def send_held(self) -> None:
        """Send the events that were held until now."""
        held, self._held = self._held, []
        for type, fields in held:
            self.send(type, **fields)

    def send_settings(self, type: str) -> None:
        """Send an event with the session object as it is now."""
        self.send(type, session=copy.deepcopy(self.settings))

    def ask(self, effect: Effect) -> None:
        """Ask an engine for something."""
        self._effects.append(effect)

    def new_job(self) -> str:
        """Return a name for a piece of engine work."""
        return f"job{next(self._job_numbers)}"

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Call a function at a time; at the same time in the order of these calls."""
        heapq.heappush(self._timers, (time, next(self._timer_numbers), act))

    def end(self, code: int, reason: str) -> None:
        """End the session and its socket."""
        self._effects.append(Close(self.now, code, reason))
        self.closed = True

    def _expire(self) -> None:
        text = f"Your session hit the maximum duration of {self.options.session_seconds / 60:g} minutes."
        self.send("error", error=ApiError(text, code="session_expired").error())
        self.end(1001, text)
