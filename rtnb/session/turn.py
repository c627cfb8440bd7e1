"""One turn, step by step: send the parts, ask, follow the answer, call tools, and judge how it ended.

Runs on the I/O thread. A turn ends on `response.done`, in whatever order the rest comes.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rtnb.audio import open_stream
from rtnb.errors import ResponseFailed, ServerError
from rtnb.money import Usage, cost, limits
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session.parts import Message, Recording, Step
from rtnb.session.reply import Approval

if TYPE_CHECKING:
    from rtnb.session.reply import Reply
    from rtnb.session.session import Session

__all__ = ["goes_on", "next_input_cost", "take_approved", "take_side", "take_turn"]

TOOL_ROUNDS = 8
# A server that detects turns must hear the end: its own silence_duration_ms and then some (docs, guide realtime-vad).
_TRAILING_SILENCE_MS = {"server_vad": 700, "semantic_vad": 4000}
# How long to wait for the server's detector to hear speech in a recording before ending the turn by hand.
_SPEECH_WAIT_SECONDS = 4.0
# How many bytes of sound may wait for the socket before reading on in a file.
_AHEAD_BYTES = 256 << 10
# After an MCP call the model goes on by itself (docs, guide realtime-mcp); how long to wait for it to.
_GOES_ON_SECONDS = 5.0
# How long an unknown server may take to say whether it knows `input_audio_buffer.commit`.
_COMMIT_WAIT_SECONDS = 5.0


async def take_turn(session: Session, reply: Reply, steps: Sequence[Step], settings: Mapping[str, Any]) -> None:
    """Take one turn from its first part to its last response.

    Raises:
        AudioError: If a recording cannot be read.
        ServerError: If the server refuses a part, or to answer.
        ResponseFailed: If a response fails.
        BudgetExceeded: If the budget does not cover a response.
        ConnectionFailed: If the session ends before the turn does.
    """
    await session._placed(reply)
    async with _updates(session) as updates:
        session._check_budget(reply)
        detection = session._turn_detection()
        refusals: list[asyncio.Task[Any]] = []
        if detection is None:
            for count, step in enumerate(steps, 1):
                refusals += await _send(session, reply, step)
                if isinstance(step, Recording) and not await _takes_commits(session, reply, refusals):
                    for rest in steps[count:]:
                        refusals += await _send(session, reply, rest, ending=False)
                    detection = session._turn_detection() or {}
                    await _let_it_hear(session, reply, detection, settings, updates, refusals)
                    break
            else:
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
    await session._placed(reply, beside=True)
    session._check_budget(reply)
    event = client_events.respond(settings)
    # Nothing but the metadata comes back to tell one response from another (docs: out-of-band responses).
    event["response"]["metadata"] = {**(settings.get("metadata") or {}), "rtnb_side": event["event_id"]}
    session._side_replies[event["event_id"]] = reply
    try:
        async with _updates(session) as updates:
            reply._asked_at = session.seconds
            begun = session._line.expect(
                event,
                lambda e: (
                    e["type"] == "response.created"
                    and ((e["response"].get("metadata") or {}).get("rtnb_side") == event["event_id"])
                ),
                "the side response",
            )
            session._sent(reply)
            await begun
            await _ended(reply.responses[-1], updates)
            _judge(reply)
    finally:
        session._side_replies.pop(event["event_id"], None)


async def take_approved(
    session: Session, reply: Reply, approvals: Sequence[Approval], yes: bool, reason: str = ""
) -> None:
    """Say whether MCP tools may be called, and follow how the model goes on.

    Raises:
        ServerError: If the server refuses the answer.
        ResponseFailed: If the response that follows fails.
        BudgetExceeded: If the budget does not cover it.
        ConnectionFailed: If the session ends before it is over.
    """
    await session._placed(reply)
    async with _updates(session) as updates:
        session._check_budget(reply)
        session._waiting = reply
        refusals = [_approve(session, reply, approval, yes, reason) for approval in approvals]
        session._sent(reply)
        if not await _goes_on(session, reply, None):
            await _respond(session, reply, {}, refusals)
        await _follow(session, reply, {}, updates)


def _approve(session: Session, reply: Reply, approval: Approval, yes: bool, reason: str = "") -> asyncio.Task[Any]:
    item = {"type": "mcp_approval_response", "approval_request_id": approval.id, "approve": yes}
    event = client_events.item_create({**item, "reason": reason} if reason else item)
    return _task(session, reply, event, _added("mcp_approval_response"), "an approval", _item_id)


def _added(type_: str) -> Any:
    return lambda e: e["type"] == "conversation.item.added" and (e.get("item") or {}).get("type") == type_


def _item_id(event: Mapping[str, Any]) -> str | None:
    return (event.get("item") or {}).get("id")


def goes_on(response: c.Response) -> bool:
    """Whether the model goes on by itself: its last word was a call the server made for it."""
    return bool(response.output) and response.output[-1].get("type") == "mcp_call" and response.status == "completed"


async def _goes_on(session: Session, reply: Reply, after: c.Response | None) -> bool:
    """Wait for a response the server begins by itself. False if none comes."""
    try:
        async with asyncio.timeout(_GOES_ON_SECONDS), _updates(session) as updates:
            while not reply.responses or reply.responses[-1] is after:
                await updates.get()
    except TimeoutError:
        # Only here: where one came, it may be over already and wait for the next that the server begins.
        if session._waiting is reply:
            session._waiting = None
        return False
    return True


async def _takes_commits(session: Session, reply: Reply, sent: Sequence[asyncio.Task[Any]]) -> bool:
    """Whether the server took our commit; one that does not know the event gets `server_vad` by itself.

    Known servers are known to take it; of an unknown one it is found out with the first recording.
    """
    if session._where.provider.name != "other":
        return True
    await asyncio.wait({sent[-1]}, timeout=_COMMIT_WAIT_SECONDS)
    refused = sent[-1].exception() if sent[-1].done() else None
    if not isinstance(refused, ServerError) or refused.code == "input_audio_buffer_commit_empty":
        return True
    said = str(refused).lower()
    if refused.param != "type" and not any(word in said for word in ("unknown", "unsupported", "not supported")):
        return True
    session._own_detection = {"type": "server_vad"}
    session._line.put(
        client_events.session_update(
            {"type": "realtime", "audio": {"input": {"turn_detection": session._own_detection}}}
        )
    )
    sent[-1].cancel()
    if isinstance(sent, list):
        sent.pop()
    reply.warnings.append("The server takes no commit, so its own turn detection ends the recording.")
    return False


@asynccontextmanager
async def _updates(session: Session) -> AsyncIterator[asyncio.Queue[Any]]:
    """The updates that a turn is steered by; words and sound, most of all, steer nothing."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(update: Any) -> None:
        if not isinstance(update, c.TextDelta | c.AudioDelta):
            queue.put_nowait(update)

    end = session.subscribe(put)
    try:
        yield queue
    finally:
        end()


