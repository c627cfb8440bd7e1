"""Recordings of a microphone beside a loudspeaker, and of one beside headphones, mixed from the shipped samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import rtnb

RATE_HZ = 24_000
BEFORE_SECONDS = 1.0  # of silence, until the answer begins
ANSWER_SECONDS = 5.0

_VOICES = ("talk", "dialogue-1", "dialogue-2", "dialogue-3", "dialogue-4", "dialogue-5", "dialogue-6", "order")


@dataclass(frozen=True)
class Mixture:
    """What the page plays and what its microphone brings meanwhile, float samples at 24 kHz."""

    name: str
    played: np.ndarray
    heard: np.ndarray
    gain_db: float = 0.0
    delay_ms: float = 0.0


def _decibels(value: float) -> float:
    return 10 ** (value / 20)


def _level(samples: np.ndarray) -> float:
    """RMS of what is no silence."""
    loud = samples[np.abs(samples) > 1e-3]
    return float(np.sqrt(np.mean(loud**2))) if len(loud) else 1.0


def _speech(random: np.random.Generator, voices: tuple[str, ...], seconds: float, level: float) -> np.ndarray:
    """Return speech out of the samples, from a random place on, at a level in dBFS."""
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < (seconds + 4) * RATE_HZ:
        clip = rtnb.samples()[voices[random.integers(len(voices))]].resample(RATE_HZ)
        pieces += [clip.array.reshape(-1).astype(np.float64) / 32768, np.zeros(int(0.25 * RATE_HZ))]
    whole = np.concatenate(pieces)
    begin = random.integers(0, 3 * RATE_HZ)
    begin += int(np.argmax(np.abs(whole[begin:]) > 0.05))  # an answer begins with a word
    piece = whole[begin : begin + int(seconds * RATE_HZ)]
    return piece * _decibels(level) / _level(piece)


def _room(random: np.random.Generator, seconds: float, direct: float) -> np.ndarray:
    """Return an impulse response of energy 1: a direct sound and its reverberation, `direct` dB below it."""
    length = int(seconds * RATE_HZ)
    tail = random.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
    tail[: int(0.002 * RATE_HZ)] = 0
    tail *= _decibels(-direct) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail / np.sqrt(np.sum(tail**2))


def _band(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum *= 1 / (1 + (low_hz / np.maximum(hz, 1)) ** 4) / (1 + (hz / high_hz) ** 4)
    return np.fft.irfft(spectrum, len(samples))


def _convolved(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = len(samples) + len(response)
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]


def _noise(random: np.random.Generator, samples: int, level: float) -> np.ndarray:
    """Return a fan's noise: louder at low frequencies."""
    noise = _band(random.normal(size=samples), 60, 800) + 0.1 * random.normal(size=samples)
    return noise * _decibels(level) / np.sqrt(np.mean(noise**2))


def _answer(random: np.random.Generator, voices: tuple[str, ...] = _VOICES) -> np.ndarray:
    answer = _speech(random, voices, ANSWER_SECONDS, random.uniform(-26, -17))
    return np.concatenate([np.zeros(int(BEFORE_SECONDS * RATE_HZ)), answer])


def loudspeaker(number: int) -> Mixture:
    """Return the microphone of a computer whose loudspeaker plays the answer."""
    random = np.random.default_rng([1, number])
    voices = tuple(random.permutation(_VOICES))
    played = _answer(random, voices[:4])
    gain, delay_ms = random.uniform(-30, -6), random.uniform(20, 400)
    decay_seconds, direct = random.uniform(0.1, 0.6), random.uniform(0, 10)
    distorted = np.tanh(2 * played) / 2  # a small loudspeaker
    echo = _convolved(_band(distorted, 250, 6000), _room(random, decay_seconds, direct))
    echo *= _decibels(gain) * np.sqrt(np.mean(played**2) / np.mean(echo**2))
    delay = int(delay_ms / 1000 * RATE_HZ)
    heard = np.concatenate([np.zeros(delay), echo])[: len(played)]
    heard += _noise(random, len(heard), random.uniform(-75, -55))
    name = f"{gain:.0f} dB after {delay_ms:.0f} ms, {decay_seconds:.2f} s of reverberation"
    if number % 3 == 0:  # the user talks as well
        user = _speech(random, voices[4:], len(heard) / RATE_HZ, random.uniform(-32, -22))
        begin = random.integers(len(heard) // 2)
        heard[begin:] += user[begin:]
        name += ", both talk"
    return Mixture(name, played, np.clip(heard, -1, 1), gain, delay_ms)


def headphones(number: int) -> Mixture:
    """Return the microphone of somebody who hears the answer in headphones."""
    random = np.random.default_rng([2, number])
    voices = tuple(random.permutation(_VOICES))
    played = _answer(random, voices[:4])
    heard = _noise(random, len(played), random.uniform(-75, -50))
    what = ("speech", "noise", "breath", "keys", "leakage")[number % 5]
    if what == "speech" or number % 2:
        heard += _speech(random, voices[4:], len(heard) / RATE_HZ, random.uniform(-32, -18))
    if what == "noise":
        heard += _noise(random, len(heard), -32)
    if what == "breath":
        slow = np.clip(np.sin(np.arange(len(heard)) / RATE_HZ * 2 * np.pi / 2.5), 0, 1) ** 2
        heard += slow * _band(random.normal(size=len(heard)), 300, 2000) * _decibels(-30)
    if what == "keys":
        for at in random.integers(0, len(heard) - 2000, 25):
            heard[at : at + 1200] += random.normal(size=1200) * np.exp(-np.arange(1200) / 200) * _decibels(-20)
    if what == "leakage":
        delayed = np.concatenate([np.zeros(int(random.uniform(0.02, 0.2) * RATE_HZ)), played])[: len(heard)]
        heard += delayed * _decibels(-50)
    return Mixture(what, played, np.clip(heard, -1, 1))
