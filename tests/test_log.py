"""The log keeps events to the letter and their sound outside memory."""

import threading
import tracemalloc

from rtnb.protocol import frames
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
