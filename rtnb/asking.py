"""One question on its own connection, shown as it happens; and sessions whose replies show themselves."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Unpack

from rtnb.opening import ConnectionOptions, connect, takes_options
from rtnb.session.parts import read_parts
from rtnb.session.reply import Finished, Reply
from rtnb.transport import io_thread
from rtnb.ui.reply_card import live

# Replies of `ask` and `connect`, as users call them, are shown as a notebook shows them.
Reply.shown_by = live.bundle
Reply.shown_live = live.show

# `rate_limits.updated` comes 29–46 ms after the end of an answer (recorded); some servers send words and audio then.
_LINGER_SECONDS = 1.0
_TRANSCRIPT_SECONDS = 15.0


async def _close_after(reply: Reply) -> None:
    """Close the session of a reply that is over, when the server has said all that it owes."""
    session = reply.session
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TRANSCRIPT_SECONDS):
            await session.lifecycle.listeners.quiet(_LINGER_SECONDS)
            while reply.awaits_transcript and session.state == "open":
                await session.lifecycle.listeners.quiet(_LINGER_SECONDS)
    if reply.awaits_transcript and session.state == "open":
        missing = f"The transcript of your words did not come within {_TRANSCRIPT_SECONDS:g} s after the answer."
        reply.warnings.append(missing)
    session.close()


@takes_options(ConnectionOptions)
def ask(
    *parts: Any, response: Mapping[str, Any] | None = None, show: bool = True, **connection: Unpack[ConnectionOptions]
) -> Reply:
    """Ask one question and show the answer as it comes.

    ```python
    reply = await rtnb.ask(clip, "Summarize this audio content")
    reply.audio.save("output_audio.wav")
    ```

    Args:
        *parts: Words, recordings, pictures and boxes, in any order, as `Session.ask` takes them.
        response: Further fields of the API's `response.create`.
        show: Whether to show progress, words and audio as they come.
        **connection: As described.

    Returns:
        A `Reply` that has started: `await` it, `.wait()` for it, or iterate over its pieces.

    Raises:
        InputError: If a part cannot be sent or an argument is not what the API takes.
        AudioError: If a file is no recording.

    Examples:
        >>> reply = rtnb.ask("Repeat after me: good evening", practice=True, modalities="text", show=False).wait()
        >>> reply.text
        'good evening.'
    """
    steps = read_parts(parts)  # before anything is opened
    session = connect(show=False, **connection)
    try:
        reply = session.ask(*steps, response=response)
    except BaseException:
        session.close()
        raise
    reply.subscribe(lambda update: isinstance(update, Finished) and io_thread.submit(_close_after(reply)))
    if show:
        live.show(reply)
    return reply