# --- sending ----------------------------------------------------------------------------------------------------------


async def _send(session: Session, reply: Reply, step: Step, *, ending: bool = True) -> list[asyncio.Task[Any]]:
    """Send one part; gives tasks that fail if the server refuses it, so that nobody waits for each answer in turn."""
    if isinstance(step, Message):
        event = client_events.item_create(client_events.message("user", step.content))

        def answers(e: Mapping[str, Any]) -> bool:
            return e["type"] == "conversation.item.added" and (e.get("item") or {}).get("role") == "user"

        return [_task(session, reply, event, answers, "a message", lambda e: (e.get("item") or {}).get("id"))]
    await _send_sound(session, reply, step.source)
    if not ending:
        return []
    return [_task(session, reply, client_events.commit(), _committed, "a recording", lambda e: e.get("item_id"))]


def _committed(event: Mapping[str, Any]) -> bool:
    return event["type"] == "input_audio_buffer.committed"


def _task(
    session: Session, reply: Reply, event: dict[str, Any], answers: Any, doing: str, item_id: Any
) -> asyncio.Task[Any]:
    sent = session._line.expect(event, answers, doing)

    async def taken() -> None:
        answer = await sent
        if found := item_id(answer):
            reply._took(found)

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
        await _wait_for_room(session, reply)
        session._waiting = reply
        if reply._asked_at is None:  # one waits since the first request, also where functions are called in between
            reply._asked_at = session.seconds
        event = client_events.respond(settings)
        reply._asked = event["event_id"]

        def begun(_: object, before: int = len(reply.responses)) -> bool:
            # Not `response.created`: some servers leave it out, and that of a side response looks the same.
            return len(reply.responses) > before

        asked = session._line.expect(event, begun, "to answer")
        session._sent(reply)
        await asyncio.wait({asked})
        if asked.exception() is not None and session._waiting is reply:
            session._waiting = None
        # The server answers in order (recorded), so by now it has said no to whatever it did not take.
        refused = next((task.exception() for task in refusals if task.done() and task.exception()), None)
        if refused is not None:
            if asked.exception() is None and reply.responses and reply.responses[-1].active:
                session._line.put(client_events.cancel(reply.responses[-1].id))  # it answers half a question
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


