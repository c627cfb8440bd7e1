"""Work of a session that only takes audio in: a recording read as it is sent, or pieces that come live.

Transcriptions and translations are such sessions; `AudioJob` is what their handles have in common.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from rtnb.audio import pcm
from rtnb.errors import BudgetExceeded, ConnectionFailed, InputError
from rtnb.protocol.updates import Odd
from rtnb.session.parts import Recording, pcm_of, read_recordings
from rtnb.session.session import Session
from rtnb.session.updates import Closed, Listeners
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import Warnings
from rtnb.transport import connection_errors, io_thread
from rtnb.transport.handle import P, Stream, T, settle


def recording_of(source: Any) -> Recording | None:
    """Read the source of a job; None for audio that is appended piece by piece.

    Args:
        source: A recording as `Session.ask` takes it, or None.

    Raises:
        InputError: If the source is no single recording.
        AudioError: If it is a file that cannot be read.
    """
    return None if source is None else read_recordings(source, single=True)[0]


@checks_call
class AudioJob(Stream[T, P]):
    """Work that a session does on an audio source; it has started already.

    Attributes:
        session: The session it runs on; `session.log` has every event.
        source: Answering side: `"openai"`, `"practice"`, `"replay"` or the host's name.
        warnings: Plain sentences about what was odd but stopped nothing.
    """

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        checks_call(cls)

    def __init__(self, session: Session, recording: Recording | None) -> None:
        """Start the work; a subclass has set its own attributes before.

        Args:
            session: Where it is done.
            recording: The audio. None: pieces are appended until `finish()`.
        """
        super().__init__()
        self.session, self.source = session, session.source
        self.warnings = Warnings()
        self._recording, self._finished = recording, recording is not None
        self._name = "live" if recording is None else recording.label
        self._read_seconds = 0.0
        self._total_seconds: float | None = None  # while unknown
        self._appended: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._all_sent = False
        self._pieces = Listeners(keep=True)  # called with each piece in its turn, and with None behind the last
        self._news = asyncio.Event()
        self._running = io_thread.submit(self._run())

    def append(self, pcm: bytes) -> None:
        """Add audio, where no source was given: s16le mono 24 kHz, any length, silence included. Never blocks.

        Raises:
            InputError: If a source was given, `finish()` was called, or it is no audio.
        """
        if self._finished:
            raise InputError("Your sound comes too late: this takes no more. Start another one without a source.")
        io_thread.io_loop().call_soon_threadsafe(self._appended.put_nowait, pcm_of(pcm))

    def finish(self) -> Self:
        """End the audio; then `await` or `wait()` for the rest. Safe to call twice."""
        if not self._finished:
            self._finished = True
            io_thread.io_loop().call_soon_threadsafe(self._appended.put_nowait, None)
        return self

    def cancel(self) -> None:
        """Stop; what came stays."""
        self.session.close()

    # --- what a subclass says

    async def _send_all(self) -> None:
        """Send the audio, to a session that is open."""
        raise NotImplementedError

    async def _await_rest(self) -> None:
        """Wait until everything has come that belongs to what was sent."""
        raise NotImplementedError

    def _take(self, update: Any) -> None:
        """Take an update of the session."""
        raise NotImplementedError

    def _missing(self) -> BaseException | None:
        """Return why something is missing. None where everything has come, however the session ends now."""
        raise NotImplementedError

    # --- on the I/O thread

    async def _run(self) -> None:
        def take(update: Any) -> None:
            if isinstance(update, Odd):
                self.warnings.append(update.sentence)
            elif not isinstance(update, Closed):
                self._take(update)

        end = self.session.subscribe(take)
        gone = asyncio.shield(asyncio.wrap_future(self.session.lifecycle.ended))
        work = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            error = work.exception() if work.done() else None
            if not work.done() or isinstance(error, ConnectionFailed):
                await gone  # the session's own end, which is next, knows why
                error = self._missing()
        except BaseException as raised:
            error = raised if isinstance(raised, Exception) else self._missing()
        work.cancel()
        end()
        self.session.lifecycle.meter.renew()  # what was sent is booked before its caller reads the budget
        error = connection_errors.of_reply(error, self, "start it again.")
        settle(self._future, self, error)  # what a job is awaited for is the job itself
        self._pieces.tell(None)
        self.session.close()

    async def _work(self) -> None:
        await self.session
        over: BudgetExceeded | None = None
        try:
            await self._send_all()
        except BudgetExceeded as refused:  # what was sent is paid for: what comes of it is waited for
            over = refused
        self._all_sent = over is None
        await self._await_rest()
        if over is not None:
            raise over

    async def _blocks(self) -> AsyncIterator[bytes]:
        """Yield the audio, s16le mono 24 kHz, block by block as it comes.

        Raises:
            AudioError: If the recording cannot be read.
        """
        loop = asyncio.get_running_loop()
        read: Callable[[], Any] = self._appended.get
        if self._recording is not None:
            stream = await loop.run_in_executor(None, self._recording.open)
            self._name, self._total_seconds = stream.name, stream.seconds
            read = lambda: loop.run_in_executor(None, next, stream, None)  # noqa: E731
        while (block := await read()) is not None:
            self._read_seconds += pcm.seconds(len(block))
            yield block
        self._total_seconds = self._read_seconds

    async def _until(self, is_over: Callable[[], bool]) -> None:
        """Wait for something that the server owes, until it has sent nothing for too long.

        Raises:
            ServerError: If it does not come.
        """

        async def over() -> None:
            while not is_over():
                await self._next()

        remedy = "What came is in error.reply; start it again, or wait longer with timeout=."
        await self.session.lifecycle.channel.owed(over(), "{silence}, and the rest is missing. " + remedy)

    async def _next(self) -> None:
        """Wait for something new."""
        self._news.clear()
        await self._news.wait()

    def _feed_to(self, put: Callable[[P | None], object]) -> Callable[[], object]:
        return self._pieces.subscribe(put)
