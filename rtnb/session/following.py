"""Asking for a response, and following it to the end: the one loop over responses, function calls and approvals.

Every turn comes here, whether its caller asked for it, the server began it by itself, or it belongs to a live call.
"""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rtnb.errors import ResponseFailed, ServerError
from rtnb.money import limits
from rtnb.protocol import client_events
from rtnb.protocol.frames import Event
from rtnb.protocol.items import Response
from rtnb.protocol.updates import Errored
from rtnb.session.exchanges import is_type, unwatched
from rtnb.session.lifecycle import Lifecycle
from rtnb.session.reply import Approval, TurnState
from rtnb.session.router import goes_on
from rtnb.session.updates import ToolRan
from rtnb.texts.language import say
from rtnb.texts.shortening import with_full_stop
from rtnb.transport.connection_errors import SPEND_LIMIT

Part = asyncio.Future[Any]
"""Part that was sent; it fails if the server refuses it."""

Sent = list[Part]
"""Parts that were sent, in their order."""

TOOL_ROUNDS = 8
"""How many times in a row the model may call functions before it is asked to answer without."""

# After an MCP call the model goes on by itself (docs, guide realtime-mcp); how long to wait for it to.
_GOES_ON_SECONDS = 5.0
# How long what comes after the end of an empty answer is waited for, since its end or since the last of it.
_LATE_SECONDS = 1.5


def expect_item(context: Lifecycle, turn: TurnState, event: Event, doing: str, answer: str, **fields: Any) -> Part:
    """Send an event from which the server makes an item of this turn, without waiting for it."""
    announced = context.channel.expect(event, is_type(answer, **fields), doing)

    async def taken() -> None:
        event = await announced
        if item_id := event.get("item_id") or (event.get("item") or {}).get("id"):
            turn.items[item_id] = context.channel.conversation.turn(item_id)

    return unwatched(taken())


def create_item(context: Lifecycle, turn: TurnState, item: Event, doing: str, **like: Any) -> Part:
    """Send an item of this turn, without waiting for the server to announce one like it."""
    return expect_item(context, turn, client_events.item_create(item), doing, "conversation.item.added", **like)


async def ended(response: Response, updates: asyncio.Queue[Any], asked_id: str | None = None) -> bool:
    """Wait until a response is over. Return False if the server refused the event `asked_id` because of this response.

    A response the server began by itself may come between our `response.create` and its refusal, and look like ours.
    """
    while response.active or not updates.empty():
        update = await updates.get()
        if isinstance(update, Errored) and asked_id is not None and update.error.get("event_id") == asked_id:
            return False
    return True


async def respond(
    context: Lifecycle, turn: TurnState, sent: Sequence[Any] = (), settings: Mapping[str, Any] | None = None
) -> None:
    """Ask for a response and wait until it has begun; the first refusal of what was sent before is raised first.

    Raises:
        BudgetExceeded: If the budget does not cover it.
        ServerError: If the server refuses it, or what was sent before.
    """
    channel, router = context.channel, context.router
    if turn.unasked:
        await _until_welcome(context)
    tries = 0
    while True:
        await _wait_for_room(context, turn)
        if turn.asked_at is None:  # the caller waits since the first request, also where functions run in between
            turn.asked_at = channel.seconds
        event = client_events.respond(turn.settings if settings is None else settings)
        turn.asked_id = event["event_id"]
        router.claim(turn, event)
        context.meter.reserve(turn.reservation, event)

        def begun(_: object, before: int = len(turn.responses)) -> bool:
            # Not `response.created`: some servers leave it out, and that of a side response looks the same.
            return len(turn.responses) > before

        asked = channel.expect(event, begun, "to answer")
        context.queue.sent(turn)
        await asyncio.wait({asked})
        if (error := asked.exception()) is not None:
            router.unclaim(turn)
        # The server answers in order (recorded), so by now it has refused whatever it did not take.
        refused = next((task.exception() for task in sent if task.done() and task.exception()), None)
        if refused is not None:
            if error is None and turn.responses and turn.responses[-1].active:
                channel.put(client_events.cancel(turn.responses[-1].server_id))  # it answers half a question
            raise refused
        if error is None:
            return
        if not (isinstance(error, ServerError) and error.code == "conversation_already_has_active_response"):
            raise error
        # Another response is under way, for instance one the server began by itself.
        if not await _others_ended(context) and (tries := tries + 1) > 3:
            raise error


async def _others_ended(context: Lifecycle) -> bool:
    """Wait until the response under way is over. Return False if none was."""
    if (active := context.channel.conversation.active_response()) is None:
        return False
    async with context.listeners.queued() as updates:
        await ended(active, updates)
    return True


