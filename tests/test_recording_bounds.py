"""A recording made to do harm: it is refused in words, at once, and before memory is taken."""

import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import soundfile

from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import ReplayError
from rtnb.recording.load import open_recording

CREATED = {"at": 0, "by": "server", "event": {"type": "session.created", "session": {"id": "sess_1"}}}
MOST_MB = 200
# `VmHWM` is of this program alone; `ru_maxrss` begins, on Linux, with what the one had that started it.
CHILD = """
import resource, sys, time
import numpy, soundfile, rtnb
from rtnb.errors import RtnbError
from rtnb.opening import connect
from rtnb.recording import replay

def peak_mb():
    try:
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)

before, began = peak_mb(), time.perf_counter()
try:
    with connect(replay=sys.argv[1]).wait(60) as chat:
        said = "opened"
except RtnbError as error:
    said = f"{type(error).__name__}: {error}"
print(round(peak_mb() - before), round(time.perf_counter() - began), said)
"""


def about(**fields):
    return json.dumps({"version": 1, "model": "m", "sound": "flac", "sizes": {}, "settings": {}, **fields})


def lines(*more):
    return "".join(json.dumps(line) + "\n" for line in (CREATED, *more))


def write(path, files, method=zipfile.ZIP_DEFLATED):
    """A file of ours; a content that is a tuple is written as often, piece by piece."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=False) as out:
                pieces = content if isinstance(content, tuple) else (content, 1)
                for _ in range(pieces[1]):
                    out.write(pieces[0].encode() if isinstance(pieces[0], str) else pieces[0])
    return path


def silence(path, seconds, channels=1):
    with soundfile.SoundFile(path, "w", RATE_HZ, channels, format="FLAC", subtype="PCM_16") as file:
        for _ in range(seconds // 10):
            file.write(np.zeros((RATE_HZ * 10, channels), np.int16))
    return path.read_bytes()


def appended(start, end, track="heard", at=0.0, by="us"):
    kind = "input_audio_buffer.append" if by == "us" else "response.output_audio.delta"
    return {"at": at, "by": by, "sound": [track, start, end], "event": {"type": kind, "event_id": "e"}}


def a_bomb_of_text(path):
    """Half a megabyte that unpacks to 300 MB of lines."""
    padding = json.dumps({"at": 0, "by": "us", "event": {"type": "x", "event_id": "y" * 900}}) + "\n"
    write(path, {"session.json": about(), "events.jsonl": ((lines() + padding * 1000), 300)})


def lists_in_lists(path):
    """Two bytes each that take sixty-four."""
    event = {"type": "x", "more": "@"}
    text = json.dumps({"at": 0, "by": "us", "event": event}).replace('"@"', "[" + "[]," * 500_000 + "0]")
    write(path, {"session.json": about(), "events.jsonl": lines() + (text + "\n") * 50})


def one_long_line(path):
    write(path, {"session.json": about(), "events.jsonl": ("[],[]," * 100_000, 200)})


def a_million_tiny_events(path):
    write(
        path,
        {"session.json": about(), "events.jsonl": lines() + '{"at":0,"by":"us","event":{"type":"x"}}\n' * 1_000_000},
    )


def blank_lines(path):
    write(path, {"session.json": about(), "events.jsonl": (lines() + "\n" * 1_000_000, 100)})


def eight_gigabytes_said(path):
    write(path, {"session.json": about(sizes={"heard": 8e9}), "events.jsonl": lines(), "heard.flac": b""})


def eight_gigabytes_said_whole(path):
    write(path, {"session.json": about(sizes={"heard": 8_000_000_000}), "events.jsonl": lines(), "heard.flac": b""})


def more_said_than_there(path):
    sizes = {"heard": 400_000_000}
    flac = silence(path.with_suffix(".flac"), 10)
    write(path, {"session.json": about(sizes=sizes), "events.jsonl": lines(), "heard.flac": flac})


def an_hour_of_silence(path):
    """A FLAC that is small, and a hundred times longer than it says."""
    flac = silence(path.with_suffix(".flac"), 3600)
    files = {"session.json": about(sizes={"heard": 1 << 20}), "events.jsonl": lines(), "heard.flac": flac}
    write(path, files, zipfile.ZIP_STORED)


def a_track_of_zeros(path):
    files = {"session.json": about(sizes={"heard": 1 << 20}), "events.jsonl": lines()}
    write(path, {**files, "heard.flac": (bytes(1 << 20), 600)})


def many_channels(path):
    flac = silence(path.with_suffix(".flac"), 600, 8)
    write(path, {"session.json": about(sizes={"heard": 28_800_000}), "events.jsonl": lines(), "heard.flac": flac})


def one_sound_a_thousand_times(path):
    flac = silence(path.with_suffix(".flac"), 300)
    said = [appended(0, 14_000_000, "spoken", by="server")] * 1000
    files = {"session.json": about(sizes={"spoken": 14_400_000}), "events.jsonl": lines(*said), "spoken.flac": flac}
    write(path, files)


def one_sound_a_thousand_times_inside(path):
    flac = silence(path.with_suffix(".flac"), 300)
    item = {"type": "x", "parts": [{"sound": ["more", 0, 14_000_000]}] * 1000}
    lines_ = lines({"at": 0, "by": "server", "event": item})
    write(path, {"session.json": about(sizes={"more": 14_400_000}), "events.jsonl": lines_, "more.flac": flac})


def one_picture_a_thousand_times(path):
    item = {"type": "x", "parts": [{"picture": 0}] * 1000}
    files = {"session.json": about(), "events.jsonl": lines({"at": 0, "by": "server", "event": item})}
    write(path, {**files, "picture-0.txt": "data:image/png;base64," + "A" * 10_000_000})


def a_picture_of_600_mb(path):
    write(path, {"session.json": about(), "events.jsonl": lines(), "picture-0.txt": (b"A" * (1 << 20), 600)})


def twenty_pictures(path):
    pictures = {f"picture-{number}.txt": "A" * 15_000_000 for number in range(20)}
    write(path, {"session.json": about(), "events.jsonl": lines(), **pictures})


def settings_of_600_mb(path):
    write(path, {"session.json": ("[" * (1 << 20), 600), "events.jsonl": lines()})


def a_lie_about_the_unpacked_size(path):
    """The list says 1,000 bytes; what is packed unpacks to 600 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(600)) + packer.flush()
    write(path, {"session.json": b"x" * len(packed)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(b"x" * 100)
    data[at : at + len(packed)] = packed
    central = data.rindex(b"PK\1\2")
    for place, method, size in ((0, 8, 22), (central, 10, 24)):
        struct.pack_into("<H", data, place + method, 8)
        struct.pack_into("<I", data, place + size, 1000)
    path.write_bytes(data)


def a_list_of_gigabytes(path):
    """Half a million entries of no content."""
    names = [f"n{number}".encode() for number in range(500_000)]
    entries = b"".join(struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 9, len(name), *[0] * 6) + name for name in names)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65_535, 65_535, len(entries), 0, 0)
    path.write_bytes(entries + end)


