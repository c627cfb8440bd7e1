"""One question on its own connection, shown as it happens; and sessions whose replies show themselves."""

from collections.abc import Mapping
from typing import Any, Unpack

from rtnb.opening import ConnectionOptions, connect, takes_options
from rtnb.session.reply import Finished, Reply
from rtnb.transport import io_thread
from rtnb.ui.reply_card import live

__all__ = ["ask", "connect"]

# Replies of `ask` and `connect`, as users call them, are shown as a notebook shows them.
Reply.shown_by = live.bundle

_LINGER_SECONDS = 0.25  # `rate_limits.updated` comes 29–46 ms after the end of an answer (recorded)


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
    """
    session = connect(**connection)
    try:
        reply = session.ask(*parts, response=response)
    except BaseException:
        session.close()
        raise
    loop = io_thread.io_loop()

    def end(update: Any) -> None:
        if isinstance(update, Finished):
            loop.call_soon_threadsafe(loop.call_later, _LINGER_SECONDS, session.close)

    reply.subscribe(end)
    if show:
        live.show(reply)
    return reply