async def _until_welcome(context: Lifecycle) -> None:
    """Wait until nothing speaks against an answer that no caller asked for."""
    while True:
        if context.gate is not None:
            await context.gate()
        if not await _others_ended(context):
            return


async def _wait_for_room(context: Lifecycle, turn: TurnState) -> None:
    """Wait where the server has said that the next response would go beyond the account's allowance."""
    talk = context.channel.conversation
    if not talk.rate_limits or talk.rate_limits_at is None:
        return
    tokens = context.meter.reads().input_tokens
    if seconds := limits.wait_before(talk.rate_limits, context.channel.seconds - talk.rate_limits_at, tokens):
        context.queue.sent(turn)  # nothing else need wait
        await _wait(context, turn, seconds, "Your account's limit is nearly reached")


async def _wait(context: Lifecycle, turn: TurnState, seconds: float, why: str) -> None:
    """Wait before asking again; keep and print that rtnb does."""
    sentence = f"{why}: rtnb waits {seconds:.1f} s and asks again by itself."
    turn.warnings.append(sentence)
    context.channel.say(sentence)
    await asyncio.sleep(seconds)


# --- following ---------------------------------------------------------------------------------------------------


async def follow(context: Lifecycle, turn: TurnState) -> None:
    """Follow the answer to its end: over a pause the server took for the end of a turn, and through tool calls."""
    rounds = tries = 0
    answered: list[Mapping[str, Any]] = []
    while True:
        response = turn.responses[-1]
        if not await ended(response, turn.steering, turn.asked_id):
            context.router.disown(turn, response)
            await ended(response, turn.steering)
            await respond(context, turn)
            continue
        details = response.status_details or {}
        if response.status == "failed" and not turn.cancelled:
            tries += 1
            stated = context.channel.conversation.rate_limits
            if (seconds := limits.wait_after(details.get("error") or {}, stated, tries)) is not None:
                # The question is in the conversation already: only the answer is asked for once more.
                await _wait(context, turn, seconds, "Your account's limit is reached")
                await respond(context, turn)
                continue
        if response.status == "cancelled" and details.get("reason") == "turn_detected" and not turn.cancelled:
            # Our own recording went on after a pause: its next part is answered by the next response.
            context.router.claim(turn)
            missing = "{silence}, and did not answer the rest of your recording."
            await context.channel.owed(_another(turn, response), missing)
            continue
        await judge(turn)
        calls = [call for call in response.calls if call not in answered]  # some repeat what was said before
        answered += calls
        if response.status != "completed" or turn.cancelled:
            return
        if any(str(item.get("type")).startswith("mcp_") for item in response.output) and not calls:
            if await _approved(context, turn, response) and await next_response(context, turn, response):
                continue
            return
        if not any(call.get("name") in context.tools for call in calls):
            return
        if turn.unasked:
            context.queue.leave(turn)  # others go on while its functions run
        outputs = await _run_tools(context, turn, calls)
        await context.queue.step_in(turn)
        rounds += 1
        if rounds >= TOOL_ROUNDS:
            turn.warnings.append(f"The model called tools {rounds} times in a row, so it was asked to answer without.")
        await respond(context, turn, outputs, _after_call(turn.settings, last=rounds >= TOOL_ROUNDS))


async def _another(turn: TurnState, after: Response) -> None:
    """Wait until another response of the turn begins."""
    while turn.responses[-1] is after:
        await turn.steering.get()


