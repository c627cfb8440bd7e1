"""Encode samples as the bytes of a file. The encoders are those PyAV carries; nothing on PATH is used."""

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from rtnb.audio.resample import resampled
from rtnb.errors import AudioError

# Opus so encoded keeps a minute of speech in a notebook under 300 kB. The mean distance of its log mel bands from those
# of the samples shipped is 2.1 dB, with libopus's "voip" at its slowest 1.6 dB; that takes seven times as long.
_SPEECH = {"b": "22000", "application": "audio", "compression_level": "2", "frame_duration": "60", "vbr": "constrained"}
# Format → FFmpeg's muxer and encoder for it, and the encoder's options, of which "b" is bits per second.
_RECIPES: dict[str, tuple[str, str, dict[str, str]]] = {
    "opus": ("ogg", "libopus", _SPEECH),
    "webm": ("webm", "libopus", _SPEECH),
    "mp3": ("mp3", "libmp3lame", {"b": "64000"}),
    "m4a": ("ipod", "aac", {"b": "64000"}),
    "aac": ("adts", "aac", {"b": "64000"}),
    "flac": ("flac", "flac", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "au": ("au", "pcm_s16be", {}),
    "caf": ("caf", "pcm_s16le", {}),
}
# A recording is shown many times: by itself, in a table of turns, on a card, each time as another `Clip` of the same
# samples. The costly encodings are kept, by the samples they are of, up to so many bytes of all; the oldest goes first.
_COSTLY = ("opus", "mp3")
_KEPT_BYTES = 64 << 20
_kept: dict[tuple[bytes, int, str], bytes] = {}
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
        what = f"the ending {ending!r}" if ending else "a name without an ending"
        sentence = f"Your file cannot be written: {what} names no format that rtnb writes. Use one of {_WRITABLE}."
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
    if kind not in _COSTLY:
        return _encode(array, rate_hz, kind)
    key = (hashlib.blake2b(array.tobytes()).digest(), rate_hz, kind)
    if (data := _kept.get(key)) is None:
        data = _kept[key] = _encode(array, rate_hz, kind)
        while sum(map(len, list(_kept.values()))) > _KEPT_BYTES:
            _kept.pop(next(iter(_kept)), None)
    return data


def _encode(array: npt.NDArray[np.int16], rate_hz: int, kind: str) -> bytes:
    import soundfile

    out = io.BytesIO()
    if kind == "wav":
        soundfile.write(out, array, rate_hz, format="WAV", subtype="PCM_16")
        return out.getvalue()
    if not len(array):
        raise AudioError(f"Your clip is empty, and a {kind} file needs sound. Save it as .wav.", problem="empty")
    import av

    muxer, encoder, options = _RECIPES[kind]
    rates_hz = av.Codec(encoder, "w").audio_rates or [rate_hz]
    to_hz = min((rate for rate in rates_hz if rate >= rate_hz), default=max(rates_hz))
    try:
        with av.open(out, "w", format=muxer) as container:
            track: Any = container.add_stream(encoder, rate=to_hz, layout="mono", options=dict(options))
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
