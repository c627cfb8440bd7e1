"""One I/O thread on which every socket lives.

A notebook's own event loop stands still whenever a cell blocks, and a socket on it would miss the server's pings (one
every 20 s) and be dropped. Sockets therefore live on a loop of their own in a daemon thread.
"""

import asyncio
import concurrent.futures
import functools
import logging
import os
import threading
import traceback
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call

T = TypeVar("T")

_log = logging.getLogger("rtnb")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def io_loop() -> asyncio.AbstractEventLoop:
    """Return the I/O thread's loop, starting the thread if need be (also after a fork, which copies no threads)."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _loop.set_exception_handler(_handle)
            _thread = threading.Thread(target=_serve, args=(_loop,), name="rtnb-io", daemon=True)
            _thread.start()
        return _loop


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print what nobody handles, as asyncio does, but for what `websockets` raises on a socket that is gone."""
    raised = getattr(context.get("exception"), "__traceback__", None)
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(raised)]
    if not (modules and modules[-1].startswith("websockets.")):  # who opened the socket has its own error
        loop.default_exception_handler(context)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            return loop.run_forever()
        except BaseException:  # asyncio lets SystemExit and KeyboardInterrupt out of its loop; every socket lives here
            _log.exception("rtnb: something on the I/O thread wanted to end the program; the thread goes on")


def on_io_thread() -> bool:
    """Return whether the caller runs on the I/O thread, where waiting would stop every socket."""
    return threading.current_thread() is _thread


def check_process(process_id: int, what: str) -> None:
    """Refuse what belongs to the process with this id where that is not this one.

    Raises:
        InputError: If it is not: a forked child has a copy of everything but the threads, so it would wait for ever.
    """
    if process_id != os.getpid():
        raise InputError(f"Your {what} belongs to the process that this one was forked from. Open a session in here.")


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start a coroutine on the I/O thread at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, io_loop())


@functools.partial(checks_call, frames=True)
def run(awaitable: Awaitable[T]) -> T:
    """Run a coroutine to its end, from a script or from any cell, also where a loop is running already.

    Args:
        awaitable: For example `main()` of an `async def main()`, or anything else that can be awaited.

    Returns:
        What it returns.

    Raises:
        Exception: Whatever it raises.

    Examples:
        >>> async def twice(words):
        ...     return [await rtnb.ask(words, practice=True, modalities="text", show=False) for _ in range(2)]
        >>> [reply.status for reply in rtnb.run(twice("Hello"))]
        ['completed', 'completed']
    """

    async def whole() -> T:
        return await awaitable

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    # Only here: nest_asyncio patches asyncio for the whole process, which a library must not do unasked.
    import nest_asyncio

    nest_asyncio.apply(loop)
    return loop.run_until_complete(whole())
