"""Mix channels to one, so that nothing said on any of them is lost."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rtnb.errors import RtnbWarning

# Below -55 dBFS no recogniser takes it for speech.
_AUDIBLE = 3e-6
# An average more than 7 dB quieter than the loudest channel is made louder. Two speakers on two channels lose 3 dB, a
# voice on one of two 6 dB, which a model understands as well.
_QUIET = 2.24


class Mixer:
    """Mixer of blocks of channels; each channel always has the same share, so no choice of one can lose a voice.

    Channels that cancel each other (a wrongly wired microphone records one as the other upside down) are turned over
    before they are averaged, from the block on where they do. Where few of many channels carry the audio, the average
    is made as loud as they are.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Start.

        Args:
            tell: Takes what was done, to follow on the recording's name ("has channels that …").
        """
        self._tell = tell
        self._weights = np.zeros(0)

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Mix a block: shape `(channels, n)` to `(n,)`."""
        count, length = channels.shape
        if count == 1 or not length:
            return channels[0]
        first = count != len(self._weights)
        if first:
            self._weights, self._energies, self._sum = np.full(count, 1 / count, channels.dtype), np.zeros(count), 0.0
        products, before = channels @ channels.T, self._weights
        energies = products.diagonal()
        if energies.max() > _AUDIBLE * length:
            self._weigh(channels, products, energies)
        mixed = self._weights @ channels
        if not first and (self._weights != before).any():
            fade = np.minimum(np.arange(length, dtype=channels.dtype) / (length / 16), 1)  # no click
            mixed = mixed * fade + before @ channels * (1 - fade)
        return mixed

    def _weigh(self, channels: npt.NDArray[Any], products: npt.NDArray[Any], energies: npt.NDArray[Any]) -> None:
        """Set the weights for a block, from its channels' products with each other and the energies until now."""
        count, signs = len(channels), np.sign(self._weights)
        if (together := signs @ products @ signs) < 0.25 * energies.sum():
            signs = _aligned(products, signs)
            together = signs @ products @ signs
            self._tell("has channels that cancel each other, so some are turned over. Record in mono to be sure.")
        self._energies += energies
        self._sum += float(together)
        gain = count * math.sqrt(self._energies.max() / max(self._sum, 1e-30))
        if gain < _QUIET:
            gain = 1.0
        else:
            self._tell(f"has {count} channels of which few carry the audio, so their average is made louder.")
            gain = max(1.0, min(gain, count, count / float(np.abs(signs @ channels).max())))
        self._weights = signs * channels.dtype.type(gain / count)


def _aligned(products: npt.NDArray[Any], signs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return signs under which channels with these products add up: each as those louder than it."""
    first, *others = products.diagonal().argsort()[::-1]
    signs, total = signs.copy(), signs[first] * products[first]
    for channel in others:
        signs[channel] = np.sign(total[channel]) or 1
        total = total + signs[channel] * products[channel]
    return signs


def mix_array(channels: npt.NDArray[Any], rate_hz: int) -> npt.NDArray[Any]:
    """Mix the channels of an array as those of a file are: shape `(channels, n)` to `(n,)`.

    Args:
        channels: Float samples in [-1.0, 1.0].
        rate_hz: Samples per second.
    """
    said: dict[str, None] = {}
    mix, step = Mixer(lambda sentence: said.setdefault(sentence)), rate_hz // 10
    mixed = np.concatenate([mix(channels[:, at : at + step]) for at in range(0, max(channels.shape[1], 1), step)])
    for sentence in said:
        warnings.warn(f"Your array {sentence}", RtnbWarning, stacklevel=3)
    return mixed
