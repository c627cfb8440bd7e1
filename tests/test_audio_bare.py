"""Bare samples of another type than 16-bit little-endian are refused in words, and no audio is taken for such ones."""

from __future__ import annotations

import numpy as np
import pytest

from rtnb.audio import Clip, join, samples
from rtnb.errors import AudioError, InputError
from rtnb.session.parts import pcm_of

FLOATS = samples()["question"].array / 32_768
TONE = np.sin(2 * np.pi * 1_000 * np.arange(24_000) / 24_000)
WHOLE = np.rint(FLOATS * 32_767)


OTHERS = {
    "float32": lambda: FLOATS.astype("<f4").tobytes(),
    "quiet float32": lambda: (FLOATS * 0.0321).astype("<f4").tobytes(),
    "float64": lambda: FLOATS.astype("<f8").tobytes(),
    "big-endian float32": lambda: (FLOATS * 0.731).astype(">f4").tobytes(),
    "big-endian float64": lambda: (TONE * 0.731).astype(">f8").tobytes(),
    "float32 of whole numbers": lambda: WHOLE.astype("<f4").tobytes(),
    "a tone": lambda: TONE.astype("<f4").tobytes(),
    "int32": lambda: (FLOATS * 0.731 * 2**31).astype("<i4").tobytes(),
    "int32 with 16 bits at its upper end": lambda: (WHOLE.astype("<i4") << 16).tobytes(),
    "int32 of 16 bits": lambda: WHOLE.astype("<i4").tobytes(),
    "int64 of 16 bits": lambda: WHOLE.astype("<i8").tobytes(),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_samples_of_another_type_are_refused(kind):
    data = OTHERS[kind]()
    for take in (pcm_of, lambda data: Clip.from_pcm(data, rate_hz=24_000)):
        with pytest.raises(AudioError, match=r"look like .* not like 16-bit little-endian samples.*Clip\.from_array"):
            take(data)


def audio() -> dict[str, np.ndarray]:
    """Audio of every kind that is easily mistaken, 16-bit."""
    noise, at = np.random.default_rng(4), np.arange(4_800) / 24_000
    kinds = {clip.name: clip.array[: 24_000 * 4] for clip in samples()}
    kinds |= {f"{name}, loud": array * (32_767 / np.abs(array).max()) for name, array in kinds.items()}
    kinds |= {f"white noise, {db} dB": noise.normal(size=4_800) * 32_768 * 10 ** (db / 20) for db in range(-90, 6, 6)}
    for hz in (50, 440, 2_000, 2_999, 3_000, 4_000, 6_000, 8_000, 9_000, 11_000, 12_000):
        wave = np.sin(2 * np.pi * hz * at)
        for level in (0.002, 0.0313, 0.1, 0.5, 0.7, 1.0):
            kinds[f"{hz} Hz, {level}"] = wave * 32_767 * level
            kinds[f"{hz} Hz, {level}, noisy"] = (wave * level + noise.normal(size=4_800) * 0.01) * 32_767
            kinds[f"{hz} Hz, {level}, fading in"] = np.sin(2 * np.pi * hz * at + 1) * at * 5 * 32_767 * level
        kinds[f"{hz} Hz, cut"] = np.clip(wave * 1.14, -0.5, 0.5) * 32_767 + noise.normal(size=4_800) * 300
        kinds[f"{hz} Hz, square"] = np.sign(np.sin(2 * np.pi * hz * at + 0.1)) * 16_384
        kinds[f"{hz} Hz, square, noisy"] = kinds[f"{hz} Hz, square"] + noise.normal(size=4_800) * 300
    kinds["clicks"] = (noise.random(4_800) < 0.02) * noise.normal(size=4_800) * 20_000
    kinds["8 bits"] = np.rint(kinds["question"] / 256) * 256
    kinds |= {
        f"standing at {value}": np.full(4_800, value) + noise.normal(size=4_800) * 5
        for value in (0, 71, -1_025, 16_000)
    }
    return kinds


@pytest.mark.parametrize("size", [480, 4_800])
def test_no_audio_is_taken_for_samples_of_another_type(size):
    for name, array in audio().items():
        array = np.clip(np.rint(array), -32_768, 32_767).astype("<i2")
        for start in range(0, len(array), size):
            data = array[start : start + size].tobytes()
            assert pcm_of(data) == data == Clip.from_pcm(data, rate_hz=24_000).pcm, (name, start)


@pytest.mark.parametrize("given", ["abc", None, 5, [300], [1, 2], FLOATS, np.zeros((4, 2), np.int16), object()])
def test_what_is_no_bare_samples_is_refused_with_what_to_do(given):
    with pytest.raises(AudioError, match=r"pcm means bytes of 16-bit samples"):
        Clip.from_pcm(given, rate_hz=24_000)


def test_arrays_of_16_bits_of_either_byte_order_are_taken():
    for array in (WHOLE.astype("<i2"), WHOLE.astype(">i2")):
        assert np.array_equal(Clip.from_pcm(array, rate_hz=24_000).array, WHOLE)
        assert np.array_equal(Clip.from_array(array, rate_hz=24_000).array, WHOLE)
    assert Clip.from_array(FLOATS.astype(">f4"), rate_hz=24_000) == Clip.from_array(FLOATS, rate_hz=24_000)


@pytest.mark.parametrize("given", [[[1], [1, 2]], Clip.silence(1), object(), "abc", None, {1: 2}])
def test_what_makes_no_array_is_refused(given):
    with pytest.raises(AudioError, match="Your array is no sound"):
        Clip.from_array(given, rate_hz=24_000)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (5, 0), (0, 0)])
def test_an_array_without_samples_is_an_empty_clip(shape):
    assert len(Clip.from_array(np.zeros(shape), rate_hz=24_000)) == 0


@pytest.mark.parametrize("edge", [float("nan"), float("inf"), float("-inf"), np.float64("nan")])
def test_a_stretch_without_a_number_is_refused(edge):
    for key in (slice(edge, 1), slice(0, edge)):
        with pytest.raises(InputError, match="not a stretch of time"):
            Clip.silence(2)[key]


def test_lengths_and_rates_that_cannot_be_are_refused():
    clip = Clip.silence(1)
    for seconds in (1e12, 900_000.0, float("nan")):
        with pytest.raises(InputError, match="is no length"):
            join([clip, clip], gap_seconds=seconds)
    for take in (clip.resample, lambda rate: Clip.silence(1, rate_hz=rate)):
        with pytest.raises(AudioError, match="no sample rate"):
            take(5)


def test_a_path_that_cannot_be_read_or_written_is_told(tmp_path):
    for path in ("\ud800.wav", "a\0.wav", tmp_path / "none" / "\ud800.wav"):
        with pytest.raises(AudioError, match="cannot be"):
            Clip.read(path)
    with pytest.raises(AudioError, match="cannot be written"):
        Clip.silence(1).save("a\0.wav")
