"""One turn, step by step: send the parts, ask, follow the answer, call tools, and judge how it ended.

Runs on the I/O thread. A turn ends on `response.done`, in whatever order the rest comes.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from . import conversation as c
from . import wire
from .audio import open_stream
from .costs import Usage, cost
from .errors import ResponseFailed, ServerError
from .parts import Message, Recording, Step

if TYPE_CHECKING:
    from .reply import Reply
    from .session import Session

__all__ = ["next_input_cost", "take_side", "take_turn"]

TOOL_ROUNDS = 8
# A server that detects turns must hear the end: its own silence_duration_ms and then some (docs, guide realtime-vad).
_TRAILING_SILENCE_MS = {"server_vad": 700, "semantic_vad": 4000}
# How long to wait for the server's detector to hear speech in a recording before ending the turn by hand.
_SPEECH_WAIT_SECONDS = 4.0
# How many bytes of sound may wait for the socket before reading on in a file.
_AHEAD_BYTES = 256 << 10


async def take_turn(session: Session, reply: Reply, steps: Sequence[Step], settings: Mapping[str, Any]) -> None:
    """Take one turn from its first part to its last response.

    Raises:
        AudioError: If a recording cannot be read.
        ServerError: If the server refuses a part, or to answer.
        ResponseFailed: If a response fails.
        BudgetExceeded: If the budget does not cover a response.
        ConnectionFailed: If the session ends before the turn does.
    """
    async with session._turn(reply), _updates(session) as updates:
        session._check_budget(reply)
        detection = session._turn_detection()
        refusals: list[asyncio.Task[Any]] = []
        if detection is None:
            for step in steps:
                refusals += await _send(session, reply, step)
            await _respond(session, reply, settings, refusals)
            reply.progress = (reply.progress[0], reply.progress[0])
        else:
            # Words first: what the server hears end is what makes it answer.
            for step in sorted(steps, key=lambda step: isinstance(step, Recording)):
                refusals += await _send(session, reply, step, ending=False)
            sounds = any(isinstance(step, Recording) for step in steps)
            if sounds:
                await _let_it_hear(session, reply, detection, settings, updates, refusals)
            else:
                await _respond(session, reply, settings, refusals)
        await _follow(session, reply, settings, updates)


async def take_side(session: Session, reply: Reply, settings: dict[str, Any]) -> None:
    """Take an out-of-band response; it runs beside the talk's own turns.

    Raises:
        ServerError: If the server refuses it.
        ResponseFailed: If it fails.
        BudgetExceeded: If the budget does not cover it.
    """
    await session._opened()
    reply._begin = len(session.log)
    session._check_budget(reply)
    event = wire.respond(settings)
    # Nothing but the metadata comes back to tell one response from another (docs: out-of-band responses).
    event["response"]["metadata"] = {**(settings.get("metadata") or {}), "rtnb_side": event["event_id"]}
    session._side_replies[event["event_id"]] = reply
    try:
        async with _updates(session) as updates:
            reply._asked_at = session.seconds
            await session._line.expect(
                event,
                lambda e: e["type"] == "response.created"
                and ((e["response"].get("metadata") or {}).get("rtnb_side") == event["event_id"]),
                "the side response",
            )
            await _ended(reply.responses[-1], updates)
            _judge(reply)
    finally:
        session._side_replies.pop(event["event_id"], None)


@asynccontextmanager
async def _updates(session: Session) -> AsyncIterator[asyncio.Queue[Any]]:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    end = session.subscribe(queue.put_nowait)
    try:
        yield queue
    finally:
        end()


# --- sending -----------------------------------------------------------------------------------------------------------


async def _send(session: Session, reply: Reply, step: Step, *, ending: bool = True) -> list[asyncio.Task[Any]]:
    """Send one part; gives tasks that fail if the server refuses it, so that nobody waits for each answer in turn."""
    if isinstance(step, Message):
        event = wire.item_create(wire.message("user", step.content))

        def answers(e: Mapping[str, Any]) -> bool:
            return e["type"] == "conversation.item.added" and (e.get("item") or {}).get("role") == "user"

        return [_task(session, reply, event, answers, "a message", lambda e: (e.get("item") or {}).get("id"))]
    await _send_sound(session, reply, step.source)
    if not ending:
        return []
    return [_task(session, reply, wire.commit(), _committed, "a recording", lambda e: e.get("item_id"))]


def _committed(event: Mapping[str, Any]) -> bool:
    return event["type"] == "input_audio_buffer.committed"


def _task(
    session: Session, reply: Reply, event: dict[str, Any], answers: Any, doing: str, item_id: Any
) -> asyncio.Task[Any]:
    sent = session._line.expect(event, answers, doing)

    async def taken() -> None:
        answer = await sent
        if found := item_id(answer):
            reply._item_ids.add(found)

    task = asyncio.ensure_future(taken())
    task.add_done_callback(lambda t: t.cancelled() or t.exception())
    return task


async def _send_sound(session: Session, reply: Reply, source: Any) -> None:
    """Append a recording block by block, read off the I/O thread, never far ahead of the socket."""
    loop = asyncio.get_running_loop()
    stream = await loop.run_in_executor(None, open_stream, source)
    sent_before, total_before = reply.progress
    sent_seconds = 0.0
    read: Any = functools.partial(next, iter(stream), None)
    while (block := await loop.run_in_executor(None, read)) is not None:
        session._line.append(block)
        sent_seconds += len(block) / (2 * c.RATE_HZ)
        total = None if stream.seconds is None else (total_before or 0.0) + max(stream.seconds, sent_seconds)
        reply.progress = (sent_before + sent_seconds, total)
        await session._line.drained(_AHEAD_BYTES)
    reply.progress = (sent_before + sent_seconds, (total_before or 0.0) + sent_seconds)


async def _respond(
    session: Session, reply: Reply, settings: Mapping[str, Any], refusals: Sequence[asyncio.Task[Any]] = ()
) -> None:
    """Ask for a response and wait until it has begun; whatever the server refused before that is raised first."""
    tries = 0
    while True:
        session._waiting = reply
        reply._asked_at = session.seconds
        asked = session._line.expect(wire.respond(settings), lambda e: e["type"] == "response.created", "to answer")
        try:
            await asyncio.wait({asked})
        finally:
            if session._waiting is reply:
                session._waiting = None
        # The server answers in order (recorded), so by now it has said no to whatever it did not take.
        refused = next((task.exception() for task in refusals if task.done() and task.exception()), None)
        if refused is not None:
            if asked.exception() is None and reply.responses and reply.responses[-1].active:
                session._line.put(wire.cancel(reply.responses[-1].id))  # it answers half a question
            raise refused
        error = asked.exception()
        if error is None:
            return
        if not (isinstance(error, ServerError) and error.code == "conversation_already_has_active_response"):
            raise error
        # Somebody else's response is under way, for instance one the server began by itself.
        if (active := session.conversation.active_response()) is not None:
            async with _updates(session) as updates:
                await _ended(active, updates)
        elif (tries := tries + 1) > 3:
            raise error


async def _let_it_hear(
    session: Session,
    reply: Reply,
    detection: Mapping[str, Any],
    settings: Mapping[str, Any],
    updates: asyncio.Queue[Any],
    refusals: Sequence[asyncio.Task[Any]],
) -> None:
    """After a recording, with turn detection on: give the silence that ends the turn, and wait for the answer."""
    least = _TRAILING_SILENCE_MS.get(str(detection.get("type")), 1000)
    silence_ms = max(least, int(detection.get("silence_duration_ms") or 0) + 200)
    session._waiting = reply
    session._line.append(bytes(silence_ms * c.BYTES_PER_MS))
    await session._line.drained(0)
    reply._asked_at = session.seconds
    heard = speaking = False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SPEECH_WAIT_SECONDS
    while True:
        try:
            update = await asyncio.wait_for(updates.get(), None if heard else max(0.01, deadline - loop.time()))
        except TimeoutError:
            reply.warnings.append("The server heard no speech in this recording, so rtnb ended the turn by hand.")
            refusals = [
                *refusals,
                _task(session, reply, wire.commit(), _committed, "a recording", lambda e: e.get("item_id")),
            ]
            await _respond(session, reply, settings, refusals)
            return
        if isinstance(update, c.SpeechStarted):
            heard = speaking = True
            reply._item_ids.add(update.item_id)
        elif isinstance(update, c.SpeechStopped):
            speaking = False
        elif isinstance(update, c.Committed):
            heard = True
            reply._item_ids.add(update.item_id)
            if detection.get("create_response") is False and not speaking:
                await _respond(session, reply, settings, refusals)
                return
        elif isinstance(update, c.ResponseStarted) and update.response in reply.responses:
            return


# --- following ----------------------------------------------------------------------------------------------------------


async def _ended(response: c.Response, updates: asyncio.Queue[Any]) -> None:
    while response.active:
        await updates.get()


async def _follow(
    session: Session, reply: Reply, settings: Mapping[str, Any], updates: asyncio.Queue[Any]
) -> None:
    """Follow the answer to its end: over a pause the server took for the end of a turn, and through tool calls."""
    rounds = 0
    while True:
        response = reply.responses[-1]
        await _ended(response, updates)
        details = response.status_details or {}
        if response.status == "cancelled" and details.get("reason") == "turn_detected" and not reply._cancelled:
            # Our own recording went on after a pause: its next part is answered by the next response.
            session._waiting = reply
            count = len(reply.responses)
            while len(reply.responses) == count:
                await updates.get()
            continue
        _judge(reply)
        calls = _calls(response)
        if not calls or response.status != "completed" or reply._cancelled:
            return
        if not await _answer_calls(session, reply, calls):
            return
        rounds += 1
        session._check_budget(reply)
        last = rounds >= TOOL_ROUNDS
        if last:
            reply.warnings.append(f"The model called tools {rounds} times in a row, so it was asked to answer without.")
        await _respond(session, reply, {**settings, "tool_choice": "none"} if last else _after_call(settings))


def _after_call(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A forced tool choice holds for one response only; kept, it would be forced for ever."""
    return {k: v for k, v in settings.items() if k != "tool_choice" or v in ("auto", "none")}


