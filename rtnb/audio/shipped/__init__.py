"""Recordings that ship with the package: by name, by number, with what is said in them."""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import overload

from rtnb import html
from rtnb.audio.clip import Clip
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call


@cache
def _listed() -> tuple[dict[str, str], ...]:
    return tuple(tomllib.loads(files(__name__).joinpath("samples.toml").read_text("utf-8"))["sample"])


@cache
def _bytes(name: str) -> bytes:
    return files(__name__).joinpath(f"{name}.ogg").read_bytes()


@cache
def _clip(name: str) -> Clip:
    return Clip.read(_bytes(name), name=name)


class Samples(Sequence[Clip]):
    """Shipped recordings: a sequence of clips that also takes names.

    Attributes:
        names: Names of the recordings, in order.
        texts: Words of each recording, by name.
        voices: Voice of each recording, by name.

    Examples:
        >>> rtnb.samples()["question"]
        Clip(question, 1.9 s)
        >>> rtnb.samples().texts["question"]
        'What is the capital of Norway?'
    """

    def __init__(self) -> None:
        self.names = [entry["name"] for entry in _listed()]
        self.texts = {entry["name"]: entry["text"] for entry in _listed()}
        self.voices = {entry["name"]: entry["voice"] for entry in _listed()}

    @property
    def dialogue(self) -> list[Clip]:
        """Clips of the dialogue, in order; two voices take turns."""
        return [_clip(name) for name in self.names if name.startswith("dialogue")]

    @property
    def lesson(self) -> Path:
        """Recorded session for `connect(replay=…)`; its name ends with who answered: `openai`, or `practice`."""
        return next(Path(str(files(__name__))).glob("lesson-*.rtnb"))

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, key: int | str) -> Clip: ...
    @overload
    def __getitem__(self, key: slice) -> list[Clip]: ...
    def __getitem__(self, key: int | str | slice) -> Clip | list[Clip]:
        """Return a clip by number or name, or several by a slice of numbers.

        Raises:
            InputError: There is no sample of that name.
        """
        if isinstance(key, slice):
            return [_clip(name) for name in self.names[key]]
        if not hasattr(key, "__index__") and key not in self.names:
            raise InputError(f"Your sample {key!r} does not exist. Take one of: {', '.join(self.names)}.")
        return _clip(key if isinstance(key, str) else self.names[key])

    def __repr__(self) -> str:
        return "\n".join(f"{_clip(name)!r}  {text}" for name, text in self.texts.items())

    def _repr_html_(self) -> str:
        rows = []
        for name, text in self.texts.items():
            clip = _clip(name)
            sound = html.player(_bytes(name), clip.peaks(), clip.seconds, name, compact=True)
            rows.append((name, html.Safe(sound), f"{clip.seconds:.1f} s", text))
        return html.table(("name", "sound", "length", "what is said"), rows, caption="Recordings that ship with rtnb")


@checks_call
def samples() -> Samples:
    """Return the recordings that ship with the package: short, spoken, by several synthetic voices.

    Among them a short question, a talk to summarise and a dialogue. In a notebook they show as a table with players.

    Returns:
        The list: `samples()["question"]`, `samples()[0]`, `samples().texts["question"]`, `samples().dialogue`.

    Examples:
        >>> rtnb.samples()["question"]
        Clip(question, 1.9 s)
    """
    return Samples()
