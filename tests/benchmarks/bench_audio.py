"""An hour of sound, streamed: time to the first block and memory added, for each format, in a fresh process each.

Run `python tests/benchmarks/bench_audio.py`. The first row is the plain way (the whole file through pydub where it can
be read without ffmpeg), so that the figures are seen side by side. Limits: the first block within 100 ms, less than
15 MB added to the peak memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MINUTES = 60
FORMATS = ("wav", "mp3", "m4a", "webm", "flac", "ogg")

# Measured from a process that has imported the package and its decoders: what the file adds, not what Python does.
# Opening once a short clip first would hide first-use costs, so it is not done.
STREAM = """
import json, sys, time
import av, numpy, soxr, rtnb.audio
def peak_kb(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
before = peak_kb()
start = time.perf_counter()
stream = rtnb.audio.open_stream(sys.argv[1])
sizes = [len(next(stream))]
first_ms = (time.perf_counter() - start) * 1000
for block in stream:
    sizes.append(len(block))
print(json.dumps({"first_ms": first_ms, "added_mb": (peak_kb() - before) / 1024, "all_s": time.perf_counter() - start,
    "seconds": sum(sizes) / 48000, "largest": max(sizes) / 48000, "estimate": stream.seconds}))
"""
# The same, but with nothing imported beforehand: what the very first call in a fresh kernel waits for.
COLD = STREAM.replace("import av, numpy, soxr, rtnb.audio\n", "import rtnb.audio\n")

PLAIN = """
import base64, json, sys, time, warnings
warnings.simplefilter("ignore")
from pydub import AudioSegment
def peak_kb(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
before = peak_kb()
start = time.perf_counter()
sound = AudioSegment.from_file(sys.argv[1]).set_frame_rate(24000).set_channels(1).set_sample_width(2)
first = base64.b64encode(sound.raw_data[:4800])
first_ms = (time.perf_counter() - start) * 1000
print(json.dumps({"first_ms": first_ms, "added_mb": (peak_kb() - before) / 1024, "all_s": first_ms / 1000,
    "seconds": len(sound) / 1000, "largest": 0, "estimate": None}))
"""


def hour(folder: Path) -> list[Path]:
    """Write an hour of noisy stereo tones at 44.1 kHz as wav, and the same in every other format."""
    import soundfile

    rng = np.random.default_rng(1)
    at = np.arange(44_100 * 10) / 44_100
    tone = 0.3 * np.sin(2 * np.pi * 220 * at) * (1 + np.sin(2 * np.pi * 3 * at)) / 2
    block = np.stack([tone, tone], 1) + rng.normal(0, 0.01, (len(tone), 2))
    wav = folder / "hour.wav"
    with soundfile.SoundFile(wav, "w", 44_100, 2, "PCM_16") as file:
        for _ in range(MINUTES * 6):
            file.write(block)
    return [wav, *(encode(wav, folder / f"hour.{kind}") for kind in FORMATS[1:])]


def encode(wav: Path, path: Path) -> Path:
    """Write a stereo wav of 44.1 kHz in the format of another path's ending."""
    import av

    codec = {"mp3": "libmp3lame", "m4a": "aac", "webm": "libopus", "flac": "flac", "ogg": "libopus"}[path.suffix[1:]]
    with av.open(str(path), "w") as out, av.open(str(wav)) as source:
        rate_hz = 48_000 if codec == "libopus" else 44_100
        track = out.add_stream(codec, rate=rate_hz, layout="stereo")
        convert = av.AudioResampler(format=track.codec_context.format, layout="stereo", rate=rate_hz)
        for frame in source.decode(audio=0):
            for part in convert.resample(frame):
                out.mux(track.encode(part))
        out.mux(track.encode(None))
    return path


def measure(program: str, path: Path) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Make the files, measure each, print a table."""
    with tempfile.TemporaryDirectory() as folder:
        paths = hour(Path(folder))
        print(f"{'':18}{'first block':>14}{'memory added':>14}{'whole file':>12}{'largest':>9}   ({MINUTES} min)")
        rows = [("pydub, wav", PLAIN, paths[0])]
        rows += [(f"rtnb, {path.suffix[1:]}", STREAM, path) for path in paths]
        rows += [("rtnb, wav, cold", COLD, paths[0])]
        for label, program, path in rows:
            got = measure(program, path)
            assert abs(got["seconds"] - MINUTES * 60) < 1, got
            print(
                f"{label:18}{got['first_ms']:11.1f} ms{got['added_mb']:11.1f} MB{got['all_s']:10.1f} s"
                f"{got['largest']:7.2f} s"
            )


if __name__ == "__main__":
    main()