def deep(path):
    nested = '{"at":0,"by":"server","event":{"type":"x","deep":' + "[" * 200_000 + "]" * 200_000 + "}}\n"
    write(path, {"session.json": about(), "events.jsonl": lines() + nested})


def rather_deep(path):
    nested = '{"at":0,"by":"server","event":{"type":"x","deep":' + "[" * 400 + "]" * 400 + "}}\n"
    write(path, {"session.json": about(), "events.jsonl": lines() + nested})


def no_beginning(path):
    sent = {"at": 0, "by": "us", "event": {"type": "response.create"}}
    write(path, {"session.json": about(), "events.jsonl": json.dumps(sent) + "\n"})


def nothing_at_all(path):
    write(path, {"session.json": about(), "events.jsonl": ""})


def a_late_beginning(path):
    asked = {"at": 0, "by": "us", "event": {"type": "session.update", "session": {}}}
    write(path, {"session.json": about(), "events.jsonl": json.dumps(asked) + "\n" + lines()})


def twice_the_same(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("session.json", about())
        archive.writestr("events.jsonl", lines())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("events.jsonl", lines())


def packed_in_another_way(path):
    write(path, {"session.json": about(), "events.jsonl": lines()}, zipfile.ZIP_LZMA)


def with_(**fields):
    def make(path):
        write(path, {"session.json": about(**fields), "events.jsonl": lines(), "heard.flac": b"fLaC"})

    return make


def with_line(text):
    def make(path):
        write(path, {"session.json": about(), "events.jsonl": lines() + text + "\n"})

    return make


def a_place_in_an_event_without_audio(path):
    soundfile.write(path.with_suffix(".flac"), np.zeros(24_000, "<i2"), RATE_HZ)
    heard = path.with_suffix(".flac").read_bytes()
    files = {"session.json": about(sizes={"heard": 48_000}), "heard.flac": heard}
    write(
        path, {**files, "events.jsonl": lines({"at": 0, "by": "us", "sound": ["heard", 0, 9], "event": {"type": "x"}})}
    )


TOO_LARGE = [
    a_bomb_of_text, lists_in_lists, one_long_line, a_million_tiny_events, blank_lines, eight_gigabytes_said_whole,
    a_track_of_zeros, one_sound_a_thousand_times, one_sound_a_thousand_times_inside, one_picture_a_thousand_times,
    a_picture_of_600_mb, twenty_pictures, settings_of_600_mb,
]  # fmt: skip
DAMAGED = [
    eight_gigabytes_said, more_said_than_there, many_channels, a_lie_about_the_unpacked_size, a_list_of_gigabytes, deep,
    rather_deep, twice_the_same, packed_in_another_way,
]  # fmt: skip
NO_BEGINNING = [no_beginning, nothing_at_all, a_late_beginning]
SMALL_LIES = {
    "sizes below 0": with_(sizes={"heard": -1}),
    "sizes true": with_(sizes={"heard": True}),
    "sizes text": with_(sizes={"heard": "9"}),
    "sizes a list": with_(sizes=[1]),
    "sizes null": with_(sizes=None),
    "another track": with_(sizes={"else": 10}),
    "sizes NaN": with_(sizes={"heard": float("nan")}),
    "sizes of 400 digits": with_(sizes={"heard": 10**400}),
    "no sound": with_(sizes={"heard": 10}, sound="../heard"),
    "version text": with_(version="one"),
    "version a list": with_(version=[]),
    "time NaN": with_line('{"at": NaN, "by": "server", "event": {"type": "x"}}'),
    "time infinite": with_line('{"at": 1e999, "by": "server", "event": {"type": "x"}}'),
    "time before": with_line('{"at": -5, "by": "server", "event": {"type": "x"}}'),
    "time in a year": with_line('{"at": 3e7, "by": "server", "event": {"type": "x"}}'),
    "time a list": with_line('{"at": [], "by": "server", "event": {"type": "x"}}'),
    "a line that is a list": with_line("[1]"),
    "a line that is null": with_line("null"),
    "type a number": with_line('{"at": 0, "by": "server", "event": {"type": 5}}'),
    "a place outside": with_line('{"at": 0, "by": "us", "sound": ["heard", 0, 5], "event": {"type": "x"}}'),
    "a place backwards": with_line('{"at": 0, "by": "us", "sound": ["heard", 5, 0], "event": {"type": "x"}}'),
    "a place of fractions": with_line('{"at": 0, "by": "us", "sound": ["heard", 0.0, 0.0], "event": {"type": "x"}}'),
    "a place of two": with_line('{"at": 0, "by": "us", "sound": ["heard", 0], "event": {"type": "x"}}'),
    "a place inside": with_line('{"at": 0, "by": "us", "event": {"type": "x", "audio": {"sound": ["more", 0, 9]}}}'),
    "a place in an event without audio": a_place_in_an_event_without_audio,
    "a place of lists": with_line('{"at": 0, "by": "us", "sound": [[], 0, 0], "event": {"type": "x"}}'),
}


def named(makers):
    return [pytest.param(make, id=make.__name__) for make in makers]


def opened_by_a_child(path):
    said = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, timeout=300)
    assert said.stderr == ""
    grown, seconds, what = said.stdout.split(" ", 2)
    assert int(grown) <= MOST_MB, said.stdout
    assert int(seconds) <= 60, said.stdout
    return what


