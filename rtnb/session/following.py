"""Following an answer to its end: the one loop over responses, function calls and approvals of MCP tools.

Every turn ends here, whether its caller asked for it, the server began it by itself, or it belongs to a live call.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rtnb.errors import ResponseFailed
from rtnb.money import limits
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session.context import TurnContext
from rtnb.session.reply import Approval, TurnState
from rtnb.session.responding import Sent, ended, expect_item, item_of_type, reserve, respond, updates_of, warn_of_wait
from rtnb.session.router import goes_on
from rtnb.session.updates import ToolRan

__all__ = ["TOOL_ROUNDS", "calls_ours", "follow", "judge", "next_response", "send_approval"]

TOOL_ROUNDS = 8
"""How many times in a row the model may call functions before it is asked to answer without."""

# After an MCP call the model goes on by itself (docs, guide realtime-mcp); how long to wait for it to.
_GOES_ON_SECONDS = 5.0


async def follow(
    context: TurnContext, turn: TurnState, settings: Mapping[str, Any], updates: asyncio.Queue[Any]
) -> None:
    """Follow the answer to its end: over a pause the server took for the end of a turn, and through tool calls."""
    rounds = tries = 0
    answered: list[Mapping[str, Any]] = []
    while True:
        response = turn.responses[-1]
        if not await ended(response, updates, turn.asked_id):
            context.router.disown(turn, response)
            await ended(response, updates)
            await respond(context, turn, settings)
            continue
        details = response.status_details or {}
        if response.status == "failed" and not turn.cancelled:
            tries += 1
            told = context.channel.conversation.rate_limits
            seconds = limits.wait_after(details.get("error") or {}, told, tries)
            if seconds is not None:
                # The question is in the conversation already: only the answer is asked for once more.
                warn_of_wait(context, turn, seconds, "Your account's limit is reached")
                await asyncio.sleep(seconds)
                reserve(context, turn)
                await respond(context, turn, settings)
                continue
        if response.status == "cancelled" and details.get("reason") == "turn_detected" and not turn.cancelled:
            # Our own recording went on after a pause: its next part is answered by the next response.
            context.router.claim(turn)
            while turn.responses[-1] is response:
                await updates.get()
            continue
        judge(turn)
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
        outputs = await _run_tools(context, turn, calls)
        rounds += 1
        reserve(context, turn)
        if rounds >= TOOL_ROUNDS:
            turn.warnings.append(f"The model called tools {rounds} times in a row, so it was asked to answer without.")
        await respond(context, turn, _after_call(settings, last=rounds >= TOOL_ROUNDS), outputs)


def _after_call(settings: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
    """Leave a forced tool choice out: it holds for one response only; kept, it would be forced for ever."""
    if last:
        return {**settings, "tool_choice": "none"}
    return {k: v for k, v in settings.items() if k != "tool_choice" or v in ("auto", "none")}


def calls_ours(context: TurnContext, response: c.Response) -> bool:
    """Return whether a response waits for a function or an approval of ours."""
    return response.status == "completed" and (
        any(call.get("name") in context.tools for call in response.calls)
        or any(item.get("type") == "mcp_approval_request" for item in response.output)
    )


async def _run_tools(context: TurnContext, turn: TurnState, calls: Sequence[Mapping[str, Any]]) -> Sent:
    """Run the functions of one response, all at once, and send what they return."""
    # All calls of a response want an answer before the next one (docs, guide realtime-conversations), so a name the
    # model made up is answered too; only a definition without a function is the caller's own to answer.
    defined = {tool.get("name") for tool in context.tools if isinstance(tool, Mapping)}
    calls = [call for call in calls if call.get("name") not in defined]
    begun = context.channel.seconds
    done = await asyncio.gather(
        *(
            context.tools.run(call["name"], call.get("arguments") or "{}", call_id=call.get("call_id") or "")
            for call in calls
        )
    )
    turn.tool_calls += done
    turn.tool_rounds.append((begun, context.channel.seconds))
    for call, ran in zip(calls, done, strict=True):
        context.listeners.tell(ToolRan(call.get("id") or "", ran))
    outputs = [
        client_events.item_create(client_events.function_call_output(ran.call_id, ran.output or "")) for ran in done
    ]
    added = item_of_type("function_call_output")
    return [expect_item(context, turn, event, added, "a tool's result") for event in outputs]


async def _approved(context: TurnContext, turn: TurnState, response: c.Response) -> bool:
    """Answer the questions whether MCP tools may be called. Return False where the caller must, or nothing follows."""
    asked = [
        Approval(item.get("id") or "", *(str(item.get(name) or "") for name in ("server_label", "name", "arguments")))
        for item in response.output
        if item.get("type") == "mcp_approval_request"
    ]
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
        said = await asyncio.to_thread(context.decide, approval)
        yes = bool(await said if inspect.isawaitable(said) else said)
        context.router.claim(turn)
        send_approval(context, turn, approval, yes)
    return True


def send_approval(
    context: TurnContext, turn: TurnState, approval: Approval, yes: bool, reason: str = ""
) -> asyncio.Task[Any]:
    """Send whether an MCP tool may be called."""
    item = {"type": "mcp_approval_response", "approval_request_id": approval.id, "approve": yes}
    event = client_events.item_create({**item, "reason": reason} if reason else item)
    return expect_item(context, turn, event, item_of_type("mcp_approval_response"), "an approval")


async def next_response(context: TurnContext, turn: TurnState, after: c.Response | None) -> bool:
    """Wait for a response that the server begins by itself. Return False if none comes."""
    try:
        async with asyncio.timeout(_GOES_ON_SECONDS), updates_of(context) as updates:
            while not turn.responses or turn.responses[-1] is after:
                await updates.get()
    except TimeoutError:
        # Only here: where one came, it may be over already and wait for the next that the server begins.
        context.router.unclaim(turn)
        return False
    return True


def judge(turn: TurnState) -> None:
    """Say how the last response ended, in the server's words and with what to do.

    Raises:
        ResponseFailed: If it failed.
    """
    response = turn.responses[-1]
    details = response.status_details or {}
    if response.status == "failed":
        error = details.get("error") or {}
        code = error.get("code") or error.get("type")
        said = error.get("message") or "it gave no reason"
        remedy = _REMEDIES.get(
            str(code), "What came is in error.reply; ask again, and if it stays so look at status.openai.com."
        )
        raise ResponseFailed(f"The server could not answer: {said} {remedy}", reply=turn.reply, code=code)
    reason = details.get("reason") or "no reason given"
    if response.status == "incomplete":
        turn.warnings.append(f"The answer is incomplete ({reason}): {_INCOMPLETE.get(reason, 'ask again')}.")
    elif response.status == "cancelled" and not turn.cancelled:
        turn.warnings.append(f"The answer was cancelled ({reason}).")


_REMEDIES = {
    "insufficient_quota": "Your account has no credit left: add some at platform.openai.com under Billing.",
    "rate_limit_exceeded": "You reached a limit of your account: wait a little and ask again, or ask for less.",
    "inference_rate_limit_exceeded": "The model is busy for your account: wait a little and ask again.",
}
_INCOMPLETE = {
    "max_output_tokens": "raise or leave out max_output_tokens",
    "content_filter": "rephrase the question",
    "turn_detected": "it was spoken over",
}
