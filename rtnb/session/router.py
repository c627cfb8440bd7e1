"""Turns under way, and to which of them an event belongs.

The server numbers responses and items, but does not say which `response.create` began a response, and begins some by
itself. So a turn *claims* the next response before it asks for one: the next `response.created` that writes to the
conversation is that turn's, and its id decides from then on. Three cases are left:

- An out-of-band response is known by the metadata that was sent with it.
- A response that the server began by itself a moment before our request looks like ours. The refusal of our request
  tells; `following` then gives the response back and asks again.
- A response that no turn claimed belongs to nobody (voice detection, or an event sent by hand). If it calls functions,
  `unasked` takes a turn for them.
"""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from rtnb.errors import ResponseFailed, RtnbError
from rtnb.protocol import client_events
from rtnb.protocol.items import Response, Turn
from rtnb.protocol.updates import ItemAdded, ItemDone, Piece, RateLimits, ResponseEnded, ResponseStarted
from rtnb.session.call_queue import CallQueue
from rtnb.session.reply import TurnState
from rtnb.transport.channel import Channel

_log = logging.getLogger("rtnb")

# How long a response that was cancelled is waited for.
_CANCEL_SECONDS = 3.0
# How long `response.done` may come after all items of a response, and after the limits, which come last (recorded).
_DONE_SECONDS = 3.0


Unasked = Callable[[], Callable[[Response], None] | None]
"""Weak reference to a method of a session: what lives on the I/O thread must not hold one that nobody else does."""


def goes_on(response: Response) -> bool:
    """Return whether the model goes on by itself: the last item is a call that the server made for it."""
    return bool(response.output) and response.output[-1].get("type") == "mcp_call" and response.status == "completed"


def _whole(response: Response) -> bool:
    """Return whether all items of a response are complete."""
    return bool(response.turns) and all(turn.status != "in_progress" for turn in response.turns)


