"""Order of calls: what is called on a session goes out in the order it was called, awaited or not."""

import asyncio
import functools
from collections import deque
from collections.abc import Callable

from rtnb.errors import BudgetExceeded
from rtnb.session.reply import TurnState
from rtnb.transport.channel import Channel


class CallQueue:
    """Calls that wait for their place, on the I/O thread.

    A call goes out once the session is configured (before that, audio would meet the server's defaults: voice detection
    that answers) and while no turn is sending its parts. A turn waits besides for the answer to the turn before it;
    what was called after such a turn does not. Functions of a response that no caller asked for run beside all turns;
    only their answer is asked for in turn.

    Args:
        channel: Where audio is sent, with the log.
        refused: Called with the reason where the budget does not pay for audio.

    Attributes:
        current: The turn that is being taken. None for none.
    """

    def __init__(self, channel: Channel, refused: Callable[[BudgetExceeded], object]) -> None:
        self.current: TurnState | None = None
        self._channel, self._refused = channel, refused
        self._is_open = self._is_over = False
        self._calls: deque[bytes | Callable[[], None]] = deque()
        self._sender: TurnState | None = None  # its parts are being sent, and everything else waits
        self._queued: list[Callable[[], None]] = []  # turns that wait for the answer before theirs
        self._log_begin = 0  # how much of the log belongs to turns that are over

    @property
    def unsent_bytes(self) -> int:
        """Bytes of audio that wait here."""
        return sum(len(call) for call in list(self._calls) if isinstance(call, bytes))

    def open(self) -> None:
        """Let calls go out from now on."""
        self._is_open = True
        self._proceed()

    def pause(self) -> None:
        """Let calls wait for the next session."""
        self._is_open = False

    def close(self) -> None:
        """Drop what waits, and what is called from now on."""
        self._is_open, self._is_over = False, True
        self._calls.clear()

    def add(self, call: bytes | Callable[[], None]) -> None:
        """Put audio or a call at the end."""
        if not self._is_over:
            self._calls.append(call)
            self._proceed()

    def add_turn(self, turn: TurnState) -> None:
        """Put a turn at the end; its `place` is done when it may send."""
        turn.place = asyncio.get_running_loop().create_future()
        self.add(functools.partial(self._let, turn))

    async def step_in(self, turn: TurnState) -> None:
        """Wait until no other turn is under way, before a turn that ran beside them asks for an answer."""
        if self.current is not turn:
            turn.beside = False
            self.add_turn(turn)
            await turn.place
            self.sent(turn)

    def _proceed(self) -> None:
        while self._calls and self._is_open and self._sender is None:
            if not isinstance(call := self._calls.popleft(), bytes):
                call()
                continue
            try:
                self._channel.append(call)
            except BudgetExceeded as over:
                self._refused(over)

    def _let(self, turn: TurnState) -> None:
        if turn.place.done():
            return  # cancelled while it waited
        if not turn.beside:
            if self.current is not None:
                self._queued.append(functools.partial(self._let, turn))
                return
            self.current = turn
        # Its events are those since the turn before it; of one beside, those from here on.
        turn.log_begin = len(self._channel.log) if turn.beside else self._log_begin
        self._sender = turn
        turn.place.set_result(None)

    def sent(self, turn: TurnState) -> None:
        """Take note that the parts of a turn are sent, so that other calls go on."""
        if self._sender is turn:
            self._sender = None
        self._proceed()

    def leave(self, turn: TurnState) -> None:
        """Give the place of a turn to the next one."""
        turn.place.cancel()
        if self.current is turn:
            self.current = None
            self._log_begin = len(self._channel.log)
            self._calls.extendleft(reversed(self._queued))
            self._queued.clear()
        self.sent(turn)
