"""Encode samples as the bytes of a file. The encoders are those PyAV carries; nothing on PATH is used."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rtnb.audio.resample import resampled
from rtnb.errors import AudioError

if TYPE_CHECKING:
    import numpy.typing as npt


class _Recipe(NamedTuple):
    """Recipe for writing a format: FFmpeg's muxer and encoder, its bit rate, and the rates the encoder takes."""

    muxer: str
    encoder: str
    bits_per_second: int | None = None
    rates_hz: tuple[int, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# Opus at 24 kbit/s is where speech stops getting better to the ear and a minute still costs a notebook under 300 kB.
_SPEECH = (("application", "voip"), ("frame_duration", "60"))
_RECIPES = {
    "opus": _Recipe("ogg", "libopus", 24_000, _OPUS_RATES, _SPEECH),
    "webm": _Recipe("webm", "libopus", 24_000, _OPUS_RATES, _SPEECH),
    "mp3": _Recipe("mp3", "libmp3lame", 64_000, _MP3_RATES),
    "m4a": _Recipe("ipod", "aac", 64_000, _AAC_RATES),
    "aac": _Recipe("adts", "aac", 64_000, _AAC_RATES),
    "flac": _Recipe("flac", "flac"),
    "aiff": _Recipe("aiff", "pcm_s16be"),
    "au": _Recipe("au", "pcm_s16be"),
    "caf": _Recipe("caf", "pcm_s16le"),
}
_SAME = {"ogg": "opus", "oga": "opus", "mp4": "m4a", "aif": "aiff", "wave": "wav"}
_WRITABLE = ".wav, .flac, .mp3, .ogg, .opus, .m4a, .aac, .webm, .aiff, .au and .caf"


def kind_of(ending: str) -> str:
    """Return the format that an ending such as ".ogg" or a name such as "opus" means.

    Raises:
        AudioError: It means none that can be written.
    """
    kind = ending.lower().removeprefix(".")
    kind = _SAME.get(kind, kind)
    if kind != "wav" and kind not in _RECIPES:
        said = f"the ending {ending!r}" if ending else "a name without an ending"
        sentence = f"Your file cannot be written: {said} names no format that rtnb writes. Use one of {_WRITABLE}."
        raise AudioError(sentence, problem="unknown format")
    return kind


def encode(array: npt.NDArray[np.int16], rate_hz: int, kind: str) -> bytes:
    """Encode mono samples.

    Args:
        array: `int16`, shape `(n,)`.
        rate_hz: Samples per second. An encoder that does not take this rate gets the next higher it takes.
        kind: The format, as `kind_of` returns it.

    Returns:
        The bytes of the file.

    Raises:
        AudioError: There is nothing to write in a format that cannot be empty, or the encoder failed.
    """
    import soundfile

    out = io.BytesIO()
    if kind == "wav":
        soundfile.write(out, array, rate_hz, format="WAV", subtype="PCM_16")
        return out.getvalue()
    if not len(array):
        raise AudioError(f"Your clip is empty, and a {kind} file needs sound. Save it as .wav.", problem="empty")
    import av

    recipe = _RECIPES[kind]
    rates_hz = recipe.rates_hz or (rate_hz,)
    to_hz = next((rate for rate in rates_hz if rate >= rate_hz), rates_hz[-1])
    try:
        with av.open(out, "w", format=recipe.muxer) as container:
            track: Any = container.add_stream(recipe.encoder, rate=to_hz, layout="mono", options=dict(recipe.options))
            if recipe.bits_per_second:
                track.bit_rate = recipe.bits_per_second
            at = 0
            for block in filter(len, resampled(array, rate_hz, to_hz)):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block)[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = to_hz, at
                at += len(block)
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
    except (av.FFmpegError, ValueError) as error:
        sentence = f"rtnb could not write {kind} ({error}). Save it as .wav or .flac."
        raise AudioError(sentence, problem=str(error)) from error
    return out.getvalue()