class Router:
    """Turns under way, on the I/O thread.

    Args:
        channel: Where events come from.
        queue: The order of calls, in which each turn has its place.
        unasked: Holds what is called with a response that ended and belongs to no turn.

    Attributes:
        sides: Turns that expect a response beside the conversation, by the mark in its metadata.
        unanswered: The items of turns that a break ended; asking again sends them again.
    """

    def __init__(self, channel: Channel, queue: CallQueue, unasked: Unasked) -> None:
        self.sides: dict[str, TurnState] = {}
        self.unanswered: set[Turn] = set()
        self._channel, self._queue, self._unasked = channel, queue, unasked
        self._turns: list[TurnState] = []
        self._claim: TurnState | None = None  # the turn that `response.created` comes for next
        # Response id → the turn it belongs to. Once that is over, it is its reply's alone to keep.
        self._owners: weakref.WeakValueDictionary[str, TurnState] = weakref.WeakValueDictionary()
        self._owned: set[str] = set()

    @property
    def busy(self) -> bool:
        """True while a turn is under way."""
        return bool(self._turns)

    # --- to whom an event belongs

    def claim(self, turn: TurnState, event: dict[str, Any] | None = None) -> None:
        """Give the next response that begins to this turn; one beside the conversation is told by a mark in `event`.

        Args:
            turn: The turn.
            event: The `response.create` that is going to ask for it. None: the server begins it by itself.
        """
        if event is None or event.get("response", {}).get("conversation") != "none":
            self._claim = turn
            return
        # Nothing but the metadata comes back to tell one response from another (docs: out-of-band responses).
        event["response"]["metadata"] = {**(turn.settings.get("metadata") or {}), "rtnb_side": event["event_id"]}
        self.sides[event["event_id"]] = turn

    def unclaim(self, turn: TurnState) -> None:
        """Take note that this turn expects no response any more."""
        if self._claim is turn:
            self._claim = None
        self.sides = {mark: side for mark, side in self.sides.items() if side is not turn}

    def disown(self, turn: TurnState, response: Response) -> None:
        """Take a response from a turn: the server had begun it by itself."""
        turn.responses.remove(response)
        self._owners.pop(response.id, None)
        self._owned.discard(response.id)

    def route(self, update: Any) -> None:
        """Pass an update on to the listeners of the turns it belongs to."""
        if isinstance(update, Piece):  # its owner is plain
            if (turn := self._owners.get(update.response_id)) is not None:
                turn.updates.tell(update)
            return
        if isinstance(update, ResponseStarted):
            self._started(update.response)
        elif isinstance(update, ResponseEnded):
            owner = self._owners.get(update.response.id)
            if goes_on(update.response):  # the next response is of the same turn, and may begin at once
                self._claim = owner or self._claim
            others = update.response.id not in self._owned and update.response.conversation_id is not None
            if others and (take := self._unasked()) is not None:
                take(update.response)
        elif isinstance(update, RateLimits) and (active := self._channel.conversation.active_response()) is not None:
            self._limit(active, _DONE_SECONDS, complete=True)
        for turn in self._turns:
            if self._concerns(update, turn):
                turn.updates.tell(update)

    def concerned(self, update: Any) -> list[TurnState]:
        """Return the turns that an update belongs to, those included that are over; it names an item or a response."""
        if (owner := self._owners.get(getattr(update, "response_id", ""))) is not None:
            return [owner]
        item_id = getattr(update, "item_id", "")
        named = [turn for turn in {*self._turns, *self._owners.values()} if item_id in turn.items]
        return named or [turn for turn in self._turns if self._concerns(update, turn)]

    def _started(self, response: Response) -> None:
        turn = self.sides.get((response.metadata or {}).get("rtnb_side", ""))
        if response.conversation_id is None and not self.sides and not self._asked_beside():
            response.conversation_id = "default"  # some servers leave it null for every response
        if turn is None and response.conversation_id is not None:
            turn, self._claim = self._claim, None
        if turn is None and not self._channel.provider.known:  # it may echo no metadata, and know one conversation
            turn = next((side for side in self.sides.values() if not side.responses), None)
        self._limit(response)
        if turn is not None:
            self.unclaim(turn)
            turn.responses.append(response)
            self._owners[response.id] = turn
            self._owned.add(response.id)
            if turn.cancelled:  # before it began
                self._channel.put(client_events.cancel(response.server_id))

    def _asked_beside(self) -> bool:
        """Return whether an out-of-band response was ever asked for."""
        asked = [entry.silent for entry in self._channel.log if entry.type == "response.create"]
        return any("'conversation': 'none'" in str(event.get("response")) for event in asked)

    def _concerns(self, update: Any, turn: TurnState) -> bool:
        """Return whether an update belongs to a turn: its responses and items, and while it is taken the rest too."""
        item = update.turn if isinstance(update, ItemAdded | ItemDone) else None
        response = getattr(update, "response", None)
        response_id = getattr(item or update, "response_id", None) or (response.id if response else None)
        if response_id:
            return any(response.id == response_id for response in turn.responses)
        item_id = getattr(item or update, "item_id", None)
        if item_id and any(item_id in other.items for other in self._turns):
            return item_id in turn.items
        return turn is self._queue.current

    # --- their lives

    def begin(self, turn: TurnState, take: Callable[[], Awaitable[None]]) -> None:
        """Take a turn, when its place in the order of calls comes."""
        self._turns.append(turn)
        turn.task = asyncio.create_task(self._guard(turn, take))
        # Here, for a task cancelled before its first step runs nothing of its own.
        turn.task.add_done_callback(lambda _: self._end(turn) if turn.cancelled else None)
        self._queue.add_turn(turn)

    async def _guard(self, turn: TurnState, take: Callable[[], Awaitable[None]]) -> None:
        try:
            await take()
            self._end(turn)
        except asyncio.CancelledError:
            raise
        except RtnbError as error:
            self._end(turn, error)
        except BaseException as error:
            _log.exception("rtnb: a turn failed")
            # What would end a program (a function that calls `exit()`) fails this turn and nothing else.
            self._end(turn, error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}"))

    def _end(self, turn: TurnState, error: BaseException | None = None) -> None:
        if turn in self._turns:
            self._turns.remove(turn)
        self.unclaim(turn)
        turn.end(error, len(self._channel.log))
        self._queue.leave(turn)

    def cancel(self, turn: TurnState) -> None:
        """Stop a turn: its response under way, or what is sent before one."""
        if turn.future.done():
            return
        if active := [response for response in turn.responses if response.active]:
            self._channel.put(client_events.cancel(active[-1].server_id))
            self._limit(active[-1], _CANCEL_SECONDS)
        elif self._claim is turn or turn in self.sides.values():
            # Asked for, not begun yet: what begins next is still this one, and is cancelled then.
            if self._claim is turn:
                self._channel.put(client_events.cancel())
            asyncio.get_running_loop().call_later(_CANCEL_SECONDS, lambda: turn.responses or turn.task.cancel())
        else:
            turn.task.cancel()
            if self._queue.current is turn and turn.asked_at is None:
                self._channel.put(client_events.clear())

    def _fail(self, turn: TurnState, error: BaseException) -> None:
        turn.task.cancel()
        self._end(turn, error)

    def fail_all(self, error: BaseException, *, begun: bool = False) -> None:
        """End every turn with an error; with `begun`, those of which something was sent."""
        for turn in [turn for turn in self._turns if turn.place.done() or not begun]:
            self.unanswered.update(turn.turns, filter(None, turn.items.values()))
            self._fail(turn, error)
        self._owners.clear()

    def _limit(self, response: Response, seconds: float | None = None, *, complete: bool = False) -> None:
        """End a response of which nothing comes for too long: as whole where all of it has come, or as cancelled.

        Args:
            response: The response.
            seconds: How long is too long. None: the session's timeout.
            complete: Whether to end it only if all of it has come.
        """

        def give_up(silence: str) -> None:
            owner = self._owners.get(response.id)
            cancelled = owner is not None and owner.cancelled
            if not (cancelled or _whole(response)):
                return None if complete else self.fail_silent(response, f"{silence} (timeout= says how long it may).")
            response.end("cancelled" if cancelled else "completed", "no_end")
            response.output = response.output or [turn.item for turn in response.turns]
            if owner is not None and not cancelled:
                owner.warnings.append(f"{silence} after the last item of the answer, so that was taken for its end.")
            return self._channel.tell_ended(response)

        self._channel.limit(lambda: not response.active, give_up, response.id, seconds)

    def fail_silent(self, response: Response, sentence: str) -> None:
        """End an answer of which nothing more will come, and the turn it belongs to."""
        if not response.active:
            return
        self._channel.put(client_events.cancel(response.server_id))  # where it goes on all the same, nobody follows it
        response.end("incomplete", "no_end")
        failed = f"{sentence} The answer has no end. What came of it is in error.reply; ask again."
        for turn in [turn for turn in self._turns if response in turn.responses]:
            self._fail(turn, ResponseFailed(failed, reply=turn.reply, code="no_end"))
        self._channel.tell_ended(response)
