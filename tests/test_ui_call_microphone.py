"""What the page does with the microphone's samples where the browser does not resample them itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import rtnb.ui.shared

SOURCE = Path(rtnb.ui.shared.__file__).parent / "pcm.js"

# A tone goes in block by block, as an audio thread brings it; out come its level in dB and how many samples there are.
TONE = """
const { Resampler } = await import(process.argv[1]);
const [from, hz, block] = JSON.parse(process.argv[2]);
const resampler = new Resampler(from, 24000);
const out = [];
for (let at = 0; at < from; at += block) {
  const piece = new Float32Array(Math.min(block, from - at));
  for (let i = 0; i < piece.length; i++) piece[i] = Math.sin((2 * Math.PI * hz * (at + i)) / from);
  out.push(...resampler.push(piece));
}
const middle = out.slice(4000, 20000);
const power = middle.reduce((sum, x) => sum + x * x, 0) / middle.length;
console.log(JSON.stringify({ decibels: 10 * Math.log10(2 * power + 1e-20), samples: out.length }));
"""


def tone(tmp_path: Path, from_hz: int, hz: float, block: int = 128) -> dict[str, float]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    module = tmp_path / "pcm.mjs"
    module.write_text(SOURCE.read_text("utf-8"), "utf-8")
    arguments = [module.as_uri(), json.dumps([from_hz, hz, block])]
    done = subprocess.run(
        [node, "--input-type=module", "-e", TONE, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("from_hz", [16_000, 44_100, 48_000, 96_000])
def test_speech_passes_as_it_is(tmp_path: Path, from_hz: int):
    told = tone(tmp_path, from_hz, 3_000)
    assert told["decibels"] == pytest.approx(0, abs=0.05)
    assert told["samples"] == pytest.approx(24_000, abs=2)


@pytest.mark.parametrize(("from_hz", "hz"), [(48_000, 13_000), (48_000, 20_000), (44_100, 14_000), (96_000, 30_000)])
def test_what_24_khz_cannot_hold_is_gone_and_not_folded_back(tmp_path: Path, from_hz: int, hz: int):
    assert tone(tmp_path, from_hz, hz)["decibels"] < -80


def test_the_size_of_the_blocks_does_not_matter(tmp_path: Path):
    assert tone(tmp_path, 44_100, 1_000, 128) == pytest.approx(tone(tmp_path, 44_100, 1_000, 999))
