"""Parts of a question (words, recordings, pictures, boxes, in any order), read into steps to send."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtnb.audio import Clip
from rtnb.errors import InputError
from rtnb.protocol import frames

# A string that ends so is a file's name, not words: no model can make anything of "question.m4a" as a prompt.
_ENDINGS = "wav wave flac mp3 ogg oga opus m4a mp4 aac webm mov mkv aiff aif au caf wma amr"
SOUND_ENDINGS = frozenset(f".{ending}" for ending in _ENDINGS.split())


@dataclass(frozen=True)
class Message:
    """Words and pictures that go out as one message item.

    Attributes:
        content: The API's content parts.
    """

    content: tuple[dict[str, Any], ...]

    @property
    def label(self) -> str:
        """Its parts in a few words."""
        return " ".join(part.get("text") or "(picture)" for part in self.content)


@dataclass(frozen=True)
class Recording:
    """Audio that goes out through the input buffer and becomes one item.

    Attributes:
        source: A clip, or whatever `open_stream` reads. It is opened only when it is sent, so that a long file is
            never in memory as a whole.
    """

    source: Clip | str | os.PathLike[str] | bytes | Any = field(repr=False)

    @property
    def label(self) -> str:
        """Its source in a few words."""
        if isinstance(self.source, Clip):
            return repr(self.source)
        return Path(self.source).name if isinstance(self.source, str | os.PathLike) else "(recording)"


Step = Message | Recording


def read_parts(parts: Iterable[Any]) -> list[Step]:
    """Read what was handed to `ask`.

    Args:
        parts: Strings are words, unless they end like a sound file; paths, bytes of a file, open files and clips are
            recordings; whatever has `.sources` or `.clips` (an upload or record box) stands for all of
            them; lists are taken apart; pictures are whatever `rtnb.Image` reads.

    Returns:
        Steps in the same order; words and pictures next to each other share a message.

    Raises:
        InputError: If there is nothing to send, or a part is nothing that can be sent.
    """
    steps: list[Step] = []
    for part in _flat(parts):
        content = _content(part)
        if content is None:
            steps.append(Recording(_recording(part)))
        elif steps and isinstance(steps[-1], Message):
            steps[-1] = Message((*steps[-1].content, content))
        else:
            steps.append(Message((content,)))
    if not steps:
        raise InputError("Your question is empty. Give words, a recording, or both.")
    return steps


def _flat(parts: Iterable[Any]) -> Iterable[Any]:
    for part in parts:
        if isinstance(part, list | tuple):
            yield from _flat(part)
        elif hasattr(part, "sources") or hasattr(part, "clips"):
            # A box that names its files has them streamed rather than read whole.
            clips = list(part.sources if hasattr(part, "sources") else part.clips)
            if not clips:
                empty = "Your box is empty: nothing was uploaded or recorded yet. Add a recording and ask again."
                raise InputError(empty)
            yield from clips
        else:
            yield part


def _content(part: Any) -> dict[str, Any] | None:
    """Write words and pictures as a content part. Return None for audio."""
    if isinstance(part, str) and not _is_sound_name(part):
        if not part.strip():
            raise InputError("Your text is blank. Give words, or leave it out.")
        return {"type": "input_text", "text": frames.plain(part, "text")}
    from rtnb.image import Image

    picture = Image.of(part)
    return None if picture is None else picture.content()


def _is_sound_name(text: str) -> bool:
    """Return whether a string is an audio file's name rather than words: one line, ending as audio files do."""
    return "\n" not in text and len(text) < 1024 and Path(text).suffix.lower() in SOUND_ENDINGS


def _recording(part: Any) -> Any:
    if isinstance(part, str) and not Path(part).expanduser().exists():
        raise InputError(
            f"Your text {part!r} reads like a sound file's name, but there is no such file. Check the path, or add a "
            "full stop if these are words to send.",
            part=part,
        )
    readable = isinstance(part, Clip | str | os.PathLike | bytes | bytearray | memoryview) or hasattr(part, "read")
    if not readable:
        raise InputError(
            f"Your part {part!r:.80} is a {type(part).__name__}, which cannot be sent. Give words, a Clip, a path, "
            "the bytes of a sound file, an image, or an upload box.",
            part=part,
        )
    return Path(part).expanduser() if isinstance(part, str) else part
