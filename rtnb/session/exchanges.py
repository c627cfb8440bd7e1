"""Client events together with the answer that each waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from rtnb.errors import ServerError
from rtnb.protocol import client_events
from rtnb.protocol.frames import Event
from rtnb.transport.channel import Channel

T = TypeVar("T")

# Codes of client races every interactive client runs into; OpenAI's own SDKs and LiveKit treat them as benign.
BENIGN_CODES = {"response_cancel_not_active", "conversation_already_has_active_response"}
BENIGN_CODES |= {"input_audio_buffer_commit_empty", "item_truncate_invalid_item_id"}
# How long an unknown server may take to say `session.updated`, which some never do.
_UPDATE_WAIT_SECONDS = 5.0


def is_type(*types: str, **fields: Any) -> Callable[[Event], bool]:
    """Return a test of whether an event is of one of these types, with these fields in it or in its item.

    A field that is None may be anything.
    """

    def answers(event: Event) -> bool:
        if event["type"] not in types:  # nearly all events
            return False
        about = {**event, **(event.get("item") or {})}
        return all(value in (None, about.get(name)) for name, value in fields.items())

    return answers


def unwatched(awaitable: Awaitable[T]) -> asyncio.Future[T]:
    """Begin something whose end perhaps nobody awaits: asyncio would print how it failed."""
    begun = asyncio.ensure_future(awaitable)
    begun.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return begun


def message(role: str, words: str) -> dict[str, Any]:
    """Write an earlier turn as an item; the API takes no audio for the assistant's side."""
    kind = "output_text" if role == "assistant" else "input_text"
    return client_events.message(role, [{"type": kind, "text": words}])


def update(channel: Channel, model: str, settings: Mapping[str, Any], warn: Callable[[str], None]) -> Awaitable[Event]:
    """Change the session now; return what waits for `session.updated`, {} where the server never says it."""
    event, provider = client_events.session_update(settings), channel.provider
    if not provider.responses:
        event["model"] = model  # a server that only transcribes reads nothing else
    if not provider.answers_update:
        channel.put(event)
        return asyncio.sleep(0, {})
    answers = is_type("session.updated", "transcription_session.updated")
    answer = channel.expect(event, answers, "the session's configuration")
    # Where nothing came yet, it may be no server of this kind at all.
    return answer if provider.known or not channel.conversation.session else _confirmed(answer, warn)


async def _confirmed(answer: Awaitable[Event], warn: Callable[[str], None]) -> dict[str, Any]:
    try:
        return await asyncio.wait_for(answer, _UPDATE_WAIT_SECONDS)
    except (TimeoutError, ServerError) as error:
        if isinstance(error, ServerError) and ((error.event or {}).get("error") or {}).get("event_id"):
            raise  # else it may complain of a field and go on, as some do
        warn("The server did not confirm the session's configuration, so it may have its own.")
        return {}


def create_items(channel: Channel, items: Sequence[Event]) -> Awaitable[Any]:
    """Add items to the conversation now; return what waits for all of them, and raises the first refusal."""
    events = [client_events.item_create(item) for item in items]
    if channel.provider.answers_update:
        added = is_type("conversation.item.added")
        return _all([channel.expect(event, added, "an earlier turn") for event in events])
    for event in events:  # servers that speak the protocol in part never announce an item
        channel.put(event)
    return asyncio.sleep(0)


async def _all(answers: Sequence[Awaitable[Any]]) -> None:
    for answer in await asyncio.gather(*answers, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def cancel(channel: Channel, event: Event) -> Awaitable[dict[str, Any] | None]:
    """Stop a response now; return what waits for its end, None where none was running."""
    active = channel.conversation.active_response()
    wanted = event.get("response_id") or (active.id if active else None)
    answer = channel.expect(event, is_type("response.done", response_id=wanted), "to cancel")

    async def unless_too_late() -> dict[str, Any] | None:
        try:
            return await answer
        except ServerError as refused:
            if refused.code in BENIGN_CODES:
                return None
            raise

    return unless_too_late()
