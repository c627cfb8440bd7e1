"""Taking widget messages while a cell runs, for the one call that waits for a person.

A kernel runs one request after the other, so while a cell runs, what the page says lies in a queue. On ipykernel 6 that
queue can be emptied by hand; ipykernel 7.4 takes widget messages whenever its loop turns, so it is enough to turn it. In
between (7.0 to 7.3) a cell holds a lock that keeps all messages back, and waiting would wait for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rtnb.ui import frontend

__all__ = ["can_serve", "serve_until"]

_COMM = frozenset({"comm_open", "comm_msg", "comm_close"})
_PAUSE_SECONDS = 0.03


def can_serve() -> bool:
    """Whether this kernel can take widget messages while a cell runs."""
    kernel = frontend.kernel()
    return kernel is not None and (hasattr(kernel, "msg_queue") or frontend.takes_live_messages())


def serve_until(done: Callable[[], bool], *, timeout: float | None = None) -> bool:
    """Take widget messages until something is the case. Interrupting the cell ends it as usual.

    Args:
        done: Asked after each round.
        timeout: Seconds to wait at most. None for no limit.

    Returns:
        Whether it is the case; False at once where this kernel cannot, and after `timeout`.
    """
    kernel = frontend.kernel()
    if kernel is None or not can_serve():
        return done()
    import nest_asyncio

    # A cell that waits without `await` stands inside the running loop; only nest_asyncio lets that loop turn further.
    loop = asyncio.get_event_loop()
    nest_asyncio.apply(loop)
    round_ = _take_queued(kernel) if hasattr(kernel, "msg_queue") else _turn
    end = None if timeout is None else time.monotonic() + timeout
    while not done():
        if end is not None and time.monotonic() > end:
            return False
        loop.run_until_complete(round_())
    return True


async def _turn() -> None:
    await asyncio.sleep(_PAUSE_SECONDS)


def _take_queued(kernel: Any) -> Callable[[], Any]:
    """One round on ipykernel 6: widget messages are handled, all others keep their place."""
    ident, parent = kernel._parent_ident["shell"], kernel.get_parent("shell")

    async def round_() -> None:
        kernel.shell_stream.flush()
        await asyncio.sleep(_PAUSE_SECONDS)
        others = []
        while not kernel.msg_queue.empty():
            entry = kernel.msg_queue.get_nowait()
            _, dispatch, args = entry
            if args and _kind(kernel, args[0]) in _COMM:
                await dispatch(*args)
                # Handling it made it the parent of whatever the cell prints next.
                kernel.set_parent(ident, parent, "shell")
            else:
                others.append(entry)
        for entry in others:
            kernel.msg_queue.put_nowait(entry)

    return round_


def _kind(kernel: Any, message: Any) -> str:
    try:
        _, frames = kernel.session.feed_identities(message, copy=False)
        return str(kernel.session.deserialize(frames, content=False, copy=False)["header"]["msg_type"])
    except Exception:  # not ours to judge: the kernel says so when it takes it
        return ""