def _calls(response: c.Response) -> list[dict[str, Any]]:
    return [item for item in response.output if item.get("type") == "function_call"]


async def _answer_calls(session: Session, reply: Reply, calls: Sequence[Mapping[str, Any]]) -> bool:
    """Run the functions of one response, all at once, and give back what they said. False if none was ours to run."""
    ours = [call for call in calls if call.get("name") in session.tools]
    if not ours:
        return False
    # All calls of a response want an answer before the next one (docs, guide realtime-conversations), so a name the
    # model made up is answered too; only a definition without a function is the person's own to answer.
    defined = {tool.get("name") for tool in session.tools if isinstance(tool, Mapping)}
    done = await asyncio.gather(
        *(
            session.tools.run(call["name"], call.get("arguments") or "{}", call_id=call.get("call_id") or "")
            for call in calls
            if call.get("name") not in defined
        )
    )
    for call in done:
        reply.tool_calls.append(call)
        output = wire.item_create(wire.function_call_output(call.call_id, call.output or ""))
        await session._line.expect(
            output,
            lambda e: e["type"] == "conversation.item.added"
            and (e.get("item") or {}).get("type") == "function_call_output",
            "a tool's result",
        )
    return True


def _judge(reply: Reply) -> None:
    """Tell how the last response ended, in the server's words and with what to do."""
    response = reply.responses[-1]
    details = response.status_details or {}
    if response.status == "failed":
        error = details.get("error") or {}
        code = error.get("code") or error.get("type")
        said = error.get("message") or "it gave no reason"
        raise ResponseFailed(
            f"The server could not answer: {said} {_REMEDIES.get(str(code), _REMEDY)}", reply=reply, code=code
        )
    if response.status == "incomplete":
        reason = details.get("reason") or "no reason given"
        remedy = {
            "max_output_tokens": "raise or leave out max_output_tokens",
            "content_filter": "rephrase the question",
            "turn_detected": "it was spoken over",
        }.get(reason, "ask again")
        reply.warnings.append(f"The answer is incomplete ({reason}): {remedy}.")
    elif response.status == "cancelled" and not reply._cancelled:
        reply.warnings.append(f"The answer was cancelled ({details.get('reason') or 'no reason given'}).")


_REMEDY = "What came is in error.reply; ask again, and if it stays so look at status.openai.com."
_REMEDIES = {
    "insufficient_quota": "Your account has no credit left: add some at platform.openai.com under Billing, then ask again.",
    "rate_limit_exceeded": "You reached a limit of your account: wait a little and ask again, or ask for fewer at a time.",
    "inference_rate_limit_exceeded": "The model is busy for your account: wait a little and ask again.",
}


def next_input_cost(session: Session, seconds_of_sound: float) -> float | None:
    """Estimate what the input of the next response costs: the history again, and the new sound.

    The whole conversation is billed as input for each response (OpenAI docs, guide realtime-costs).
    """
    last = next((r for r in reversed(session.conversation.responses.values()) if r.usage), None)
    history = Usage.from_event(last.usage) if last is not None else Usage()
    tokens = int(seconds_of_sound * 10)
    again = Usage(
        input_text_tokens=history.input_text_tokens + history.output_text_tokens,
        input_audio_tokens=history.input_audio_tokens + history.output_audio_tokens + tokens,
        input_image_tokens=history.input_image_tokens,
    )
    return cost(again, session.model).usd
