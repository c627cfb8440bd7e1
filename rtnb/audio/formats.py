"""Recognise a recording from its bytes alone: the container, and how much of it has been cut off.

A file's ending lies too often (an m4a saved as .wav, a web page saved as .mp3), and a decoder that guesses will
find music in random bytes. So only what is recognised here is handed to a decoder.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

READABLE = "wav, flac, mp3, ogg, opus, m4a, aac, mp4 and other video with sound, webm, aiff, au, caf, wma and amr"

_Order = Literal["big", "little"]

# FFmpeg's demuxer → how a file for it begins; the first that fits counts. "" is a container without sound.
_BEGINNINGS = {
    "rifx": rb"RIFX....WAVE",
    "wav": rb"(RIFF|RF64|BW64)....WAVE",
    "avi": rb"(RIFF|RF64|BW64)....AVI ",
    "aiff": rb"FORM....AIF[FC]",
    "": rb"RIF[XF]|RF64|BW64|FORM",
    "flac": rb"fLaC",
    "ogg": rb"OggS",
    "matroska": rb"\x1a\x45\xdf\xa3",
    "au": rb"\.snd",
    "caf": rb"caff",
    "amr": rb"#!AMR",
    "flv": rb"FLV\x01",
    "nistsphere": rb"NIST_1A",
    "voc": rb"Creative Voice",
    "wv": rb"wvpk",
    "mpeg": rb"\x00\x00\x01\xba",
    "asf": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
    "w64": rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",
    "mov": rb"....(ftyp|moov|mdat|free|skip|wide|pnot|styp|moof|uuid|sidx)",
    "mpegts": rb"G.{187}G.{187}G",
}

# Headers written before the length was known say one of these, or something close to the signed or unsigned maximum.
_STREAMED_FROM = 0x7FFF_0000


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    if position >= 1 << 60:  # a broken length; some systems refuse even to seek there
        return b""
    file.seek(position)
    return file.read(count)


def _id3_length(head: bytes) -> int:
    """Return the length of an ID3v2 tag, 0 where none begins here; its size has seven bits to the byte."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _chunks(
    file: BinaryIO, at: int, *, name: int = 4, size: int = 4, order: _Order = "big", pad: int = 2, own: int = 0
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
        head = _at(file, at, name + size)
        body = int.from_bytes(head[name:], order) - own
        if len(head) < name + size or body < 0:
            return
        start = at + name + size
        yield head[:name], body, start
        at = start + body + -body % pad


def sniff(file: BinaryIO, *, proofs: int = 2) -> str | None:
    """Name the container by its first bytes.

    Args:
        file: A seekable binary file; its position is moved.
        proofs: Frames in a row that prove a format which has no magic number, at the very beginning.

    Returns:
        The name of FFmpeg's demuxer for it, such as `"wav"` or `"mov"`, or "rifx" for a big-endian wav. None where
        nothing is recognised.
    """
    head = _at(file, 0, 16)
    start = 0
    while length := _id3_length(head):
        start += length + (10 if head[5] & 0x10 else 0)
        head = _at(file, start, 16)
    body = _at(file, start, 65_536)
    begins = (demuxer for demuxer, pattern in _BEGINNINGS.items() if re.match(pattern, body, re.DOTALL))
    found = next(begins, None)
    return _sniff_frames(body, proofs) if found is None else found or None


def _sniff_frames(body: bytes, proofs: int) -> str | None:
    """Find MPEG audio or ADTS frames, which have no magic number: a chain of headers that point to each other."""
    zeros = len(body) - len(body.lstrip(b"\0"))
    for start in range(zeros, min(len(body) - 7, zeros + 4096)):
        if body[start] != 0xFF:
            continue
        for demuxer, length_of in (("aac", _adts_length), ("mp3", _mpeg_length)):
            # At the very beginning fewer frames are proof enough; further on chance needs more to be ruled out.
            wanted, found, position = (proofs if start == zeros else 4), 0, start
            while found < wanted and (length := length_of(body, position)):
                found, position = found + 1, position + length
            if found >= wanted or (found and start == zeros and proofs == 2 and position >= len(body)):
                return demuxer
    return None


def _adts_length(body: bytes, at: int) -> int:
    """Return the length of the ADTS frame at `at`, 0 where there is none (ISO/IEC 13818-7)."""
    if at + 7 > len(body) or body[at] != 0xFF or body[at + 1] & 0xF6 != 0xF0 or (body[at + 2] >> 2) & 15 > 12:
        return 0
    length = (body[at + 3] & 3) << 11 | body[at + 4] << 3 | body[at + 5] >> 5
    return length if length > 7 else 0


_KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mpeg_length(body: bytes, at: int) -> int:
    """Return the length of the MPEG audio frame at `at`, 0 where there is none (ISO/IEC 11172-3 and 13818-3)."""
    if at + 4 > len(body) or body[at] != 0xFF or body[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = body[at + 1] >> 3 & 3, body[at + 1] >> 1 & 3  # version 3 = MPEG-1; layer 3 = Layer I
    bitrate, rate = body[at + 2] >> 4, body[at + 2] >> 2 & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return 0
    table = _KBITS[3, layer] if version == 3 else _KBITS[2, 3 if layer == 3 else 2]
    rate_hz = (44_100, 48_000, 32_000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    padding = body[at + 2] >> 1 & 1
    bits = table[bitrate - 1] * 1000
    if layer == 3:
        return (12 * bits // rate_hz + padding) * 4
    return (72 if layer == 1 and version != 3 else 144) * bits // rate_hz + padding


def looks_like(file: BinaryIO) -> str:
    """Say in a few words what a file that is no recording is instead.

    Args:
        file: A seekable binary file; its position is moved.

    Returns:
        A phrase that completes "it is …", for example `"a web page"`.
    """
    head = _at(file, 0, 1024)
    if not head:
        return "empty"
    if not head.strip(b"\0"):
        return "nothing but zeros at its beginning"
    for magic, what in (
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a zip archive (or an office document)"),
        (b"\x1f\x8b", "a gzip archive"),
        ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture"),
        (b"MThd", "MIDI: notes, not sound"),
        (b"RIFF", "a RIFF file without sound"),
    ):
        if head.startswith(magic):
            return what
    try:
        # A character may be cut in two where the head ends.
        text = head.decode("utf-8", "strict" if len(head) < 1024 else "ignore").lstrip("\ufeff \t\r\n").lower()
    except UnicodeDecodeError:
        return "no sound file that rtnb knows"
    if text.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in text[:300]:
        return "a web page, not a recording (often a login or an error page saved under the recording's name)"
    if re.search(r"[^ -\U0010ffff\t\r\n\f\x1b]", text) or len(text.encode()) <= 0.7 * len(head):
        return "no sound file that rtnb knows"
    if text.startswith("version https://git-lfs"):
        return "a Git LFS pointer: the recording itself was not downloaded"
    return "JSON text" if text[0:1] in "{[" else "XML" if text.startswith("<") else "plain text"


class WavHeader(NamedTuple):
    """Header of a wav file.

    Attributes:
        channels: As written, 0–65535. None where there is no `fmt ` chunk.
        rate_hz: As written. None where there is no `fmt ` chunk.
        data_bytes: How many bytes of audio there should be. None where the header was written before that was known.
        present_bytes: How many there are from the beginning of the audio to the end of the file.
        length_is_wrong: The audio goes on beyond the length in the header.
    """

    channels: int | None
    rate_hz: int | None
    data_bytes: int | None
    present_bytes: int
    length_is_wrong: bool


def wav_header(file: BinaryIO) -> WavHeader:
    """Walk the chunks of a wav file (RIFF, RIFX, RF64, BW64) up to its audio.

    Args:
        file: A seekable binary file beginning with a RIFF header; its position is moved.
    """
    end = file.seek(0, os.SEEK_END)
    order: _Order = "big" if _at(file, 0, 4) == b"RIFX" else "little"
    channels = rate_hz = long_size = None
    for kind, size, start in _chunks(file, 12, order=order):
        if kind == b"fmt " and len(body := _at(file, start, 8)) == 8:
            channels, rate_hz = int.from_bytes(body[2:4], order), int.from_bytes(body[4:], order)
        elif kind == b"ds64" and len(body := _at(file, start, 16)) == 16:
            long_size = int.from_bytes(body[8:], "little")
        elif kind == b"data":
            present = max(end - start, 0)
            if size == 0xFFFF_FFFF and long_size is not None:
                size = long_size
            unknown = size == 0 or (size >= _STREAMED_FROM and size > present and long_size is None)
            after = _at(file, start + size + (size & 1), 4)
            wrong = unknown or (size < present - 8 and not re.fullmatch(rb"[ -~]{4}", after))
            return WavHeader(channels, rate_hz, None if unknown else size, present, wrong and present > 0)
    return WavHeader(channels, rate_hz, None, 0, False)


class Shape(NamedTuple):
    """Completeness of a file.

    Attributes:
        missing: The part of the audio's bytes that is cut off, 0.0–1.0. None where the format does not say.
        certain_end: The file's own structure shows where it should end (so a shorter duration means it was cut).
        fault: What is wrong with it at large, in a few words. "" where nothing is.
    """

    missing: float | None = None
    certain_end: bool = False
    fault: str = ""


def shape_of(file: BinaryIO, demuxer: str) -> Shape:
    """Find out whether the end of a recording has been cut off.

    Args:
        file: A seekable binary file; its position is moved.
        demuxer: Its container, as `sniff` names it.
    """
    end = file.seek(0, os.SEEK_END)
    if demuxer in ("wav", "rifx"):
        wav = wav_header(file)
        return _from_sizes(wav.data_bytes, wav.present_bytes)
    if demuxer == "au" and len(head := _at(file, 4, 8)) == 8:
        offset, size = struct.unpack(">II", head)
        return _from_sizes(size if size < _STREAMED_FROM else None, end - offset)
    if demuxer == "mp3":
        # Only a Xing, Info or VBRI header says how long an mp3 should be; else the duration is a guess from its size.
        first = _at(file, _id3_length(_at(file, 0, 10)), 512)
        return Shape(certain_end=any(tag in first for tag in (b"Xing", b"Info", b"VBRI")))
    if demuxer in _CHUNKED:
        begins, wanted, streamed_from, form = _CHUNKED[demuxer]
        for kind, size, start in _chunks(file, begins, **form):
            if kind.startswith(wanted):
                return _from_sizes(None if size >= streamed_from else size, end - start)
    look = {"mov": _atoms, "matroska": _segment, "ogg": _pages}.get(demuxer)
    return look(file, end) if look else Shape(certain_end=demuxer == "flac")


def _from_sizes(declared: int | None, present: int) -> Shape:
    if not declared or present < 0:
        return Shape()
    return Shape(missing=max(0.0, 1 - present / declared), certain_end=True)


# Where the first chunk is, the chunk with the audio, the size from which it was not known, and how chunks are written.
_CHUNKED: dict[str, tuple[int, bytes, int, dict[str, Any]]] = {
    "aiff": (12, b"SSND", _STREAMED_FROM, {}),
    "caf": (8, b"data", 1 << 62, {"size": 8, "pad": 1}),
    "w64": (40, b"data", 1 << 62, {"name": 16, "size": 8, "order": "little", "pad": 8, "own": 24}),
}


def _atoms(file: BinaryIO, end: int) -> Shape:
    """Look at the top-level atoms of an mp4, m4a or mov file (ISO/IEC 14496-12)."""
    at, found, cut = 0, set(), False
    for _ in range(100_000):
        head = _at(file, at, 16)
        if len(head) < 8:
            break
        size = int.from_bytes(head[:4], "big")
        found.add(head[4:8])
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        cut = at + size > end
        if cut or size < 8:  # 0 is "to the end of the file"
            break
        at += size
    if b"moov" not in found:
        return Shape(fault="it has no moov atom, so it was cut off before the recording was finished")
    return Shape(certain_end=cut)


def _segment(file: BinaryIO, end: int) -> Shape:
    """Look at the one Segment of a webm or mkv file, whose size is all ones where it was recorded live (RFC 8794)."""

    def number(at: int) -> tuple[int, int, bool]:
        raw = _at(file, at, 8)
        width = 9 - raw[0].bit_length() if raw and raw[0] else 0
        if not width or len(raw) < width:
            return 0, 0, True
        mask = (1 << 7 * width) - 1
        value = int.from_bytes(raw[:width], "big") & mask
        return value, width, value == mask

    size, width, unknown = number(4)
    at = 4 + width + size
    if unknown or _at(file, at, 4) != b"\x18\x53\x80\x67":
        return Shape()
    size, width, unknown = number(at + 4)
    return Shape(certain_end=not unknown and at + 4 + width + size > end)


def _pages(file: BinaryIO, end: int) -> Shape:
    """Look at the last page of an ogg file, which carries the mark "end of stream" (RFC 3533) unless it was cut off."""
    tail = _at(file, max(0, end - 131_072), 131_072)
    _, found, page = tail.rpartition(b"OggS")  # `page` begins after these four bytes
    whole = found and len(page) > 22 and page[1] & 4 and len(page) >= 23 + page[22] + sum(page[23 : 23 + page[22]])
    return Shape(fault="" if whole else "its end is missing")