@pytest.mark.parametrize(
    ("make", "says"),
    [
        *[pytest.param(make, "is larger than rtnb reads", id=make.__name__) for make in TOO_LARGE],
        *[pytest.param(make, "is no recording of a session", id=make.__name__) for make in DAMAGED],
    ],
)
def test_a_file_made_to_fill_the_memory_is_refused_before_it_does(make, says, tmp_path):
    make(tmp_path / "x.rtnb")
    what = opened_by_a_child(tmp_path / "x.rtnb")
    assert what.startswith("ReplayError: ")
    assert "x.rtnb" in what
    assert says in what


def test_a_track_that_is_longer_than_it_says_is_read_as_far_as_it_says(tmp_path):
    an_hour_of_silence(tmp_path / "x.rtnb")
    assert opened_by_a_child(tmp_path / "x.rtnb").startswith("opened")
    assert open_recording(tmp_path / "x.rtnb").tracks["heard"].size == 1 << 20


def test_an_hour_of_talk_is_read(tmp_path):
    """As dense as events come: an append each 40 ms, and an answer half of the time."""
    size = 3600 * 48_000
    sent = [appended(n * 1920, (n + 1) * 1920, at=n * 0.04) for n in range(90_000)]
    for one in sent:
        one["event"] |= {"event_id": "event_0123456789abcdefghij", "audio": ""}
    ids = {f"{name}_id": f"{name}_0123456789abcdefghij" for name in ("event", "response", "item")}
    delta = {"type": "response.output_audio.delta", **ids, "output_index": 0, "content_index": 0, "delta": ""}
    spoken = {"by": "server", "event": delta}
    got = [{"at": n * 0.2, "sound": ["spoken", n * 4800, (n + 1) * 4800], **spoken} for n in range(18_000)]
    flac = silence(tmp_path / "x.flac", 3600)
    sizes = {"heard": size, "spoken": size // 2}
    files = {"session.json": about(sizes=sizes), "events.jsonl": lines(*sent, *got)}
    write(tmp_path / "x.rtnb", {**files, "heard.flac": flac, "spoken.flac": flac}, zipfile.ZIP_STORED)
    assert opened_by_a_child(tmp_path / "x.rtnb").startswith("opened")


@pytest.mark.parametrize("make", named(NO_BEGINNING))
def test_a_recording_without_its_beginning_is_refused_and_not_waited_for(make, tmp_path):
    make(tmp_path / "x.rtnb")
    with pytest.raises(ReplayError, match=r"x\.rtnb does not begin with .*session\.created"):
        open_recording(tmp_path / "x.rtnb")


@pytest.mark.parametrize("make", SMALL_LIES.values(), ids=SMALL_LIES)
def test_what_cannot_be_is_refused_in_words(make, tmp_path):
    make(tmp_path / "x.rtnb")
    with pytest.raises(ReplayError, match=r"x\.rtnb is (no recording|larger)"):
        open_recording(tmp_path / "x.rtnb")


def test_what_is_no_file_is_not_opened(tmp_path):
    for path in (tmp_path, "/dev/zero", "/dev/stdin", f"{tmp_path}/\0"):
        with pytest.raises(ReplayError, match=r"cannot be read: .+ Check the path\."):
            open_recording(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.rtnb")
    with pytest.raises(ReplayError, match="it is no file"):
        open_recording(tmp_path / "x.rtnb")
