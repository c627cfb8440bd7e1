"""Take apart what people have in hand, until each part is a file, samples with their rate, or something else.

Forms are known by what they have (duck typing): no library is imported here to ask for its types.
"""

import enum
import io
import os
from collections.abc import Iterable, Iterator, Mapping, MappingView, Sequence, Set
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rtnb.errors import InputError

_RATES = ("sampling_rate", "sample_rate", "samplerate", "rate_hz", "rate", "sr")
_ARRAYS = ("array", "raw", "audio", "waveform", "samples", "data")
_CONTENTS = ("content", "contents", "bytes", "data")
_BYTES = (bytes, bytearray, memoryview)
_LISTS = (Sequence, Set, MappingView, Iterator)


class Samples(NamedTuple):
    """Samples with their rate, as `Clip.from_array` takes them.

    Attributes:
        array: The samples, in any form that `numpy.asarray` takes.
        rate_hz: Samples per second, as it was given.
    """

    array: Any
    rate_hz: Any


def flat(given: Any, name: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """Take apart boxes, lists, widgets and dicts of files, in their order.

    Args:
        given: Whatever was handed over.
        name: What to call it, where what holds it says so.

    Yields:
        Parts with their names (None where nothing names them): a `str`, a path, bytes, an open file, `Samples`, or any
        other object as it is.

    Raises:
        InputError: A box is empty, or a named tuple stands for nothing that is known.
    """
    if isinstance(given, io.BytesIO) and not given.closed:
        # As bytes: two questions that read one object at a time would move each other's place in it.
        given, name = given.getvalue(), name or getattr(given, "name", None)
    whole = isinstance(given, (str, os.PathLike, Samples, *_BYTES)) or hasattr(given, "read")
    samples = None if whole else _samples(given)
    inside = None if whole or samples is not None else _inside(given)
    if inside is None:
        yield given if samples is None else samples, name
    else:
        for part, its_name in inside:
            yield from flat(part, its_name or name)


def _is_array(given: Any) -> bool:
    if isinstance(given, list):
        return bool(given) and isinstance(given[0], Real)
    return hasattr(given, "dtype") and getattr(given, "ndim", 0) > 0 and not _holds_objects(given)


def _holds_objects(given: Any) -> bool:
    """Return whether an array or a column of a table holds texts or objects rather than numbers."""
    return getattr(getattr(given, "dtype", None), "kind", None) in {"O", "U", "S", "T"}


def _array(given: Any) -> Any:
    if hasattr(given, "detach"):  # a tensor of torch, which may lie on a GPU, and whose bfloat16 numpy has not
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given
    return np.asarray(given)


def _samples(given: Any) -> Samples | None:
    """Return samples with their rate. None where there are none, or no rate."""
    if isinstance(given, tuple | list) and len(given) == 2:
        arrays = [part for part in given if _is_array(part)]
        rates = [part for part in given if isinstance(part, Real) and not isinstance(part, bool)]
        if len(arrays) == len(rates) == 1:
            return Samples(_array(arrays[0]), rates[0])
    if isinstance(given, Mapping):
        rate, array = (next((given[key] for key in keys if key in given), None) for keys in (_RATES, _ARRAYS))
        if rate is not None and _is_array(array):
            return Samples(_array(array), rate)
    if hasattr(given, "get_all_samples"):  # torchcodec's decoder, which Hugging Face's datasets hold
        held = given.get_all_samples()
        return Samples(_array(held.data), held.sample_rate)
    if hasattr(given, "get_array_of_samples"):  # pydub.AudioSegment
        array = np.asarray(given.get_array_of_samples()) / float(1 << 8 * given.sample_width - 1)
        return Samples(array.reshape(-1, given.channels) if given.channels > 1 else array, given.frame_rate)
    return None


def _inside(given: Any) -> Iterable[tuple[Any, str | None]] | None:
    """Return what something holds, with names. None for what is no holder.

    Raises:
        InputError: It holds nothing yet, or is a named tuple.
    """
    held: Any
    if hasattr(given, "sources") or hasattr(given, "clips"):
        # A box that names its files has them streamed rather than read whole.
        held = list(given.sources if hasattr(given, "sources") else given.clips)
    elif isinstance(given, Mapping):
        return _files(given)
    elif isinstance(contents := getattr(given, "contents", None), _BYTES):  # marimo's file
        return [(contents, getattr(given, "name", None))]
    elif all(hasattr(given, name) for name in ("data", "filename", "url")):  # IPython.display.Audio and its like
        place = given.filename or given.url
        return [(given.data if isinstance(given.data, _BYTES) else Path(place), None)] if given.data or place else None
    elif isinstance(given, enum.Enum):
        return None
    elif isinstance(held := getattr(given, "value", None), (*_BYTES, list, tuple, Mapping, io.BytesIO)):
        held = [held] if held else []
    elif isinstance(given, tuple) and (fields := getattr(type(given), "__match_args__", ())):
        raise InputError(
            f"Your part is a {type(given).__name__}, a named tuple, which is not taken apart. Give the fields you mean "
            f"as parts: {', '.join(f'part.{name}' for name in fields[:3])} ….",
            part=given,
        )
    elif (isinstance(given, _LISTS) and not _is_array(given)) or _holds_objects(given):
        return ((one, None) for one in given)
    else:
        return None
    if not held:
        raise InputError("Your box is empty: nothing was uploaded or recorded yet. Add a recording and ask again.")
    return ((one, None) for one in held)


def _files(given: Mapping[Any, Any]) -> list[tuple[Any, str | None]] | None:
    """Return files that a dict holds: as a widget's value, as Colab's `files.upload()`, as Hugging Face's rows."""
    content = next((given[key] for key in _CONTENTS if isinstance(given.get(key), _BYTES)), None)
    if content is not None:
        return [(content, given.get("name") or given.get("path"))]
    if isinstance(given.get("path"), str) and given.get("bytes", "") is None:
        return [(Path(given["path"]), None)]
    if all(isinstance(value, (*_BYTES, Mapping)) for value in given.values()):
        if not given:
            raise InputError("Your dict is empty: nothing was uploaded. Choose a file, then ask again.")
        return [(value, str(key)) for key, value in given.items()]
    return None
