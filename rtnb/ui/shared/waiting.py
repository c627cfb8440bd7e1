"""Widget messages that come while a cell runs.

A kernel runs one request after the other, so while a cell runs, what the page sends lies in a queue. Two ways round it:

- ipykernel 7 has subshells, threads that serve a page beside the running cell, and JupyterLab (4.4 and later) sends
  widget messages to one. From 7.4 on the kernel sends them back to the main thread all the same, if the widget was made
  there, so that an awaiting cell gets them in its own thread; `receive_while_busy` lets them go where the page sent
  them.
- on ipykernel 6 the queue can be emptied by hand, for the one call that waits for the user.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from rtnb.transport import io_thread
from rtnb.ui.shared import frontend

_COMM = frozenset({"comm_open", "comm_msg", "comm_close"})
_PAUSE_SECONDS = 0.03
_FIRST_MESSAGE_SECONDS = 6.0


def receive_while_busy(widget: Any) -> None:
    """Let a widget's messages be handled on the thread the page asked for, also while a cell blocks the kernel.

    Measured on ipykernel 7.4.0 with JupyterLab 4.6 and Notebook 7.6: messages sent during `time.sleep` are handled at
    once, on a thread named `subshell-…`. Without it they wait for the cell. Its `on_msg` callbacks must be thread-safe.

    Args:
        widget: Any ipywidgets widget that has its comm already. Without subshells nothing changes; with them the page
            may still not use them.
    """
    if getattr(frontend.kernel(), "_supports_kernel_subshells", False):
        # The kernel asks the comm which subshell its messages belong to; ours leaves it to the page.
        widget.comm._reply_subshell_for = lambda data, asked_by_page: asked_by_page


# The shell whose cells are watched, and since when none has run; `math.inf` while one runs.
_cells: dict[str, Any] = {"shell": None, "free_since": -math.inf}


def watch_cells() -> None:
    """Take note from now on of when cells run, for `free_seconds`. To be called in a cell; safe to call again."""
    shell = getattr(frontend.kernel(), "shell", None)
    if shell is not None and shell is not _cells["shell"]:
        _cells.update(shell=shell, free_since=math.inf)
        shell.events.register("pre_run_cell", lambda *_: _cells.update(free_since=math.inf))
        shell.events.register("post_run_cell", lambda *_: _cells.update(free_since=time.monotonic()))


def free_seconds() -> float:
    """Return for how many seconds no cell has run: a page that sent nothing in that time has nothing to send.

    0 while one runs, infinity where there are no cells or they are not watched.
    """
    return max(0.0, time.monotonic() - float(_cells["free_since"]))


def serve_until(done: Callable[[], bool], *, there: Callable[[], bool]) -> None:
    """Take widget messages in a running cell until something is the case. Interrupting the cell ends it as usual.

    It ends at once where there is no kernel, and after seconds where kernel and page cannot talk while a cell runs.

    Args:
        done: Asked every few milliseconds.
        there: Whether the page has sent anything. A page that sends nothing at first never will before the cell ends
            (no subshells in it, or nobody has it open), and then this gives up.
    """
    if (kernel := frontend.kernel()) is None:
        return
    take = _taking(kernel) if hasattr(kernel, "msg_queue") else lambda: time.sleep(_PAUSE_SECONDS)
    end = time.monotonic() + _FIRST_MESSAGE_SECONDS
    while not done() and (there() or time.monotonic() <= end):
        take()


def _taking(kernel: Any) -> Callable[[], None]:
    """Return what does one round on ipykernel 6: widget messages are handled, all others keep their place."""
    ident, parent = kernel._parent_ident["shell"], kernel.get_parent("shell")

    async def round_() -> None:
        kernel.shell_stream.flush()
        await asyncio.sleep(_PAUSE_SECONDS)
        others = []
        while not kernel.msg_queue.empty():
            _, dispatch, args = entry = kernel.msg_queue.get_nowait()
            if args and _kind(kernel, args[0]) in _COMM:
                await dispatch(*args)
                # Handling it made it the parent of whatever the cell prints next.
                kernel.set_parent(ident, parent, "shell")
            else:
                others.append(entry)
        for entry in others:
            kernel.msg_queue.put_nowait(entry)

    # The cell stands inside the running loop, which `run` lets turn further.
    return lambda: io_thread.run(round_())


def _kind(kernel: Any, message: Any) -> str:
    try:
        _, frames = kernel.session.feed_identities(message, copy=False)
        return str(kernel.session.deserialize(frames, content=False, copy=False)["header"]["msg_type"])
    except Exception:  # not ours to judge: the kernel says so when it takes it
        return ""
