"""How sure the ears are of each word, where `include` asks for log probabilities.

None of the small recognisers tells. What can be found out honestly: hear the same recording again a little changed
(slower, and with noise under it) and see which words stay. A word that stands in every hearing is likelier right than
one that another hearing replaces.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

import numpy as np

from rtnb.server.engines import asr

__all__ = ["weigh"]

_SLOWER = 1.04
_NOISE = 0.02  # of the recording's own loudness: too little to hide a clear word


def weigh(
    pcm: bytes,
    text: str,
    *,
    rate_hz: int = 24_000,
    language: str | None = None,
    hear: Callable[..., str] = asr.hear,
) -> list[float]:
    """Judge each word of a transcript by hearing the recording twice more.

    Args:
        pcm: The recording that `text` was heard in, s16le mono.
        text: Its transcript.
        rate_hz: Its sample rate.
        language: As for `ears.hear`.
        hear: What hears; called with `pcm`, `rate_hz=` and `language=`.

    Returns:
        For each word of `text` between spaces a probability: by Laplace's rule of succession 4/5 where all three
        hearings have it, 3/5 where one of the others has, 2/5 where none has.
    """
    words = text.split()
    agreed = [0] * len(words)
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32)
    loudness = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32) * loudness * _NOISE
    for changed, rate in ((samples, round(rate_hz / _SLOWER)), (samples + noise, rate_hz)):
        sound = np.clip(changed, -32_768, 32_767).astype("<i2").tobytes()
        heard = hear(sound, rate_hz=rate, language=language).split()
        same = difflib.SequenceMatcher(None, list(map(_bare, words)), list(map(_bare, heard)), autojunk=False)
        for block in same.get_matching_blocks():
            for at in range(block.a, block.a + block.size):
                agreed[at] += 1
    return [(2 + count) / 5 for count in agreed]


def _bare(word: str) -> str:
    return re.sub(r"[^\w']", "", word).casefold()