async def _wait_for_room(session: Session, reply: Reply) -> None:
    """Wait where the server told that the next response would go beyond the account's allowance."""
    told, at = session.conversation.rate_limits, session.conversation.rate_limits_at
    if not told or at is None:
        return
    tokens = next_input_usage(session, reply.progress[0]).input_tokens
    if seconds := limits.wait_before(told, session.seconds - at, tokens):
        session._sent(reply)  # nobody else need wait
        _say_waiting(session, reply, seconds, "Your account's limit is nearly reached")
        await asyncio.sleep(seconds)


def _say_waiting(session: Session, reply: Reply, seconds: float, why: str) -> None:
    sentence = f"{why}: rtnb waits {seconds:.1f} s and asks again by itself."
    reply.warnings.append(sentence)
    session._line.say(sentence)


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
    session._sent(reply)
    await session._line.drained(0)
    reply._asked_at = session.seconds
    heard = speaking = False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SPEECH_WAIT_SECONDS
    while True:
        try:
            update = await asyncio.wait_for(updates.get(), None if heard else max(0.01, deadline - loop.time()))
        except TimeoutError:
            if session._own_detection is not None or not session._where.provider.commit:
                raise ServerError(
                    "The server heard no speech in this recording, and only its own detection can end a turn there. "
                    "Send a louder recording, or words."
                ) from None
            reply.warnings.append("The server heard no speech in this recording, so rtnb ended the turn by hand.")
            refusals = [
                *refusals,
                _task(session, reply, client_events.commit(), _committed, "a recording", lambda e: e.get("item_id")),
            ]
            await _respond(session, reply, settings, refusals)
            return
        if isinstance(update, c.Errored) and update.error.get("code") == client_events.NOT_RECORDED:
            raise client_events.error_from(update.event, "to answer")
        if isinstance(update, c.SpeechStarted):
            heard = speaking = True
            reply._took(update.item_id)
        elif isinstance(update, c.SpeechStopped):
            speaking = False
        elif isinstance(update, c.Committed):
            heard = True
            reply._took(update.item_id)
            if detection.get("create_response") is False and not speaking:
                await _respond(session, reply, settings, refusals)
                return
        elif isinstance(update, c.ResponseStarted) and update.response in reply.responses:
            return


# --- following --------------------------------------------------------------------------------------------------------


async def _ended(response: c.Response, updates: asyncio.Queue[Any], asked: str | None = None) -> bool:
    """Wait until a response is over. False if the server refused the event `asked` because of this very response.

    A response the server began by itself may come between our `response.create` and its refusal, and look like ours.
    """
    while response.active or not updates.empty():
        update = await updates.get()
        if isinstance(update, c.Errored) and asked is not None and update.error.get("event_id") == asked:
            return False
    return True


async def _follow(session: Session, reply: Reply, settings: Mapping[str, Any], updates: asyncio.Queue[Any]) -> None:
    """Follow the answer to its end: over a pause the server took for the end of a turn, and through tool calls."""
    rounds = tries = 0
    answered: list[Mapping[str, Any]] = []
    while True:
        response = reply.responses[-1]
        if not await _ended(response, updates, reply._asked):
            reply.responses.remove(response)
            session._answering.pop(response.id, None)
            await _ended(response, updates)
            await _respond(session, reply, settings)
            continue
        details = response.status_details or {}
        if response.status == "failed" and not reply._cancelled:
            tries += 1
            seconds = limits.wait_after(details.get("error") or {}, session.conversation.rate_limits, tries)
            if seconds is not None:
                # The question is in the conversation already: only the answer is asked for once more.
                _say_waiting(session, reply, seconds, "Your account's limit is reached")
                await asyncio.sleep(seconds)
                session._check_budget(reply)
                await _respond(session, reply, settings)
                continue
        if response.status == "cancelled" and details.get("reason") == "turn_detected" and not reply._cancelled:
            # Our own recording went on after a pause: its next part is answered by the next response.
            session._waiting = reply
            count = len(reply.responses)
            while len(reply.responses) == count:
                await updates.get()
            continue
        _judge(reply)
        calls = [call for call in response.calls if call not in answered]  # some repeat what was said before
        answered += calls
        if response.status != "completed" or reply._cancelled:
            return
        if any(str(item.get("type")).startswith("mcp_") for item in response.output) and not calls:
            if await _ask_for_approval(session, reply, response) and await _goes_on(session, reply, response):
                continue
            return
        if not calls:
            return
        refusals = await _answer_calls(session, reply, calls)
        if refusals is None:
            return
        rounds += 1
        session._check_budget(reply)
        last = rounds >= TOOL_ROUNDS
        if last:
            reply.warnings.append(f"The model called tools {rounds} times in a row, so it was asked to answer without.")
        again = {**settings, "tool_choice": "none"} if last else _after_call(settings)
        await _respond(session, reply, again, refusals)


