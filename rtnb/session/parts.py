"""Parts of a question (words, recordings, pictures, boxes, in any order), read into steps to send."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtnb.audio import Clip, Stream, open_stream
from rtnb.audio.given import Samples, flat
from rtnb.audio.naming import SOUND_ENDINGS, file_of, path_of
from rtnb.audio.source import bare_samples, is_file, open_source, reads_once, recognise
from rtnb.errors import InputError
from rtnb.image import Image
from rtnb.protocol import frames


@dataclass(frozen=True)
class Message:
    """Words and pictures that go out as one message item.

    Attributes:
        content: The API's content parts.
        doubt: Sentence on a text that may have been meant otherwise. "" where all is plain.
    """

    content: tuple[dict[str, Any], ...]
    doubt: str = field(default="", compare=False)

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
        name: What to call it. None: the clip's or the file's name.
        doubt: Sentence on a text that may have been meant as words. "" where it is plain.
    """

    source: Any = field(repr=False)
    name: str | None = field(default=None, compare=False)
    doubt: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """Its source in a few words."""
        if isinstance(self.source, Clip):
            return repr(self.source)
        return self.name or (Path(self.source).name if isinstance(self.source, str | os.PathLike) else "(recording)")

    def open(self) -> Stream:
        """Open it, to be read block by block.

        Raises:
            AudioError: It cannot be read.
        """
        return open_stream(self.source, name=self.name)


Step = Message | Recording


def read_parts(parts: Iterable[Any]) -> list[Step]:
    """Read what was handed to `ask`.

    Args:
        parts: Strings are words, unless they name a file or hold one (a data URI); paths, bytes of a file, open files,
            clips and samples with their rate are recordings; whatever has `.sources` or `.clips` (an upload or record
            box), widgets that upload and dicts of files stand for all that they hold; lists are taken apart; pictures
            are whatever `rtnb.Image` reads. Steps stay as they are.

    Returns:
        Steps in the same order; words and pictures next to each other share a message.

    Raises:
        InputError: If there is nothing to send, or a part is nothing that can be sent.
        AudioError: If a file is no recording, or cannot be opened.
    """
    steps: list[Step] = []
    for part, name in itertools.chain.from_iterable(map(flat, parts)):
        step = part if isinstance(part, Message | Recording) else _step(part, name)
        if isinstance(step, Message) and steps and isinstance(last := steps[-1], Message):
            steps[-1] = Message((*last.content, *step.content), " ".join(filter(None, (last.doubt, step.doubt))))
        else:
            steps.append(step)
    if not steps:
        raise InputError("Your question is empty. Give words, a recording, or both.")
    return steps


def read_recordings(given: Any, *, single: bool = False) -> list[Recording]:
    """Read what must be recordings: no string is words here.

    Args:
        given: A part as `read_parts` takes them. A folder stands for the recordings in it, without hidden files.
        single: Whether it must be one, which is looked into now. Else no file is opened yet.

    Raises:
        InputError: If there is none, a string names no file, or a part is no recording.
        AudioError: If the single one is a file and no recording.
    """
    wrong = "Your source is not one recording" if single else "Your recordings hold something that is no recording"
    found: list[Recording] = []
    for part, name in flat(given):
        path = path_of(part) if isinstance(part, str | os.PathLike) else None
        if path is not None and os.path.isdir(path):
            found += _in_folder(path)
            continue
        known = path is not None and (os.path.exists(path) or not isinstance(part, str))
        if not isinstance(step := _step(path if known else part, name, check=single), Recording):
            raise InputError(f"{wrong}: {part!r:.80}. Give a clip, a path, or the bytes of a sound file.", part=part)
        found.append(step)
    if not found and not single:
        raise InputError("Your list is empty: it holds no recording. Give clips, paths or a folder.")
    if not found or (single and len(found) > 1):
        raise InputError(f"{wrong}: it holds {len(found)}. Give a clip, a path, or the bytes of a sound file.")
    return found


def _in_folder(folder: Path) -> list[Recording]:
    """Find the recordings in a folder: what has the ending or the content of one. Hidden files, "._" too, are none."""
    found: list[Recording] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        with contextlib.suppress(ValueError):  # AudioError and InputError are
            if not hidden and (path.suffix.lower() in SOUND_ENDINGS or isinstance(_read_file(path, None), Recording)):
                found.append(Recording(path))
    if not found:
        raise InputError(f"Your folder {folder} holds no recordings. Give one with sound files in it.", path=folder)
    return found


def _read_file(source: Any, name: str | None, doubt: str = "", *, check: bool = True) -> Step:
    """Read a file that is a recording or a picture: its content decides. A missing one is told of when it is sent.

    Raises:
        AudioError: It is neither, or cannot be opened; a recording where `check` is set.
    """
    missing = isinstance(source, os.PathLike) and not os.path.exists(path_of(source))
    if missing or reads_once(source):
        picture = Image.of(source)
        return Recording(source, name, doubt) if picture is None else Message((picture.content(),))
    file, owned, called = open_source(source, name)
    with file if owned else contextlib.nullcontext():
        if Image.begins(file.read(16)):
            file.seek(0)
            return Message((Image.read(file.read(), name=called).content(),), doubt)
        if check:
            recognise(file, called)
    return Recording(source, name, doubt)


def _step(part: Any, name: str | None, *, check: bool = True) -> Step:
    """Read a part that holds no others."""
    doubt = ""
    if isinstance(part, str):
        if not part.strip():
            raise InputError("Your text is blank. Give words, or leave it out.")
        source, doubt = file_of(part)
        if source is None:
            return Message(({"type": "input_text", "text": frames.plain(part, "text")},), doubt)
        part = source
    if isinstance(part, Samples | Clip):
        return Recording(Clip.read(part, rate_hz=None))
    if isinstance(part, (bytes, bytearray, memoryview, os.PathLike)) or is_file(part):
        return _read_file(part, name, doubt, check=check)
    if (picture := Image.of(part)) is not None:
        return Message((picture.content(),))
    raise _not_sendable(part)


def _not_sendable(part: Any) -> InputError:
    remedy = "Give words, a Clip, a path, the bytes of a sound file, an image, or an upload box."
    held = [*part.values()] if isinstance(part, Mapping) else [part]
    if isinstance(part, list) or any(hasattr(one, "dtype") for one in held):
        remedy = "Samples need their rate: give rtnb.Clip.from_array(array, rate_hz=…) or the pair (rate, array)."
    elif isinstance(getattr(part, "audio", None), Clip):
        remedy = "Give the clip that it holds, its .audio."
    elif hasattr(part, "__await__"):
        remedy = "It is not there yet: give what comes of it, with await before it."
    return InputError(f"Your part {part!r:.80} is a {type(part).__name__}, which cannot be sent. {remedy}", part=part)


def pcm_of(piece: Any) -> bytes:
    """Return audio that is to be appended, as s16le mono 24 kHz.

    Args:
        piece: Such samples, as bytes or an int16 array; a `Clip`, or samples with their rate.

    Raises:
        InputError: It is something else.
        AudioError: It is a whole file, samples of another type, or no sound.
    """
    if (data := bare_samples(piece)) is not None:
        return data
    if len(held := list(flat(piece))) == 1 and isinstance(held[0][0], Clip | Samples):
        return Clip.read(held[0][0]).pcm
    raise InputError(
        f"Your audio is a {type(piece).__name__}, which cannot be appended. Give bytes of 16-bit mono samples at "
        "24 kHz, rtnb.Clip.read(path), or rtnb.Clip.from_array(array, rate_hz=…).",
        part=piece,
    )
