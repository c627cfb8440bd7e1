"""Cells of a kernel: what one waits for learns that the cell was stopped, on ipykernel 6.17 as on 7.4."""

import asyncio
import contextlib
import signal
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def shell() -> Any:
    """Return the IPython shell of this process, or None where there is none."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def kernel() -> Any | None:
    """Return the IPython kernel that this process is, or None in scripts, terminals and marimo."""
    return getattr(shell(), "kernel", None)


_begun: Callable[[], Any] = lambda: None  # noqa: E731


def begun(handle: Any) -> None:
    """Keep what was begun: a kernel holds it until the next, for a cell that is stopped has nothing else of it."""
    global _begun
    _begun = (lambda: handle) if kernel() is not None else weakref.ref(handle)


def last() -> Any:
    """Return what was begun last. None before the first, and outside of kernels once nobody else holds it."""
    return _begun()


Told = Callable[[BaseException], object]
"""Called with what the waiting cell gets, `KeyboardInterrupt`, or a task of the user's own, `CancelledError`."""


@contextlib.contextmanager
def blocking(interrupted: Told) -> Iterator[None]:
    """Call a function where the thread is interrupted while it stands still in here.

    In a cell that awaits somewhere, the kernel's own signal handler only puts a callback into the loop, which stands
    still as well; so Python's handler takes its place meanwhile.
    """
    handler: Any = signal.signal(signal.SIGINT, signal.default_int_handler) if _in_cell() else None
    try:
        yield
    except KeyboardInterrupt as pressed:
        interrupted(pressed)
        raise
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


@contextlib.asynccontextmanager
async def awaiting(interrupted: Told) -> AsyncIterator[None]:
    """Call a function where the task is cancelled while it waits in here, by the stop button among others."""
    ticking = asyncio.ensure_future(_tick()) if kernel() is not None else None
    _count_presses()
    before = _presses
    try:
        yield
    except asyncio.CancelledError as cancelled:
        # IPython shows it as of any other cell; in a task of the user's own it would end the whole loop.
        by = KeyboardInterrupt() if in_cells_task() and _presses > before else cancelled
        interrupted(by)
        raise by from None
    finally:
        if ticking is not None:
            ticking.cancel()


def in_cells_task() -> bool:
    """Return whether the current task is the cell itself, not one that it or an earlier cell began."""
    task = asyncio.current_task()
    return task is not None and getattr(task.get_coro(), "__name__", "") == "run_cell_async"


_presses = 0  # of the stop button


def _count_presses() -> None:
    """Count interrupts from now on: a task may be cancelled by a time limit as well, which raises another error."""
    before = signal.getsignal(signal.SIGINT)
    if not _in_cell() or not callable(before) or hasattr(before, "counts"):
        return

    def pressed(number: int, frame: Any) -> None:
        global _presses
        _presses += 1
        before(number, frame)

    vars(pressed)["counts"] = True
    signal.signal(signal.SIGINT, pressed)  # the kernel puts its own back after the cell


def _in_cell() -> bool:
    return kernel() is not None and threading.current_thread() is threading.main_thread()


async def _tick() -> None:
    """Wake an event loop up ten times a second, so that it sees the stop button.

    The kernel's signal handler only puts a callback into the loop of its own thread, which does not wake one that
    sleeps (tornado's `add_callback`).
    """
    while True:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


# What the running cell iterates over: between two pieces the cell's own code runs, and it may be stopped there.
_iterated: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(stream: Any) -> None:
    """Have the `interrupted` of a stream called if the running cell is stopped, wherever it stands then."""
    if _in_cell():
        _iterated.add(stream)
        shell().events.register("post_run_cell", _after_cell)  # a second time changes nothing


def _after_cell(result: Any = None) -> None:
    streams = [*_iterated]
    _iterated.clear()
    stopped = getattr(result, "error_in_exec", None)
    if isinstance(stopped, KeyboardInterrupt | asyncio.CancelledError):
        for stream in streams:
            stream.interrupted(stopped)
