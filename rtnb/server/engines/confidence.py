"""Confidence of the recogniser in each word, where `include` asks for log probabilities.

None of the small recognisers reports it. What can be found out honestly: recognise the same recording again a little
changed (slower, and with noise under it) and see which words stay. A word that stands in every pass is likelier right
than one that another pass replaces.
"""

import difflib
from collections.abc import Callable

import numpy as np

from rtnb.audio.pcm import RATE_HZ, whole_samples
from rtnb.server.engines import asr


def confidence(
    pcm: bytes, text: str, *, language: str | None = None, transcribe: Callable[..., str] = asr.transcribe
) -> list[float]:
    """Judge each word of a transcript by recognising the recording twice more.

    Args:
        pcm: The recording that `text` was recognised in, s16le 24 kHz mono.
        text: Its transcript.
        language: As for `asr.transcribe`.
        transcribe: What recognises; called with `pcm`, `rate_hz=` and `language=`.

    Returns:
        For each word of `text` between spaces a probability: by Laplace's rule of succession 4/5 where all three
        passes have it, 3/5 where one of the others has, 2/5 where none has.
    """
    words = [*map(asr.bare_word, text.split())]
    agreed = np.zeros(len(words), int)
    samples = np.frombuffer(whole_samples(pcm), "<i2").astype(np.float32)
    loudness = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    # Of the recording's own loudness a share too little to hide a clear word.
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32) * loudness * 0.02
    for changed, rate in ((samples, round(RATE_HZ / 1.04)), (samples + noise, RATE_HZ)):
        again = np.clip(changed, -32_768, 32_767).astype("<i2").tobytes()
        recognised = [*map(asr.bare_word, transcribe(again, rate_hz=rate, language=language).split())]
        for block in difflib.SequenceMatcher(None, words, recognised, autojunk=False).get_matching_blocks():
            agreed[block.a : block.a + block.size] += 1
    return [*map(float, (2 + agreed) / 5)]
