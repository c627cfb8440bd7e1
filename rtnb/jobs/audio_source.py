"""Sound that is fed into a session which only listens: a recording read as it is sent, or pieces that come live.

Transcriptions and translations are such sessions; `Fed` is what their handles have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self

from rtnb.audio import open_stream
from rtnb.errors import InputError
from rtnb.session.parts import Recording, read_parts
from rtnb.transport import io_thread
from rtnb.transport.handle import P, Stream, T

if TYPE_CHECKING:
    from rtnb.session.session import Session

__all__ = ["BYTES_PER_SECOND", "Fed", "Feed"]


BYTES_PER_SECOND = 48_000


class Feed:
    """Blocks of s16le mono 24 kHz, from a recording or from whoever appends.

    Args:
        source: A recording as `Session.ask` takes it. None: pieces are appended until `finish()`.

    Attributes:
        name: What to call it.
        live: Whether pieces are appended.
        seconds: How much was given so far.
        total_seconds: How much it is in all. None while unknown.

    Raises:
        InputError: If the source is no single recording.
    """

    def __init__(self, source: Any = None) -> None:
        self.live = source is None
        self.name = "live"
        self.seconds = 0.0
        self.total_seconds: float | None = None
        self._source: Any = None
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._finished = False
        if source is not None:
            steps = read_parts([source])
            if len(steps) != 1 or not isinstance(steps[0], Recording):
                raise InputError("Your source is not one recording. Give a clip, a path, or the bytes of a sound file.")
            self._source = steps[0].source
            self.name = steps[0].label

    def append(self, pcm: bytes) -> None:
        """Add sound; never blocks.

        Raises:
            InputError: If a recording is being read, or `finish()` was called.
        """
        if not self.live or self._finished:
            raise InputError("Your sound comes too late: this takes no more. Start another one without a source.")
        io_thread.io_loop().call_soon_threadsafe(self._pieces.put_nowait, bytes(pcm))

    def finish(self) -> None:
        """Say that no more sound will come. Safe to call twice."""
        if not self._finished:
            self._finished = True
            io_thread.io_loop().call_soon_threadsafe(self._pieces.put_nowait, None)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The blocks as they come.

        Raises:
            AudioError: If the recording cannot be read.
        """
        if self.live:
            while (piece := await self._pieces.get()) is not None:
                self.seconds += len(piece) / BYTES_PER_SECOND
                yield piece
            self.total_seconds = self.seconds
            return
        loop = asyncio.get_running_loop()
        stream = await loop.run_in_executor(None, open_stream, self._source)
        self.name, self.total_seconds = stream.name, stream.seconds
        while (block := await loop.run_in_executor(None, next, stream, None)) is not None:
            self.seconds += len(block) / BYTES_PER_SECOND
            yield block
        self.total_seconds = self.seconds


class Fed(Stream[T, P]):
    """A stream from a session that listens to a feed.

    Attributes:
        session: The session it runs on; `session.log` has every event.
    """

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__()
        self.session = session
        self._feed = feed

    @property
    def source(self) -> str:
        """Who does it: `"openai"`, `"practice"`, `"replay"` or the host's name."""
        return self.session.source

    def append(self, pcm: bytes) -> None:
        """Add sound, where no source was given: s16le mono 24 kHz, any length, silence included. Never blocks.

        Raises:
            InputError: If a source was given, or `finish()` was called.
        """
        self._feed.append(pcm)

    def finish(self) -> Self:
        """Say that no more sound will come; then `await` or `wait()` for the rest."""
        self._feed.finish()
        return self

    def cancel(self) -> None:
        """Stop; what came stays."""
        self.session.close()
