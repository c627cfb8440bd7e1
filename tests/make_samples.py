"""Speak the shipped recordings anew.

`python tests/make_samples.py` writes one .ogg for each entry of rtnb/audio/shipped/samples.toml.

Needs Debian's `flite` (its voices are heard well by speech recognisers). Their level is set alike, the silence at
both ends cut to a tenth of a second, and each is stored as Opus at 24 kbit/s.
"""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np

from rtnb.audio import Clip, shipped

HERE = Path(shipped.__file__).resolve().parent
PEAK = 0.7
QUIET = 0.01
MARGIN_SECONDS = 0.1


def speak(text: str, voice: str) -> Clip:
    """Have flite say `text`."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(spoken)], check=True)
        return Clip.read(spoken)


def trimmed(clip: Clip) -> Clip:
    """Cut silence from both ends, leave a short pause there, and bring the peak to the common level."""
    samples = clip.array.astype(np.float64) / 32_768
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    body = samples[loud[0] : loud[-1] + 1]
    pause = np.zeros(round(MARGIN_SECONDS * clip.rate_hz))
    levelled = body / np.abs(body).max() * PEAK
    return Clip.from_array(np.concatenate([pause, levelled, pause]), rate_hz=clip.rate_hz)


def main() -> None:
    """Write every recording."""
    for entry in tomllib.loads((HERE / "samples.toml").read_text("utf-8"))["sample"]:
        clip = trimmed(speak(entry["text"], entry["voice"]))
        path = HERE / f"{entry['name']}.ogg"
        path.write_bytes(clip.encode("opus"))
        print(f"{path.name:16} {clip.seconds:5.1f} s  {path.stat().st_size / 1000:6.1f} kB  {entry['voice']}")


if __name__ == "__main__":
    main()
