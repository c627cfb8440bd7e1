"""How a clip is shown: soon and small however long it is, and compressed once however often."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rtnb.audio import Clip, encode
from rtnb.protocol.items import Turn, Turns

RATE_HZ = 24_000


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3_000, 3_000, int(seconds * RATE_HZ), np.int16)


@pytest.fixture
def compressed(monkeypatch) -> list[int]:
    """How many samples each compression was of."""
    sizes, real = [], encode._encode

    def counted(array, rate_hz, kind):
        sizes.append(len(array))
        return real(array, rate_hz, kind)

    monkeypatch.setattr(encode, "_encode", counted)
    monkeypatch.setattr(encode, "_kept", {})
    return sizes


def test_an_hour_shows_its_first_minute_and_says_so(compressed):
    hour = Clip.from_array(np.tile(noise(60), 60), rate_hz=RATE_HZ, name="lecture")
    began = time.monotonic()
    page = hour._repr_html_()
    assert time.monotonic() - began < 10
    assert len(page) < 300_000
    assert "lecture</span>, <span>60:00 min" in page
    assert "Only its first minute is here. clip[60:120] is the next one; clip.save(…) writes all of it." in page
    assert compressed == [60 * RATE_HZ]


def test_what_is_not_so_long_is_shown_whole(compressed):
    page = Clip.from_array(noise(61), rate_hz=RATE_HZ)._repr_html_()
    assert "first minute" not in page
    assert compressed == [61 * RATE_HZ]


def test_the_same_audio_is_compressed_once_wherever_it_is_shown(compressed):
    turn = Turn("item_1", role="assistant")
    turn.add_audio(noise(2).tobytes())
    turns = Turns([turn])
    shown = [turns._repr_html_() for _ in range(3)]
    assert len(set(shown)) == 1
    assert turn.audio is not turn.audio
    turn.audio.player()
    assert len(compressed) == 1
    turn.add_audio(noise(1, 2).tobytes())  # more has come
    turns._repr_html_()
    assert compressed == [2 * RATE_HZ, 3 * RATE_HZ]


def test_what_is_kept_of_compressions_has_an_end(monkeypatch, compressed):
    monkeypatch.setattr(encode, "_KEPT_BYTES", 10_000)
    for seed in range(4):
        Clip.from_array(noise(2, seed), rate_hz=RATE_HZ).encode("opus")
    assert 0 < sum(map(len, encode._kept.values())) <= 10_000
