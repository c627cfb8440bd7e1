"""The log keeps events to the letter and their sound outside memory."""

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc

import pytest

from rtnb.protocol import frames
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.entry import Spool
from rtnb.protocol.log import Log


def test_an_event_comes_back_to_the_letter_with_its_sound():
    log = Log()
    delta = {
        "type": "response.output_audio.delta",
        "event_id": "e",
        "item_id": "i",
        "delta": frames.encode_audio(b"abc"),
    }
    entry = log.received({**delta}, 1.5)
    assert entry.event == delta
    assert entry.sound == b"abc"
    assert entry.sound_bytes == 3
    assert entry.brief["delta"] == "<3 bytes of sound>"
    assert repr(entry) == "   1.500 s ← response.output_audio.delta"


def test_what_we_append_and_what_came_are_kept_apart_and_whole():
    log = Log()
    for piece in (b"one", b"two"):
        log.appended("e", piece, 0.0)
        log.received({"type": "response.output_audio.delta", "delta": frames.encode_audio(piece.upper())}, 0.0)
    assert log.heard.read(0, 99) == b"onetwo"
    assert [entry.sound for entry in log] == [b"one", b"ONE", b"two", b"TWO"]
    assert repr(log) == "Log(2 events sent, 2 received)"


def test_an_event_whose_sound_is_no_base64_is_kept_as_it_came():
    log = Log()
    broken = {"type": "response.output_audio.delta", "delta": "not base64!"}
    assert log.received(broken, 0.0).event == broken


def test_unknown_events_are_kept():
    log = Log()
    assert log.received({"type": "response.brand_new", "x": 1}, 0.0).event == {"type": "response.brand_new", "x": 1}
    assert [entry.type for entry in log] == ["response.brand_new"]
    assert log[-1].type == log[0:1][0].type


def test_an_hour_of_sound_does_not_live_in_memory():
    log = Log()
    second = bytes(48_000)
    tracemalloc.start()
    for _ in range(600):
        log.appended("event", second, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert log.heard.size == 28_800_000
    assert peak < 6_000_000


def test_a_spool_is_read_while_it_is_written():
    spool = Spool()
    seen = []

    def read() -> None:
        while spool.size < 3_000_000:
            seen.append(spool.read(0, 10))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3_000):
        spool.write(b"0123456789" * 100)
    reader.join(10)
    assert set(seen) <= {b"", b"0123456789"}
    assert spool.read(-5, 3) == b"012"
    assert spool.read(2_999_995, 4_000_000) == b"56789"
    assert spool.read(10, 5) == b""


def test_a_spool_is_read_alike_where_it_is_on_disk_and_where_it_is_not_yet():
    spool, whole = Spool(), b""
    for number in range(2_000):
        line = b"%d " % number * 40 + b"\n"
        assert spool.write(line) == len(whole)
        whole += line
        assert spool.line(len(whole) - len(line)).rstrip() == line.rstrip()
    starts = [0, *(at + 1 for at, byte in enumerate(whole[:-1]) if byte == 10)]
    assert [spool.line(start).rstrip() for start in starts[::50]] == [
        whole[start : whole.index(b"\n", start)].rstrip() for start in starts[::50]
    ]
    assert spool.read(0, spool.size) == whole  # also across the border between the two
    assert spool.read(len(whole) - 5, len(whole) + 5) == whole[-5:]
    spool.write(b"more")
    assert spool.read(len(whole) - 5, spool.size) == whole[-5:] + b"more"


def test_the_audio_of_an_answer_is_kept_once():
    log = Log()
    talk = Conversation(sounds=log.spoken)
    answer = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    talk.apply({"type": "response.created", "response": {"id": "r", "status": "in_progress"}})
    for number in range(50):
        piece = bytes([number]) * 12_000
        delta = {"type": "response.output_audio.delta", "delta": "", **answer}
        log.received(delta, 0.0, piece)
        talk.apply(delta, 0.0, piece)
    assert log.spoken.size == 50 * 12_000
    assert talk.turn("i").pcm == b"".join(bytes([number]) * 12_000 for number in range(50))


def fill_the_disk(monkeypatch, room_bytes):
    """Let the disk take so many bytes, each write a part of what it is given, and then refuse."""
    left, write = [room_bytes], os.write

    def full(descriptor, data):
        if not isinstance(data, bytearray):
            return write(descriptor, data)
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = write(descriptor, data[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", full)
    return left


@pytest.mark.parametrize("room_bytes", [0, 1_000, 200_001])
def test_what_a_full_disk_does_not_take_stays_in_memory(monkeypatch, room_bytes):
    left = fill_the_disk(monkeypatch, room_bytes)
    spool, lines = Spool(), [b"%d " % number * 100 + b"\n" for number in range(2_000)]
    starts = [spool.write(line) for line in lines]
    assert [spool.line(start) for start in starts] == [line.rstrip(b"\n") for line in lines]
    assert spool.read(0, spool.size) == b"".join(lines)
    left[0] = 1 << 30  # somebody makes room
    starts += [spool.write(line) for line in lines]
    assert [spool.line(start) for start in starts] == [line.rstrip(b"\n") for line in lines] * 2
    assert left[0] < 1 << 30


def test_without_a_place_for_temporary_files_the_log_goes_on(monkeypatch):
    def nowhere(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    log = Log()
    for number in range(30):
        log.appended(f"e{number}", bytes([number]) * 48_000, 0.0)
    assert [entry.sound for entry in log] == [bytes([number]) * 48_000 for number in range(30)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_reads_without_moving_what_its_parent_writes():
    spool, lines = Spool(), [b"%d " % number * 100 + b"\n" for number in range(6_000)]
    starts = [spool.write(line) for line in lines[:3_000]]
    if not (child := os.fork()):
        wrong = 1
        with contextlib.suppress(BaseException):
            wrong = sum(
                spool.line(start) + b"\n" != line for start, line in zip(starts * 5, lines[:3_000] * 5, strict=True)
            )
        os._exit(min(wrong, 1))
    starts += [spool.write(line) for line in lines[3_000:]]
    assert os.waitpid(child, 0)[1] == 0
    assert spool.read(0, spool.size) == b"".join(lines)


def test_a_last_line_without_its_end_is_read_whole():
    spool = Spool()
    spool.write(b"one\ntwo")
    assert (spool.line(0), spool.line(4), spool.line(7)) == (b"one", b"two", b"")


def test_a_program_reads_the_log_while_it_ends():
    program = """
import atexit
from rtnb.protocol.entry import Spool
atexit.register(lambda: print(len(spool.read(0, 1 << 20))))
spool = Spool()
spool.write(bytes(1 << 20))
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1048576\n", "")
