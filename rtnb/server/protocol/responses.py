"""Responses of one session: when one may begin, which are under way, and what follows the end of one."""

from collections.abc import Callable
from typing import Any

from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.item_events import ItemEvents
from rtnb.server.protocol.response import Response
from rtnb.server.protocol.response_output import Plan
from rtnb.server.protocol.session import Session
from rtnb.server.protocol.settings import check_voice

_TOKEN_LIMIT = 15_000_000  # recorded


class Responses:
    """Begins responses, lets them go on, and ends them.

    Args:
        session: The session that it belongs to.
        item_events: Where the items come from that a response reads.
        played: Called with the time at which the reply that has just ended will have been played.

    Attributes:
        silent: Settings that the API takes without echoing them (`reasoning`, `parallel_tool_calls`).
        voice_used: True once the session has spoken.
    """

    def __init__(self, session: Session, item_events: ItemEvents, played: Callable[[float], None]) -> None:
        self.silent: dict[str, Any] = {}
        self.voice_used = False
        self._session, self._item_events, self._played = session, item_events, played
        self._under_way: dict[str, Response] = {}
        self._answer_wanted = False
        self._count = 0
        self._tokens_left = _TOKEN_LIMIT

    # ------------------------------------------------------------------ client events

    def create(self, event: dict[str, Any]) -> None:
        """Begin the response of a `response.create`.

        Raises:
            ApiError: Another one writes to the conversation.
        """
        wanted = event.get("response") or {}
        if wanted.get("conversation") != "none" and self.active is not None:
            message = f"Conversation already has an active response in progress: {self.active.id}. "
            message += "Wait until the response is finished before creating a new one."
            raise ApiError(message, code="conversation_already_has_active_response")
        self.begin(wanted)

    def cancel(self, event: dict[str, Any]) -> None:
        """Cancel the response of a `response.cancel`.

        Raises:
            ApiError: It is not under way.
        """
        wanted = event.get("response_id")
        response = self.active if wanted is None else self._under_way.get(wanted)
        if response is None:
            raise ApiError("Cancellation failed: no active response found", code="response_cancel_not_active")
        response.cancel("client_cancelled")

    # ------------------------------------------------------------------ turns and engines

    def begin(self, wanted: dict[str, Any]) -> None:
        """Begin a response with these overrides; into the conversation only where none is under way."""
        if self.active is not None and wanted.get("conversation") != "none":
            return
        settings, output = self._session.settings, wanted.get("audio", {}).get("output", {})
        check_voice(output.get("voice"), settings, locked=self.voice_used, where="response")
        context = self._item_events.context(wanted.get("input"))
        self._count += 1
        response = Response(self._session, Plan(self._session, wanted, self.silent, context, self._count), self._ended)
        self._under_way[response.id] = response
        response.step()

    def interrupt(self) -> None:
        """End the response under way, if turn detection says so: the user speaks."""
        if self.active is not None and self._session.audio_input["turn_detection"].get("interrupt_response"):
            self._answer_wanted = False
            self.active.cancel("turn_detected")

    def answer_turn(self) -> None:
        """Answer, if turn detection says so: the user has finished."""
        if self._session.audio_input["turn_detection"].get("create_response"):
            # Unconfirmed: with interrupt_response false we answer when the response under way has ended.
            self._answer_wanted = self.active is not None
            self.begin({})

    def take(self, job: str, piece: Any) -> None:
        """Pass an engine's answer to the response that waits for it."""
        for response in [*self._under_way.values()]:
            response.take(job, piece)

    def resume(self) -> None:
        """Let responses go on that waited for a transcript."""
        for response in sorted(self._under_way.values(), key=lambda response: not response.plan.in_conversation):
            response.step()

    @property
    def active(self) -> Response | None:
        """The one that writes to the conversation."""
        return next((response for response in self._under_way.values() if response.plan.in_conversation), None)

    def _ended(self, response: Response) -> None:
        session, seconds = self._session, response.output.audio_seconds
        tokens = response.usage["total_tokens"]
        self._tokens_left = max(0, self._tokens_left - tokens)
        if response.plan.in_conversation and response.status != "failed":
            self._session.conversation.cached_tokens = tokens + 4
        if session.options.rate_limits_after is not None:
            session.at(session.now + session.options.rate_limits_after, self._send_rate_limits)
        self.voice_used = self.voice_used or bool(seconds)
        del self._under_way[response.id]
        if not response.plan.in_conversation:
            return
        self._session.conversation.count_audio()
        self._played(session.now + seconds)
        if self._answer_wanted:
            self._answer_wanted = False
            session.at(session.now, lambda: self.begin({}))

    def _send_rate_limits(self) -> None:
        seconds = round((_TOKEN_LIMIT - self._tokens_left) * 60 / _TOKEN_LIMIT, 3)
        tokens = {"name": "tokens", "limit": _TOKEN_LIMIT, "remaining": self._tokens_left, "reset_seconds": seconds}
        self._session.send("rate_limits.updated", rate_limits=[tokens])
