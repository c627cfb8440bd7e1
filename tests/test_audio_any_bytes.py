"""Any bytes: a clip, an error in words or a warning, within 5 seconds and 200 MB, measured in a process of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_audio_joined import KINDS, made

SECONDS, MEGABYTES = 5, 200
# Reads files whose lengths come on stdin, and says what came of each, the seconds it took and the peak added.
READER = """
import json, resource, struct, sys, time, warnings
import av, numpy, soundfile, soxr
from rtnb.audio import Clip
from rtnb.errors import AudioError, RtnbWarning
warnings.simplefilter("ignore", RtnbWarning)
try:  # the peak is counted from here, not from what this process was copied from
    open("/proc/self/clear_refs", "w").write("5")
except OSError:
    pass
def peak_mb():
    try:
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start_mb = peak_mb()
while head := sys.stdin.buffer.read(4):
    data = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
    began = time.process_time()
    try:
        said = f"a clip of {Clip.read(data).seconds:.1f} s"
    except AudioError as error:
        said = str(error)
    print(json.dumps([said, time.process_time() - began, peak_mb() - start_mb]), flush=True)
"""


class Reader:
    """A process that reads what it is sent, so that a crash, a hang or its memory are its own."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", READER], stdin=pipe, stdout=pipe)

    def read(self, data: bytes) -> str:
        """Return what came of `data`; a clip or an error in words, and neither slow nor large."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(len(data).to_bytes(4, "little") + data)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the reader died: {self.process.wait()}"
        said, seconds, megabytes = json.loads(line)
        assert seconds < SECONDS, said
        assert megabytes < MEGABYTES, said
        return said

    def close(self) -> None:
        """End it."""
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        self.process.wait()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    process = Reader()
    yield process
    process.close()


@pytest.fixture(scope="module", autouse=True)
def recordings_without_a_word() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


ANY = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
kinds = st.sampled_from(sorted(KINDS))
numbers = st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])


@ANY
@given(st.binary(max_size=1_000), st.integers(0, 1_000_000), st.sampled_from([0, 0, 3_000, 100_000]))
def test_any_bytes_at_all(reader, data, seed, more):
    reader.read(data + random.Random(seed).randbytes(more))


@ANY
@given(kinds, st.lists(st.tuples(st.integers(0, 600), numbers, st.sampled_from("<>"), st.sampled_from([1, 2, 4, 8]))))
def test_headers_with_numbers_overwritten(reader, kind, hits):
    data = bytearray(made(kind))
    for at, number, order, width in hits:
        value = number & (1 << 8 * width) - 1
        data[at : at + width] = value.to_bytes(width, "big" if order == ">" else "little")
    reader.read(bytes(data))


@ANY
@given(kinds, st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=12), st.floats(0, 1))
def test_bytes_overwritten_anywhere_and_the_end_cut_off(reader, kind, hits, kept):
    data = bytearray(made(kind))
    for where, what in hits:
        at = int(where * (len(data) - len(what)))
        data[at : at + len(what)] = what
    reader.read(bytes(data[: int(len(data) * kept)]))


@ANY
@given(st.lists(st.tuples(kinds, st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=5), st.binary(max_size=50))
def test_pieces_of_recordings_joined(reader, pieces, between):
    cuts = ((made(kind), sorted((one, other))) for kind, one, other in pieces)
    reader.read(between.join(data[int(len(data) * start) : int(len(data) * stop)] for data, (start, stop) in cuts))


@ANY
@given(kinds, kinds)
def test_a_header_of_one_kind_before_the_audio_of_another(reader, kind, other):
    reader.read(made(kind)[:200] + made(other)[200:])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_a_header(reader, kind):
    for count in (1, 4, 8, 12, 20, 44, 64, 100, 200):
        reader.read(made(kind)[:count])


@pytest.mark.parametrize(
    "joint", [b"fLaC\0\0\0\x22", b"OggS\0\2", b"RIFF\0\0\0\0WAVE", b"ID3\3\0\0\0\0\0\0", b"#!AMR\n"]
)
def test_ten_thousand_beginnings(reader, joint):
    reader.read(made("mp3") + joint * 10_000)
    reader.read(joint * 10_000)
    reader.read((made("amr")[:200] + joint) * 2_000)
