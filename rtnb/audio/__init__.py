"""Audio: read anything, cut, join, check, save, and stream files of any length."""

from rtnb.audio.clip import Clip, join
from rtnb.audio.pcm import RATE_HZ
from rtnb.audio.shipped import Samples, samples
from rtnb.audio.stream import Stream, open_stream

__all__ = ["RATE_HZ", "Clip", "Samples", "Stream", "join", "open_stream", "samples"]
