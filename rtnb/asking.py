"""One question on its own connection, shown as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtnb import keys
from rtnb.session.reply import Reply
from rtnb.session.session import connect
from rtnb.ui.reply_card import live

__all__ = ["ask", "connect"]

# Whoever comes through the front door, by `ask` or by `connect`, sees replies as a notebook shows them.
Reply.shown_by = live.bundle


def ask(
    *parts: Any,
    instructions: str | None = None,
    modalities: Any = None,
    response: Mapping[str, Any] | None = None,
    show: bool = True,
    **connection: Any,
) -> Reply:
    """Ask one question and show the answer as it comes.

    ```python
    reply = await rtnb.ask(clip, "Summarize this audio content")
    reply.audio.save("output_audio.wav")
    ```

    Args:
        *parts: Words, recordings, pictures and boxes, in any order, as `Session.ask` takes them.
        instructions: How the model should behave. None: the server's default.
        modalities: `"audio"` (sound and its transcript) or `"text"`. None: audio.
        response: Further fields of the API's `response.create`.
        show: Whether to show progress, words and sound as they come.
        **connection: What `rtnb.connect` takes: model, voice, tools, key, url, practice, replay, budget, verbose, ….

    Returns:
        A `Reply` that has started: `await` it, `.wait()` for it, or iterate over its pieces.

    Raises:
        InputError: If a part cannot be sent or an argument is not what the API takes.
    """
    connection["key"] = keys.hold(connection.get("key"))
    session = connect(instructions=instructions, modalities=modalities, **connection)
    try:
        reply = session.ask(*parts, response=response)
    except BaseException:
        session.close()
        raise
    session._close_after(reply)
    if show:
        live.show(reply)
    return reply
