"""Interface: what a turn may ask of its session; everything else is an argument or a return value."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from rtnb.models import Provider
from rtnb.money.meter import Meter
from rtnb.session.call_queue import CallQueue
from rtnb.session.reply import Approval
from rtnb.session.router import Router
from rtnb.session.tools import Toolbox
from rtnb.session.updates import Listeners
from rtnb.transport.channel import Channel


class TurnContext(Protocol):
    """Session as a turn sees it.

    Attributes:
        channel: Where events go and come from, with the log and the conversation.
        provider: The kind of server, and what it lacks.
        queue: The order of calls, in which a turn has its place.
        router: To which turn a response belongs.
        listeners: Called with every update.
        meter: Checks and books what it spends.
        tools: The functions the model may call.
        decide: Called with an `Approval`, returns whether an MCP tool may be called. None: the caller is asked.
        gate: Awaited before the answer to unasked calls is asked for. None: it is asked for at once.
        own_detection: The turn detection of a server that turned out to take no commit. None for all others.
    """

    channel: Channel
    provider: Provider
    queue: CallQueue
    router: Router
    listeners: Listeners
    meter: Meter
    tools: Toolbox
    decide: Callable[[Approval], Any] | None
    gate: Callable[[], Awaitable[object]] | None
    own_detection: dict[str, Any] | None

    def turn_detection(self) -> dict[str, Any] | None:
        """Return the turn detection in force. None where the caller ends turns."""

    def warn(self, sentence: str) -> None:
        """Keep a sentence in the session's warnings, and print it."""
