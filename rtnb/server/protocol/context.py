"""What the parts of the state machine need of the session they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rtnb.server.protocol.effects import Ids, Output
from rtnb.server.protocol.items import Conversation, Item
from rtnb.server.protocol.settings import Model

if TYPE_CHECKING:
    from rtnb.server.protocol.responses import Response

__all__ = ["SessionContext"]


class SessionContext(Protocol):
    """A session, as its responses, its ears and its turn taking see it.

    Attributes:
        now: The time, in seconds on the clock the machine is given.
        session: The session object as events show it.
        pace: Sound goes out this many times faster than it plays; 0 sends all at once.
    """

    now: float
    ids: Ids
    model: Model
    session: dict[str, Any]
    conversation: Conversation
    pace: float

    def send(self, type: str, **fields: Any) -> None:
        """Send a server event that is due now."""

    def want(self, output: Output) -> None:
        """Ask something of the world."""

    def new_job(self) -> str:
        """A name for a piece of engine work."""

    def job_for(self, owner: Response) -> str:
        """A new job whose answers go to a response."""

    def commit(self, sound: bytes, item_id: str | None) -> None:
        """Make sound the user's next item."""

    def nudge(self) -> None:
        """Add the system's message of the idle timeout."""

    def interrupt(self) -> None:
        """The user speaks: the response under way ends, if turn detection says so."""

    def answer_turn(self) -> None:
        """The user has finished: answer, if turn detection says so."""

    def respond(self, wanted: dict[str, Any]) -> None:
        """Begin a response with these overrides."""

    def item_heard(self, item: Item) -> None:
        """The recogniser has finished with an item."""

    def ended(self, response: Response) -> None:
        """A response has sent its `response.done`."""