def _after_call(settings: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
    """Leave a forced tool choice out: it holds for one response only; kept, it would be forced for ever."""
    if last:
        return {**settings, "tool_choice": "none"}
    return {k: v for k, v in settings.items() if k != "tool_choice" or v in ("auto", "none")}


def calls_ours(context: Lifecycle, response: Response) -> bool:
    """Return whether a response waits for a function or an approval of ours."""
    ours = any(call.get("name") in context.tools for call in response.calls) or bool(_questions(response))
    return response.status == "completed" and ours


def _questions(response: Response) -> list[dict[str, Any]]:
    return [item for item in response.output if item.get("type") == "mcp_approval_request"]


async def _run_tools(context: Lifecycle, turn: TurnState, calls: Sequence[Mapping[str, Any]]) -> Sent:
    """Run the functions of one response, all at once, and send what they return."""
    # All calls of a response want an answer before the next one (docs, guide realtime-conversations), so a name the
    # model made up is answered too; only a definition without a function is the caller's own to answer.
    defined = {tool.get("name") for tool in context.tools if isinstance(tool, Mapping)}
    calls = [call for call in calls if call.get("name") not in defined]
    begun = context.channel.seconds
    run = context.tools.run
    runs = [run(call["name"], call.get("arguments") or "{}", call_id=call.get("call_id") or "") for call in calls]
    with turn.calling():
        done = await asyncio.gather(*runs)
    turn.tool_calls += done
    turn.tool_rounds.append((begun, context.channel.seconds))
    for call, ran in zip(calls, done, strict=True):
        context.listeners.tell(ToolRan(call.get("id") or "", ran))
    outputs = [client_events.function_call_output(ran.call_id, ran.output or "") for ran in done]
    return [create_item(context, turn, item, "a tool's result", type=item["type"]) for item in outputs]


async def _approved(context: Lifecycle, turn: TurnState, response: Response) -> bool:
    """Answer the questions whether MCP tools may be called. Return False where the caller must, or nothing follows."""
    names = ("server_label", "name", "arguments")
    asked = [Approval(one.get("id") or "", *(str(one.get(n) or "") for n in names)) for one in _questions(response)]
    if not asked:
        return goes_on(response)
    if context.decide is None:
        turn.approvals += asked
        remedy = "Answer with chat.approve(reply) or chat.approve(reply, False)."
        if turn.unasked:  # there is no reply to pass
            remedy = "Connect with approve=, a function that answers it."
        turn.warnings.append(f"The model asks whether it may call {', '.join(map(str, asked))}. {remedy}")
        return False
    for approval in asked:
        # A function that waits for a user must not stop the sockets.
        with turn.calling():
            said = await asyncio.to_thread(context.decide, approval)
            yes = bool(await said if inspect.isawaitable(said) else said)
        await context.queue.step_in(turn)
        context.router.claim(turn)
        send_approval(context, turn, approval, yes)
    return True


def send_approval(context: Lifecycle, turn: TurnState, approval: Approval, yes: bool, reason: str = "") -> Part:
    """Send whether an MCP tool may be called."""
    item = {"type": "mcp_approval_response", "approval_request_id": approval.id, "approve": yes}
    item |= {"reason": reason} if reason else {}
    return create_item(context, turn, item, "an approval", type=item["type"])


async def next_response(context: Lifecycle, turn: TurnState, after: Response | None) -> bool:
    """Wait for a response that the server begins by itself. Return False if none comes."""
    try:
        async with asyncio.timeout(_GOES_ON_SECONDS), context.listeners.queued() as updates:
            while not turn.responses or turn.responses[-1] is after:
                await updates.get()
    except TimeoutError:
        # Only here: where one came, it may be over already and wait for the next that the server begins.
        context.router.unclaim(turn)
        return False
    return True


async def judge(turn: TurnState) -> None:
    """Say how the last response ended, in the server's words and with what to do.

    Raises:
        ResponseFailed: If it failed.
    """
    response = turn.responses[-1]
    details = response.status_details or {}
    if response.status == "completed" and response.empty:
        if response.usage is None or response.usage.get("output_tokens"):  # some servers send all after the end
            await turn.updates.quiet(_LATE_SECONDS)
        if response.empty:
            what = "The answer is empty: the server completed it without words, sound or a call. Ask again."
            turn.warnings.append(what)
    if response.status == "failed":
        error = details.get("error") or {}
        code, said = error.get("code") or error.get("type"), error.get("message") or say("it gave no reason.")
        remedy = _REMEDIES.get(str(code), _ASK_AGAIN)
        told = say("The server could not answer: {said} {remedy}", said=with_full_stop(said), remedy=say(remedy))
        raise ResponseFailed(told, reply=turn.reply, code=code)
    reason = details.get("reason") or "no reason given"
    if response.status == "incomplete":
        sentence = f"The answer is incomplete ({reason}): {_INCOMPLETE.get(reason, 'ask again')}."
        turn.warnings.append(response.cut or sentence)
    elif response.status == "cancelled" and not turn.cancelled:
        turn.warnings.append(f"The answer was cancelled ({reason}).")


_ASK_AGAIN = "What came is in error.reply; ask again, and if it stays so look at status.openai.com."
_REMEDIES = {
    "insufficient_quota": "Your account has no credit left: add some at platform.openai.com under Billing.",
    "project_spend_limit_exceeded": SPEND_LIMIT,
    "rate_limit_exceeded": "You reached a limit of your account: wait a little and ask again, or ask for less.",
    "inference_rate_limit_exceeded": "The model is busy for your account: wait a little and ask again.",
}
_INCOMPLETE = {
    "max_output_tokens": "raise or leave out max_output_tokens",
    "content_filter": "rephrase the question",
    "turn_detected": "it was spoken over",
}
