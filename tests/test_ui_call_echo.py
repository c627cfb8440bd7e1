"""Whether a call knows that its own answer comes back in the microphone: loudspeakers and headphones, mixed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import echo_mixtures
import numpy as np
import pytest

import rtnb.ui.call

SOURCE = Path(rtnb.ui.call.__file__).parent / "echo.js"
COUNT = 20

# As the page brings them: 50 ms at a time, a little late and not evenly so, measured every 300 ms.
LISTEN = """
import { readFileSync } from "node:fs";
const { EchoMeter } = await import(process.argv[1]);
const found = process.argv.slice(2).map((path) => {
  const bytes = readFileSync(path);
  const all = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const heard = all.length / 2;
  const meter = new EchoMeter();
  for (let at = 1200, n = 1; at <= heard; at += 1200, n++) {
    meter.played.take(all.subarray(at - 1200, at), at / 24000 + 0.004 * (n % 3));
    meter.heard.take(all.subarray(heard + at - 1200, heard + at), at / 24000 + 0.003 * (n % 5));
    const echo = n % 6 ? null : meter.measure();
    if (echo) return { ...echo, seconds: at / 24000 };
  }
  return null;
});
console.log(JSON.stringify(found));
"""

# Several mixtures, one after the other; what is known of the answer at the end of each, and how often it changed.
FOLLOW = """
import { readFileSync } from "node:fs";
const { EchoMeter } = await import(process.argv[1]);
const meter = new EchoMeter();
let [now, known, changes] = [0, null, 0];
const found = process.argv.slice(2).map((path) => {
  const bytes = readFileSync(path);
  const all = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const heard = all.length / 2;
  for (let at = 1200; at <= heard; at += 1200) {
    now += 0.05;
    meter.played.take(all.subarray(at - 1200, at), now);
    const echo = meter.hear(all.subarray(heard + at - 1200, heard + at), now);
    changes += echo !== known;
    known = echo;
  }
  return { known: known !== null, changes };
});
console.log(JSON.stringify(found));
"""


def listened(tmp_path: Path, mixtures: list[echo_mixtures.Mixture], script: str = LISTEN) -> list[Any]:
    """What the page finds in each, with the second at which it does."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    module = tmp_path / "echo.mjs"
    module.write_text(SOURCE.read_text("utf-8") + "\nexport { EchoMeter };\n", "utf-8")
    paths = []
    for number, mixture in enumerate(mixtures):
        both = np.concatenate([mixture.played, mixture.heard])
        paths.append(str(tmp_path / f"{number}.pcm"))
        (both * 32767).round().astype("<i2").tofile(paths[-1])
    command = [node, "--input-type=module", "-e", script, module.as_uri(), *paths]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout)


def test_a_loudspeaker_is_noticed_within_two_seconds_of_the_answer(tmp_path: Path):
    mixtures = [echo_mixtures.loudspeaker(number) for number in range(COUNT)]
    for mixture, found in zip(mixtures, listened(tmp_path, mixtures), strict=True):
        assert found is not None, mixture.name
        assert found["seconds"] - echo_mixtures.BEFORE_SECONDS <= 2, mixture.name
        assert abs(found["delay_ms"] - mixture.delay_ms) < 20, mixture.name
        assert abs(found["gain_db"] - mixture.gain_db) < 12, mixture.name


def test_headphones_are_not_taken_for_a_loudspeaker(tmp_path: Path):
    mixtures = [echo_mixtures.headphones(number) for number in range(COUNT)]
    found = listened(tmp_path, mixtures)
    assert [(mixture.name, it) for mixture, it in zip(mixtures, found, strict=True) if it] == []


@pytest.mark.long
def test_it_is_so_with_hundreds_of_them(tmp_path: Path):
    loops = listened(tmp_path, [echo_mixtures.loudspeaker(number) for number in range(20, 220)])
    assert [it for it in loops if it is None or it["seconds"] > echo_mixtures.BEFORE_SECONDS + 2] == []
    assert not any(listened(tmp_path, [echo_mixtures.headphones(number) for number in range(20, 220)]))


def test_silence_and_a_microphone_alone_are_no_echo(tmp_path: Path):
    random = np.random.default_rng(3)
    mixture = echo_mixtures.loudspeaker(0)
    silence, noise = np.zeros(len(mixture.played)), random.normal(size=len(mixture.played)) * 0.05
    nothing = [
        echo_mixtures.Mixture("nothing at all", silence, silence),
        echo_mixtures.Mixture("a talker, no answer", silence, mixture.played),
        echo_mixtures.Mixture("an answer, no microphone", mixture.played, silence),
        echo_mixtures.Mixture("noise, both ways", noise, random.permutation(noise)),
    ]
    assert listened(tmp_path, nothing) == [None] * 4


def test_what_was_found_is_kept_while_it_lasts_and_taken_back_when_it_is_gone(tmp_path: Path):
    loop, away = ([one(number) for number in range(4)] for one in (echo_mixtures.loudspeaker, echo_mixtures.headphones))
    followed = listened(tmp_path, [*loop, *away, *loop], FOLLOW)
    at_the_end_of_each = [followed[number] for number in (0, 3, 7, 11)]
    assert [it["known"] for it in at_the_end_of_each] == [True, True, False, True]
    assert [it["changes"] for it in at_the_end_of_each] == [1, 1, 2, 3]


def test_silence_takes_nothing_back(tmp_path: Path):
    loop, silence = echo_mixtures.loudspeaker(0), np.zeros(10 * 24_000)
    quiet = echo_mixtures.Mixture("the user thinks", silence, silence)
    assert [it["changes"] for it in listened(tmp_path, [loop, quiet, quiet, loop], FOLLOW)] == [1, 1, 1, 1]