def _after_call(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A forced tool choice holds for one response only; kept, it would be forced for ever."""
    return {k: v for k, v in settings.items() if k != "tool_choice" or v in ("auto", "none")}


async def _ask_for_approval(session: Session, reply: Reply, response: c.Response) -> bool:
    """Ask whoever decides whether MCP tools may be called. False where a person has to be asked, or nothing follows."""
    asked = [
        Approval(item.get("id") or "", *(str(item.get(name) or "") for name in ("server_label", "name", "arguments")))
        for item in response.output
        if item.get("type") == "mcp_approval_request"
    ]
    if not asked:
        return goes_on(response)
    if session._approve is None:
        reply.approvals += asked
        reply.warnings.append(
            f"The model asks whether it may call {', '.join(map(str, asked))}. Answer with chat.approve(reply) or "
            "chat.approve(reply, False)."
        )
        return False
    for approval in asked:
        # A function that waits for a person must not stop the sockets.
        said = await asyncio.to_thread(session._approve, approval)
        yes = bool(await said if inspect.isawaitable(said) else said)
        session._waiting = reply
        _approve(session, reply, approval, yes)
    return True


async def _answer_calls(
    session: Session, reply: Reply, calls: Sequence[Mapping[str, Any]]
) -> list[asyncio.Task[Any]] | None:
    """Run the functions of one response, all at once, and give back what they said. None if none was ours to run."""
    ours = [call for call in calls if call.get("name") in session.tools]
    if not ours:
        return None
    # All calls of a response want an answer before the next one (docs, guide realtime-conversations), so a name the
    # model made up is answered too; only a definition without a function is the person's own to answer.
    defined = {tool.get("name") for tool in session.tools if isinstance(tool, Mapping)}
    begun = session.seconds
    done = await asyncio.gather(
        *(
            session.tools.run(call["name"], call.get("arguments") or "{}", call_id=call.get("call_id") or "")
            for call in calls
            if call.get("name") not in defined
        )
    )
    reply.tool_calls += done
    reply._tool_rounds.append((begun, session.seconds))
    outputs = [
        client_events.item_create(client_events.function_call_output(call.call_id, call.output or "")) for call in done
    ]
    added = _added("function_call_output")
    return [_task(session, reply, event, added, "a tool's result", _item_id) for event in outputs]


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
    "insufficient_quota": "Your account has no credit left: add some at platform.openai.com under Billing.",
    "rate_limit_exceeded": "You reached a limit of your account: wait a little and ask again, or ask for less.",
    "inference_rate_limit_exceeded": "The model is busy for your account: wait a little and ask again.",
}


def next_input_cost(session: Session, seconds_of_sound: float) -> float | None:
    """Estimate what the input of the next response costs: the history again, and the new sound.

    The whole conversation is billed as input for each response (OpenAI docs, guide realtime-costs).
    """
    return cost(next_input_usage(session, seconds_of_sound), session.model).usd


def next_input_usage(session: Session, seconds_of_sound: float) -> Usage:
    """Estimate the tokens the next response reads."""
    last = next((r for r in reversed(session.conversation.responses.values()) if r.usage), None)
    history = Usage.from_event(last.usage) if last is not None else Usage()
    tokens = int(seconds_of_sound * 10)
    return Usage(
        input_text_tokens=history.input_text_tokens + history.output_text_tokens,
        input_audio_tokens=history.input_audio_tokens + history.output_audio_tokens + tokens,
        input_image_tokens=history.input_image_tokens,
    )
