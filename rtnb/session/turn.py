"""One turn, step by step: send the parts, ask, and follow the answer.

Runs on the I/O thread. A turn ends on `response.done`, in whatever order the rest comes. Its parts go out without
waiting for each answer; refusals are collected and raised when the answer is asked for. Where the caller ends turns, a
commit follows each recording. Where the server detects turns, words go first and the recording last, with silence
behind it, for the end of speech is what makes the server answer.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rtnb.audio import pcm
from rtnb.audio.source import is_file
from rtnb.errors import BudgetExceeded, ConnectionFailed, RtnbError, ServerError
from rtnb.protocol import client_events, error_events
from rtnb.protocol.updates import Committed, Errored, ResponseStarted, SpeechStarted, SpeechStopped
from rtnb.session import following
from rtnb.session.following import Sent, expect_item, follow, respond
from rtnb.session.lifecycle import Lifecycle
from rtnb.session.parts import Message, Recording, Step
from rtnb.session.reply import Approval, TurnState
from rtnb.session.updates import Overspent
from rtnb.transport.channel import NO_ANSWER

# `server_vad` waits 500 ms where nothing else is set, and 200 ms more leave room for its frames of 32 ms (recorded);
# `semantic_vad` waits 4 s at most at its default eagerness (docs, guide realtime-vad).
_TRAILING_SILENCE_MS = {"server_vad": 700, "semantic_vad": 4000}
# How long to wait for the server to detect speech in a recording before ending the turn by hand.
_SPEECH_WAIT_SECONDS = 4.0
# How many bytes of audio may wait for the socket before reading on in a file.
_AHEAD_BYTES = 256 << 10
# How long an unknown server may take to say whether it knows `input_audio_buffer.commit`.
_COMMIT_WAIT_SECONDS = 5.0


async def take_turn(context: Lifecycle, turn: TurnState, steps: Sequence[Step]) -> None:
    """Take one turn from its first part to its last response.

    Raises:
        AudioError: If a recording cannot be read.
        ServerError: If the server refuses a part, or to answer.
        ResponseFailed: If a response fails.
        BudgetExceeded: If the budget does not cover a response.
        ConnectionFailed: If the session ends before the turn does.
    """
    if context.meter.budget is not None:
        await context.meter.announce(turn.reservation, turn.settings, *[await _reads(step) for step in steps])
    detection = context.turn_detection()
    by_hand = ending = detection is None
    sent: Sent = []
    for step in steps if by_hand else sorted(steps, key=lambda step: isinstance(step, Recording)):
        sent += await _send(context, turn, step, ending=ending)
        if ending and isinstance(step, Recording):
            ending = await _takes_commits(context, turn, sent)
    if ending or not any(isinstance(step, Recording) for step in steps):
        await respond(context, turn, sent)
    else:
        await _end_by_detection(context, turn, detection or context.own_detection or {}, sent)
    if by_hand:
        turn.progress = (turn.progress[0], turn.progress[0])
    await follow(context, turn)


async def take_side(context: Lifecycle, turn: TurnState) -> None:
    """Take an out-of-band response, which runs beside the conversation's own turns.

    Raises:
        ServerError: If the server refuses it.
        ResponseFailed: If it fails.
        BudgetExceeded: If the budget does not cover it.
    """
    event = client_events.respond(turn.settings)
    context.router.claim(turn, event)
    context.meter.reserve(turn.reservation, event)
    turn.asked_at = context.channel.seconds
    begun = context.channel.expect(event, lambda _: bool(turn.responses), "the side response")
    context.queue.sent(turn)
    await begun
    await following.ended(turn.responses[-1], turn.steering)
    await following.judge(turn)


async def take_approved(
    context: Lifecycle, turn: TurnState, approvals: Sequence[Approval], yes: bool, reason: str
) -> None:
    """Send whether MCP tools may be called, and follow how the model goes on.

    Raises:
        ServerError: If the server refuses the answer.
        ResponseFailed: If the response that follows fails.
        BudgetExceeded: If the budget does not cover it.
        ConnectionFailed: If the session ends before it is over.
    """
    await context.meter.announce(turn.reservation, turn.settings)
    context.router.claim(turn)
    sent = [following.send_approval(context, turn, approval, yes, reason) for approval in approvals]
    context.queue.sent(turn)
    if not await following.next_response(context, turn, None):
        await respond(context, turn, sent)
    await follow(context, turn)


async def take_unasked(context: Lifecycle, turn: TurnState) -> None:
    """Follow a response that no caller asked for, from its function calls on; nobody awaits what comes of it.

    Raises:
        ResponseFailed: If a response fails.
        BudgetExceeded: If the budget does not cover it.
        ConnectionFailed: If the session ends before it is over.
    """
    context.queue.sent(turn)
    try:
        await follow(context, turn)
    except RtnbError as error:
        if not isinstance(error, ConnectionFailed):  # the session's own end, which says so itself
            context.warn(str(error))
        if isinstance(error, BudgetExceeded):
            context.listeners.tell(Overspent(error))
        raise
    finally:
        for warning in turn.warnings:
            context.warn(warning)


# --- sending ----------------------------------------------------------------------------------------------------------


async def _reads(step: Step) -> Mapping[str, Any] | float:
    """Return what a response reads of a part: an item, or so many seconds of audio; 0 while that is not known."""
    if isinstance(step, Message):
        return {"content": step.content}
    if is_file(step.source):
        return 0.0  # it may be one that can be read but once
    with await asyncio.get_running_loop().run_in_executor(None, step.open) as stream:
        return stream.seconds or 0.0


async def _send(context: Lifecycle, turn: TurnState, step: Step, *, ending: bool = True) -> Sent:
    """Send one part, without waiting for the server to take it."""
    if isinstance(step, Message):
        item = client_events.message("user", step.content)
        return [following.create_item(context, turn, item, "a message", role="user")]
    await _send_audio(context, turn, step)
    return [_commit(context, turn)] if ending else []


def _commit(context: Lifecycle, turn: TurnState) -> asyncio.Future[Any]:
    return expect_item(context, turn, client_events.commit(), "a recording", "input_audio_buffer.committed")


async def _send_audio(context: Lifecycle, turn: TurnState, recording: Recording) -> None:
    """Append a recording block by block, read off the I/O thread, never far ahead of the socket."""
    loop = asyncio.get_running_loop()
    stream = await loop.run_in_executor(None, recording.open)
    sent_before, total_before, sent_seconds = turn.progress[0], turn.progress[1] or 0.0, 0.0
    while blocks := await loop.run_in_executor(None, _read_some, stream, 8 if sent_seconds else 1):
        for block in blocks:
            context.channel.append(block)
            sent_seconds += pcm.seconds(len(block))
            total = None if stream.seconds is None else total_before + max(stream.seconds, sent_seconds)
            turn.progress = (sent_before + sent_seconds, total)
            await context.channel.drained(_AHEAD_BYTES)
    turn.progress = (sent_before + sent_seconds, total_before + sent_seconds)


def _read_some(stream: Iterator[bytes], most: int) -> list[bytes]:
    """Read blocks, as many as come at once: a hop from thread to thread costs more than a block."""
    until, blocks = time.perf_counter() + 0.02, list[bytes]()
    while len(blocks) < most and (block := next(stream, None)) is not None:
        blocks.append(block)
        most = most if time.perf_counter() < until else 0
    return blocks


async def _takes_commits(context: Lifecycle, turn: TurnState, sent: Sent) -> bool:
    """Return whether the server took our commit; one that does not know the event gets `server_vad` by itself.

    Known servers are known to take it; of an unknown one it is found out with the first recording.
    """
    if context.provider.known:
        return True
    await asyncio.wait({sent[-1]}, timeout=_COMMIT_WAIT_SECONDS)
    refused = sent[-1].exception() if sent[-1].done() else None
    if not isinstance(refused, ServerError) or refused.code == "input_audio_buffer_commit_empty":
        return True
    said = str(refused).lower()
    if refused.param != "type" and not any(word in said for word in ("unknown", "unsupported", "not supported")):
        return True
    context.own_detection = {"type": "server_vad"}
    wanted = {"type": "realtime", "audio": {"input": {"turn_detection": context.own_detection}}}
    context.channel.put(client_events.session_update(wanted))
    sent.pop()
    turn.warnings.append("The server takes no commit, so its own turn detection ends the recording.")
    return False


def trailing_silence(detection: Mapping[str, Any]) -> bytes:
    """Return the silence behind a recording in which a server finds its end.

    Args:
        detection: The turn detection in force, as the API's object.
    """
    least_ms = _TRAILING_SILENCE_MS.get(str(detection.get("type")), 1000)
    return pcm.silence(max(least_ms, int(detection.get("silence_duration_ms") or 0) + 200) / 1000)


async def _end_by_detection(context: Lifecycle, turn: TurnState, detection: Mapping[str, Any], sent: Sent) -> None:
    """Send the silence that ends a turn after a recording, and wait until the answer has begun."""
    context.router.claim(turn)
    context.channel.append(trailing_silence(detection))
    context.queue.sent(turn)
    await context.channel.drained()
    turn.asked_at = context.channel.seconds
    detected = speaking = False
    loop, limit = asyncio.get_running_loop(), context.channel.timeout
    deadline = loop.time() + _SPEECH_WAIT_SECONDS
    while True:
        left_seconds = None if detected and limit is None else max(0.01, deadline - loop.time())
        try:
            update = await asyncio.wait_for(turn.steering.get(), left_seconds)
        except TimeoutError:
            if detected and limit is not None:
                silent = f"The server detected speech, {context.channel.silence(limit)} and did not answer. Ask again."
                raise ServerError(silent, code=NO_ANSWER) from None
            nothing = "The server heard no speech in this recording"
            if context.own_detection is not None or not context.provider.commit:
                cannot = f"{nothing}, and only its own detection can end a turn there."
                raise ServerError(f"{cannot} Send a louder recording, or words.") from None
            turn.warnings.append(f"{nothing}, so rtnb ended the turn by hand.")
            return await respond(context, turn, [*sent, _commit(context, turn)])
        if isinstance(update, Errored) and update.error.get("code") == error_events.NOT_RECORDED:
            raise error_events.error_from(update.event, "to answer")
        if isinstance(update, SpeechStarted | SpeechStopped | Committed | ResponseStarted) and limit is not None:
            deadline = loop.time() + limit
        if isinstance(update, SpeechStarted | Committed):
            detected = True
            turn.items[update.item_id] = context.channel.conversation.turn(update.item_id)
        if isinstance(update, SpeechStarted | SpeechStopped):
            speaking = isinstance(update, SpeechStarted)
        elif isinstance(update, Committed) and detection.get("create_response") is False and not speaking:
            return await respond(context, turn, sent)
        elif isinstance(update, ResponseStarted) and update.response in turn.responses:
            return None
