"""Hot handles: something that has started already and can be awaited, waited for, or left alone."""

import asyncio
import atexit
import concurrent.futures
import inspect
import os
import queue
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from rtnb.errors import InputError, RtnbWarning
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate
from rtnb.transport import cells, io_thread

T = TypeVar("T")
P = TypeVar("P")


@checks_call
class Handle(Generic[T]):
    """Result of work on the I/O thread, from whatever side one comes: `await handle` or `handle.wait()`.

    Giving up on waiting (a cancelled task, an interrupted cell) cancels nothing here; see `Interruptible`.

    Attributes:
        waited_for: Whether somebody waits for it, or did, and so is told by an error how it ended.

    Examples:
        >>> with rtnb.connect(practice=True) as chat:
        ...     sent = chat.send({"type": "input_audio_buffer.clear"})
        ...     result = sent.wait(10)
        >>> sent.done, sent.error
        (True, None)
    """

    waited_for = False

    def __init__(self, future: concurrent.futures.Future[T] | None = None) -> None:
        self._future: concurrent.futures.Future[T] = future or concurrent.futures.Future()
        self._process_id = os.getpid()

    @property
    def done(self) -> bool:
        """True once it is over, well or badly."""
        return self._future.done()

    @property
    def error(self) -> BaseException | None:
        """Error that ended it. None while it runs and after a good end."""
        return self._future.exception() if self._future.done() else None

    def _check_waiting(self, *, blocks: bool = False) -> None:
        """Refuse to wait where that would never end.

        Args:
            blocks: Whether the thread stands still meanwhile.

        Raises:
            InputError: If called in a forked child, or if it blocks the I/O thread, where all sockets live.
        """
        self.waited_for = True
        if self.done:
            return
        io_thread.check_process(self._process_id, "session")
        if blocks and io_thread.on_io_thread():
            waits = "Your callback waits on the I/O thread, where all sockets live. Start a thread and wait there."
            raise InputError(waits)

    def wait(self, timeout: float | None = None) -> T:
        """Block until it is over.

        Args:
            timeout: Seconds to wait at most. None waits for ever.

        Returns:
            The result.

        Raises:
            TimeoutError: If it is not over by then; the work goes on.
            InputError: If that would never end: in a forked child, or on the I/O thread, where all sockets live.
        """
        self._check_waiting(blocks=True)
        try:
            return self._future.result(timeout)
        except concurrent.futures.TimeoutError:
            if self._future.done():
                raise
            late = translate(f"It was not over after {timeout:g} s and goes on. Wait again or close the session.")
            raise TimeoutError(late) from None

    def __await__(self) -> Generator[Any, None, T]:
        self._check_waiting()
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        future = asyncio.wrap_future(self._future)
        # A task that gives up leaves this future behind; its exception is still kept in `error`.
        future.add_done_callback(lambda f: None if f.cancelled() else f.exception())
        return await asyncio.shield(future)


def settle(future: concurrent.futures.Future[T], result: Any = None, error: BaseException | None = None) -> None:
    """Set a future's result, or an error in its place; one that has either keeps it."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_begun: "weakref.WeakSet[Handle[Any]]" = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """Say what to write where a script ends before what it began; whoever sits at a prompt ends it on purpose."""
    left = sorted({type(handle).__name__ for handle in _begun if not handle.done})
    if left and not hasattr(sys, "ps1") and not hasattr(sys, "last_value"):  # which an error that was shown sets
        print(say(_ENDED_EARLY, left=", ".join(left)), file=sys.stderr)


_ENDED_EARLY = (
    "Your program ended before its answer was there ({left}). Write .wait() after the call, as in "
    "rtnb.ask(…).wait(), or await it."
)
_READ_EARLY = (
    "Your answer is still coming, so its {name} is empty. Write .wait() after the call, as in "
    "rtnb.ask(…).wait().{name}, or await it first."
)


@checks_call
class Interruptible(Handle[T]):
    """Handle on work that is called off when the wait is given up: by the stop button, or in a cancelled task.

    Attributes:
        kept: Sentence that says where what came is kept.
    """

    kept: ClassVar[str] = "What came is kept: it is in rtnb.last."

    def __init__(self, future: concurrent.futures.Future[T] | None = None) -> None:
        super().__init__(future)
        if not io_thread.on_io_thread():  # what a map or a call begins there is its own
            cells.begun(self)
            _begun.add(self)

    def _so_far(self, name: str, found: P) -> P:
        """Return what has come for an attribute; warn the user who reads it while that is nothing yet."""
        caller: Any = inspect.currentframe()
        if not (found or self.done or caller.f_back.f_back.f_globals["__name__"].startswith("rtnb.")):
            warnings.warn(say(_READ_EARLY, name=name), RtnbWarning, stacklevel=3)
        return found

    def _to_save(self, name: str, found: P) -> P:
        """Return what has come for an attribute; refuse to save it while that is nothing yet."""
        if not (found or self.done):
            raise InputError(say(_READ_EARLY, name=name))
        return found

    def cancel(self) -> None:
        """Stop the work; what came stays."""
        raise NotImplementedError

    def interrupted(self, by: BaseException) -> None:
        """Cancel it, and say where what came is kept.

        Args:
            by: What the waiting cell gets, `KeyboardInterrupt`, or a task of the user's own, `CancelledError`.
        """
        if self.done:
            return
        self.cancel()
        vars(by)["reply"] = self
        by.add_note(say(self.kept))

    def wait(self, timeout: float | None = None) -> T:
        """Block until it is over, as `Handle.wait` does."""
        with cells.blocking(self.interrupted):
            return super().wait(timeout)

    async def _awaited(self) -> T:
        async with cells.awaiting(self.interrupted):
            return await super()._awaited()


class Stream(Interruptible[T], Generic[T, P]):
    """Handle on something that comes in pieces: `for` and `async for` yield each of them, old ones first."""

    def _feed_to(self, put: Callable[[P | None], object]) -> Callable[[], object]:
        """Put every piece, those that came already first, and None after the last; the function returned ends it."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[P]:
        self._check_waiting(blocks=True)
        cells.watch(self)
        pieces: queue.SimpleQueue[P | None] = queue.SimpleQueue()
        end = self._feed_to(pieces.put)
        try:
            while True:
                with cells.blocking(self.interrupted):
                    piece = pieces.get()
                if piece is None:
                    break
                yield piece
        finally:
            end()
        self.wait()

    async def __aiter__(self) -> AsyncIterator[P]:
        self._check_waiting()
        if cells.in_cells_task():
            cells.watch(self)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[P | None] = asyncio.Queue()
        end = self._feed_to(lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece))
        try:
            async with cells.awaiting(self.interrupted):
                while (piece := await pieces.get()) is not None:
                    yield piece
        finally:
            end()
        await self
