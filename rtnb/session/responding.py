"""Asking for a response, and waiting until it has begun and until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rtnb.errors import ServerError
from rtnb.money import cost, limits
from rtnb.money.meter import next_input
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session.context import TurnContext
from rtnb.session.reply import TurnState

__all__ = ["Sent", "ended", "expect_item", "item_of_type", "reserve", "respond", "updates_of", "warn_of_wait"]

Sent = list[asyncio.Task[Any]]
"""Parts that were sent; a task fails if the server refuses its part."""


@asynccontextmanager
async def updates_of(context: TurnContext) -> AsyncIterator[asyncio.Queue[Any]]:
    """Queue the updates that steer a turn; words and audio, most of all, steer nothing."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(update: Any) -> None:
        if not isinstance(update, c.TextDelta | c.AudioDelta):
            queue.put_nowait(update)

    end = context.listeners.subscribe(put)
    try:
        yield queue
    finally:
        end()


def expect_item(
    context: TurnContext, turn: TurnState, event: dict[str, Any], answers: Callable[[dict[str, Any]], bool], doing: str
) -> asyncio.Task[Any]:
    """Send an event from which the server makes an item of this turn, without waiting for it."""
    answer = context.channel.expect(event, answers, doing)

    async def taken() -> None:
        event = await answer
        if item_id := event.get("item_id") or (event.get("item") or {}).get("id"):
            turn.items[item_id] = context.channel.conversation.turn(item_id)

    task = asyncio.ensure_future(taken())
    task.add_done_callback(lambda t: t.cancelled() or t.exception())
    return task


def item_of_type(type_: str) -> Callable[[dict[str, Any]], bool]:
    """Return a function that says whether an event announces an item of this type."""
    return lambda event: event["type"] == "conversation.item.added" and (event.get("item") or {}).get("type") == type_


def reserve(context: TurnContext, turn: TurnState) -> None:
    """Set aside what the next response reads.

    Raises:
        BudgetExceeded: If the budget does not cover it.
    """
    turn.reservation.renew(cost(next_input(context.channel.conversation, turn.progress[0]), context.model).usd)


async def ended(response: c.Response, updates: asyncio.Queue[Any], asked_id: str | None = None) -> bool:
    """Wait until a response is over. Return False if the server refused the event `asked_id` because of this response.

    A response the server began by itself may come between our `response.create` and its refusal, and look like ours.
    """
    while response.active or not updates.empty():
        update = await updates.get()
        if isinstance(update, c.Errored) and asked_id is not None and update.error.get("event_id") == asked_id:
            return False
    return True


async def respond(context: TurnContext, turn: TurnState, settings: Mapping[str, Any], sent: Sequence[Any] = ()) -> None:
    """Ask for a response and wait until it has begun; the first refusal of what was sent before is raised first."""
    channel, router = context.channel, context.router
    if turn.unasked:
        await _until_welcome(context)
    tries = 0
    while True:
        await _wait_for_room(context, turn)
        router.claim(turn)
        if turn.asked_at is None:  # the caller waits since the first request, also where functions run in between
            turn.asked_at = channel.seconds
        event = client_events.respond(settings)
        turn.asked_id = event["event_id"]

        def begun(_: object, before: int = len(turn.responses)) -> bool:
            # Not `response.created`: some servers leave it out, and that of a side response looks the same.
            return len(turn.responses) > before

        asked = channel.expect(event, begun, "to answer")
        context.queue.sent(turn)
        await asyncio.wait({asked})
        error = asked.exception()
        if error is not None:
            router.unclaim(turn)
        # The server answers in order (recorded), so by now it has refused whatever it did not take.
        refused = next((task.exception() for task in sent if task.done() and task.exception()), None)
        if refused is not None:
            if error is None and turn.responses and turn.responses[-1].active:
                channel.put(client_events.cancel(turn.responses[-1].id))  # it answers half a question
            raise refused
        if error is None:
            return
        if not (isinstance(error, ServerError) and error.code == "conversation_already_has_active_response"):
            raise error
        # Another response is under way, for instance one the server began by itself.
        if not await _others_ended(context) and (tries := tries + 1) > 3:
            raise error


async def _others_ended(context: TurnContext) -> bool:
    """Wait until the response under way is over. Return False if none was."""
    if (active := context.channel.conversation.active_response()) is None:
        return False
    async with updates_of(context) as updates:
        await ended(active, updates)
    return True


async def _until_welcome(context: TurnContext) -> None:
    """Wait until nothing speaks against an answer that no caller asked for."""
    while True:
        if context.gate is not None:
            await context.gate()
        if not await _others_ended(context):
            return


async def _wait_for_room(context: TurnContext, turn: TurnState) -> None:
    """Wait where the server has said that the next response would go beyond the account's allowance."""
    talk = context.channel.conversation
    if not talk.rate_limits or talk.rate_limits_at is None:
        return
    tokens = next_input(talk, turn.progress[0]).input_tokens
    if seconds := limits.wait_before(talk.rate_limits, context.channel.seconds - talk.rate_limits_at, tokens):
        context.queue.sent(turn)  # nothing else need wait
        warn_of_wait(context, turn, seconds, "Your account's limit is nearly reached")
        await asyncio.sleep(seconds)


def warn_of_wait(context: TurnContext, turn: TurnState, seconds: float, why: str) -> None:
    """Keep and print that rtnb waits before it asks again."""
    sentence = f"{why}: rtnb waits {seconds:.1f} s and asks again by itself."
    turn.warnings.append(sentence)
    context.channel.say(sentence)
