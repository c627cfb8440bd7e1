"""Updates that a session adds to those of its conversation, and the listeners that are called with each."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

from rtnb.errors import BudgetExceeded
from rtnb.protocol import error_events
from rtnb.protocol.updates import Errored, Frozen, InputTranscriptFailed, Odd, Piece
from rtnb.session.tools import ToolCall
from rtnb.texts.shortening import with_full_stop

Listener = Callable[[Any], object]

_log = logging.getLogger("rtnb")


class Closed(Frozen):
    """Last update of a session.

    Attributes:
        code: The close code. None where the socket was never open.
        reason: The server's words; "" for none.
        error: What went wrong. None for an orderly end.
    """

    code: int | None
    reason: str
    error: BaseException | None


class Reconnecting(Frozen):
    """Connection is gone, and rtnb goes on in a new session with the history as text.

    Attributes:
        code: The close code. None where there was none.
        reason: The server's words; "" for none.
        seconds: In how many seconds the next try begins.
    """

    code: int | None
    reason: str
    seconds: float


class Overspent(Frozen):
    """Response that nobody awaits is not asked for, as the budget does not cover it.

    Attributes:
        error: Why.
    """

    error: BudgetExceeded


class ToolRan(Frozen):
    """Function that the model called has returned or failed, and the model is sent its output.

    Attributes:
        item_id: The item of the call.
        call: How the call went.
    """

    item_id: str
    call: ToolCall


class Finished(Frozen):
    """Last update of a reply."""

    reply: Any


def warning_of(update: Any, sent_raw: Collection[str] = ()) -> str:
    """Return a sentence on what was odd or failed in what the server sent; "" for nothing.

    Args:
        update: What came in.
        sent_raw: Ids of events of which nothing waits for a refusal.
    """
    if isinstance(update, Odd):
        return update.sentence
    if not isinstance(update, InputTranscriptFailed | Errored):
        return ""
    said, code = error_events.reason_in(update.error), update.error.get("code")
    if isinstance(update, Errored):  # one that names an event is told to who waits for that
        said = with_full_stop(said)
        is_told = update.error.get("event_id") not in (None, "", *sent_raw)
        return "" if is_told else f"The server reported an error: {said}"
    said = with_full_stop(said.replace(update.item_id or "item_", "…") + (f" [{code}]" if code else ""))
    return f"Your words could not be transcribed: {said} Check transcription=."


class Listeners:
    """Functions that are called with each update, on the I/O thread; any thread may add and remove them.

    Args:
        keep: Whether a new listener is called with the earlier updates first.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._updates: list[Any] = []
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    def tell(self, update: Any) -> None:
        """Call every listener; what one raises is logged, and the next is called."""
        with self._lock:
            if self._keep:
                self._updates.append(update)
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(update)
            except BaseException:  # SystemExit too would end the I/O thread, and with it every session
                _log.exception("rtnb: a listener failed; the session goes on")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; return a function that removes it."""
        with self._lock:
            for update in self._updates:
                listener(update)
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    async def quiet(self, seconds: float) -> None:
        """Wait until no update has come for so long."""
        async with self.queued(words=True) as updates:
            with suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(updates.get(), seconds)

    @asynccontextmanager
    async def queued(self, *, words: bool = False) -> AsyncIterator[asyncio.Queue[Any]]:
        """Queue updates, on the I/O thread: those that steer a turn, or words and audio too, which are the most."""
        queue: asyncio.Queue[Any] = asyncio.Queue()

        def put(update: Any) -> None:
            if words or not isinstance(update, Piece):
                queue.put_nowait(update)

        end = self.subscribe(put)
        try:
            yield queue
        finally:
            end()
