"""Find where a recording ends by its own structure, and how much of it has been cut off."""

import io
import os
import re
import struct
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from rtnb.audio.formats import Seekable, after_tags, bytes_at, joint_in, mpeg_length, mpeg_rate, sniff

_Order = Literal["big", "little"]

# Headers written before the length was known say one of these, or something close to the signed or unsigned maximum.
_STREAMED_FROM = 0x7FFF_0000


def _chunks(
    file: Seekable, at: int, *, name: int = 4, size: int = 4, order: _Order = "big", pad: int = 2, own: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """Walk the chunks of a file.

    Args:
        file: A seekable binary file; its position is moved.
        at: Where the first chunk begins.
        name: Bytes of a chunk's name, which comes first.
        size: Bytes of its size, which comes next.
        order: The byte order of the size.
        pad: Chunks begin at multiples of so many bytes.
        own: Bytes of the chunk's header that its size counts.

    Yields:
        A chunk's name, the size of its body in bytes as written, and where its body begins.
    """
    for _ in range(1000):
        head = bytes_at(file, at, name + size)
        body = int.from_bytes(head[name:], order) - own
        if len(head) < name + size or body < 0:
            return
        start = at + name + size
        yield head[:name], body, start
        at = start + body + -body % pad


class WavHeader(NamedTuple):
    """Header of a wav file.

    Attributes:
        form: The body of the `fmt ` chunk. Empty where there is none.
        numbers: Kind of samples, channels, samples and bytes per second, bytes and bits of a sample, as written.
        data_bytes: How many bytes of audio there should be. None where the header was written before that was known.
        present_bytes: Bytes of audio that there are.
        stretches: Where each piece of audio begins and ends; more than one where it is interrupted by other chunks.
        streamed: The audio goes on beyond the length in the header.
        order: The byte order, as `struct` names it.
    """

    form: bytes
    numbers: tuple[int, int, int, int, int, int]
    data_bytes: int | None
    present_bytes: int
    stretches: tuple[tuple[int, int], ...]
    streamed: bool
    order: str

    def plain(self) -> tuple[str, bytes]:
        """Return a header that FFmpeg reads, and the name of its demuxer for it.

        By the file's own it would take big-endian samples for little-endian ones, those with fewer bits than their
        container (24 in 32) for narrower ones, and only the last of several pieces of audio.
        """
        tag, channels, rate_hz, rate, width, bits = self.numbers
        kind = int.from_bytes(self.form[24:26], "little") if tag == _EXTENSIBLE else tag
        if kind == 1 and channels and 8 * width // channels in (8, 16, 24, 32):
            bits = 8 * width // channels
        size = min(self.data_bytes or _UNKNOWN, _UNKNOWN)
        if self.order == ">" and bits > 8:
            return "au", struct.pack(">4s5I", b".snd", 24, size, _AU_CODES.get((kind, bits), 0), rate_hz, channels)
        form = struct.pack("<HHIIHH", tag, channels, rate_hz, rate, width, bits) + self.form[16:]
        if tag == _EXTENSIBLE:
            form = form[:18] + struct.pack("<H", bits) + form[20:]
        begins = struct.pack("<4sI8sI", b"RIFF", _UNKNOWN, b"WAVEfmt ", len(form))
        return "wav", begins + form + struct.pack("<4sI", b"data", size)


_EXTENSIBLE, _UNKNOWN = 0xFFFE, 0xFFFF_FFFF
# A wav file's way of writing samples and their bits → the same in an au file, where they are big-endian.
_AU_CODES = {(1, 16): 3, (1, 24): 4, (1, 32): 5, (3, 32): 6, (3, 64): 7}


def wav_header(file: Seekable) -> WavHeader:
    """Walk the chunks of a wav file (RIFF, RIFX, RF64, BW64).

    Args:
        file: A seekable binary file beginning with a RIFF header; its position is moved.
    """
    end = file.seek(0, os.SEEK_END)
    order: _Order = "big" if bytes_at(file, 0, 4) == b"RIFX" else "little"
    form, long_size, wrong, sizes, stretches = b"", 0, False, list[int](), list[tuple[int, int]]()
    for kind, size, start in _chunks(file, 12, order=order):
        if kind == b"fmt " and not form:
            form = bytes_at(file, start, min(size, 4096) & ~1)
        elif kind == b"ds64":
            long_size = int.from_bytes(bytes_at(file, start + 8, 8), "little")
        elif kind in (b"RIFF", b"RIFX", b"RF64") and stretches:
            break  # another file
        elif kind == b"data":
            size = long_size if size == _UNKNOWN and long_size else size
            after = bytes_at(file, start + size + (size & 1), 16_384)
            goes_on = size < end - start - 8 and not re.match(rb"[ -~]{4}", after)
            unknown = size == 0 or (size >= _STREAMED_FROM and size > end - start and not long_size)
            wrong = unknown or (goes_on and not sniff(io.BytesIO(after), proofs=4))
            sizes.append(0 if unknown else size)
            stretches.append((start, end if wrong else min(start + size, end)))
            if wrong or goes_on or long_size:
                break
    byte_order, present = "<>"[order == "big"], sum(stop - start for start, stop in stretches)
    numbers = struct.unpack(f"{byte_order}HHIIHH", form[:16].ljust(16, b"\0"))
    declared = sum(sizes) if all(sizes) else None
    return WavHeader(form, numbers, declared, present, tuple(stretches), wrong, byte_order)


class Shape(NamedTuple):
    """Completeness of a file.

    Attributes:
        missing: How much of the audio's bytes is cut off for each that is there. None where the format does not say.
        certain_end: The file's own structure shows where it should end (so a shorter duration means it was cut).
        fault: What is wrong with it at large, in a few words. "" where nothing is.
        seconds: How long its header says it is, for sure. None where it does not.
        end: Where in the file it ends by its structure. 0 where this does not say.
    """

    missing: float | None = None
    certain_end: bool = False
    fault: str = ""
    seconds: float | None = None
    end: int = 0

    def ends_in(self, file: Seekable) -> bool:
        """Return whether it ends there indeed, as the file or what follows in it shows."""
        last = bytes_at(file, self.end - 1, 16_384) if self.end else b""
        return len(last) == 1 or joint_in(last[1:], "", 0, 1) == 0


def shape_of(file: Seekable, demuxer: str) -> Shape:
    """Find out where a recording ends, and whether its end has been cut off.

    Args:
        file: A seekable binary file; its position is moved.
        demuxer: Its container, as `sniff` names it.
    """
    end = file.seek(0, os.SEEK_END)
    if demuxer in ("wav", "rifx"):
        wav = wav_header(file)
        return _from_sizes(wav.data_bytes, 0, wav.present_bytes)._replace(end=0)
    if demuxer == "au" and len(head := bytes_at(file, 4, 8)) == 8:
        offset, size = struct.unpack(">II", head)
        return _from_sizes(size if size < _STREAMED_FROM else None, offset, end)
    if demuxer == "avi":
        size = int.from_bytes(bytes_at(file, 4, 4), "little") + 8
        return Shape(fault="its end is missing" * (size > end), end=size)
    if demuxer in _CHUNKED:
        begins, wanted, streamed_from, form = _CHUNKED[demuxer]
        for kind, size, start in _chunks(file, begins, **form):
            if kind.startswith(wanted):
                return _from_sizes(None if size >= streamed_from else size, start, end)
    look = {"mov": _atoms, "matroska": _segment, "ogg": _pages, "mp3": _xing}.get(demuxer)
    return look(file, end) if look else Shape(certain_end=demuxer in ("flac", "wv"))


def _from_sizes(declared: int | None, start: int, stop: int) -> Shape:
    if not declared or stop <= start:
        return Shape()
    return Shape(missing=max(0.0, declared / (stop - start) - 1), end=start + declared)


# Where the first chunk is, the chunk with the audio, the size from which it was not known, and how chunks are written.
_CHUNKED: dict[str, tuple[int, bytes, int, dict[str, Any]]] = {
    "aiff": (12, b"SSND", _STREAMED_FROM, {}),
    "caf": (8, b"data", 1 << 62, {"size": 8, "pad": 1}),
    "w64": (40, b"data", 1 << 62, {"name": 16, "size": 8, "order": "little", "pad": 8, "own": 24}),
}


def _xing(file: Seekable, end: int) -> Shape:
    """Look at an mp3 file's Xing header, which says how many frames it has; without one its duration is a guess."""
    first = bytes_at(file, after_tags(file), 512)
    found = re.match(rb".{13,36}?(Xing|Info)...[\1\3\5\7\x09\x0b\x0d\x0f](....)", first, re.DOTALL)
    if not found or not mpeg_length(first, 0):
        return Shape()
    frame = 1152 if first[1] >> 3 & 3 == 3 else 576
    # Up to 3,456 samples are what an encoder puts before and behind the audio.
    samples = int.from_bytes(found[2], "big") * frame - 3_456
    return Shape(certain_end=True, seconds=max(0, samples) / mpeg_rate(first, 0))


def _atoms(file: Seekable, end: int) -> Shape:
    """Look at the top-level atoms of an mp4, m4a or mov file (ISO/IEC 14496-12)."""
    at, size, found = 0, 8, set[bytes]()
    while size >= 8 and len(head := bytes_at(file, at, 16)) >= 8:  # 0 is "to the end of the file"
        if (head[4:8] == b"ftyp" and b"moov" in found) or not re.match(rb"[ -~\xa9]{4}", head[4:8]):
            break
        found.add(head[4:8])
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        at = at + size if size else end
    if b"moov" not in found:
        return Shape(fault="it has no moov atom, so it was cut off before the recording was finished")
    return Shape(certain_end=at > end, end=at)


def _segment(file: Seekable, end: int) -> Shape:
    """Look at the one Segment of a webm or mkv file, whose size is all ones where it was recorded live (RFC 8794)."""
    # Writers leave eight bytes for the size, whatever it is; of another one nothing is known.
    head = bytes_at(file, 0, 4096)
    found = re.search(rb"\x18\x53\x80\x67\x01(.{7})", head[: head.find(head[:4], 4)], re.DOTALL)
    its_end = found.end() + int.from_bytes(found[1], "big") if found else 0
    return Shape(certain_end=end < its_end < 1 << 56, end=its_end)


def _last_page(file: Seekable) -> bytes:
    """Return the last page of an ogg file, without the four bytes it begins with. Empty where there is none."""
    end = file.seek(0, os.SEEK_END)
    return bytes_at(file, max(0, end - 131_072), 131_072).rpartition(b"OggS")[2]


def last_granule(file: Seekable) -> int:
    """Return the last position that an ogg file has, in its codec's own unit."""
    return int.from_bytes(_last_page(file)[2:10], "little", signed=True)


def _pages(file: Seekable, end: int) -> Shape:
    """Look at the last page of an ogg file, which carries the mark "end of stream" (RFC 3533) unless it was cut off."""
    page = _last_page(file)
    whole = len(page) > 22 and page[1] & 4 and len(page) >= 23 + page[22] + sum(page[23 : 23 + page[22]])
    return Shape(fault="" if whole else "its end is missing")
