"""What a recording is, told from its bytes alone: the container, and how much of it has been cut off.

A file's ending lies too often (an m4a saved as .wav, a web page saved as .mp3), and a decoder that guesses will
find music in random bytes. So only what is recognised here is handed to a decoder.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["READABLE", "Shape", "WavHeader", "looks_like", "shape_of", "sniff", "wav_header"]

READABLE = "wav, flac, mp3, ogg, opus, m4a, aac, mp4 and other video with sound, webm, aiff, au, caf, wma and amr"

_MOV_ATOMS = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"uuid", b"sidx"}
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")

# Headers written before the length was known say one of these, or something close to the signed or unsigned maximum.
_STREAMED_FROM = 0x7FFF_0000


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    if position >= 1 << 60:  # a broken length; some systems refuse even to seek there
        return b""
    file.seek(position)
    return file.read(count)


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def sniff(file: BinaryIO) -> str | None:
    """Name the container by its first bytes.

    Args:
        file: A seekable binary file; its position is moved.

    Returns:
        The name of FFmpeg's demuxer for it, such as `"wav"` or `"mov"`, or "rifx" for a big-endian wav. None where
        nothing is recognised.
    """
    head = _at(file, 0, 16)
    start = 0
    while head[:3] == b"ID3" and len(head) >= 10:  # ID3v2: the size has seven bits to the byte
        length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        start += 10 + length + (10 if head[5] & 0x10 else 0)
        head = _at(file, start, 16)
    if head[:4] == b"RIFX":
        return "rifx" if head[8:12] == b"WAVE" else None
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12])
    if head[:4] == b"FORM":
        return "aiff" if head[8:12] in (b"AIFF", b"AIFC") else None
    for magic, demuxer in (
        (b"fLaC", "flac"),
        (b"OggS", "ogg"),
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (b".snd", "au"),
        (b"caff", "caf"),
        (b"#!AMR", "amr"),
        (b"FLV\x01", "flv"),
        (b"NIST_1A", "nistsphere"),
        (b"Creative Voice", "voc"),
        (b"wvpk", "wv"),
        (b"\x00\x00\x01\xba", "mpeg"),
        (_ASF, "asf"),
        (_W64, "w64"),
    ):
        if head.startswith(magic):
            return demuxer
    if head[4:8] in _MOV_ATOMS:
        return "mov"
    body = _at(file, start, 65_536)
    if len(body) > 376 and body[0] == body[188] == body[376] == 0x47:
        return "mpegts"
    return _sniff_frames(body)


def _sniff_frames(body: bytes) -> str | None:
    """Find MPEG audio or ADTS frames, which have no magic number: a chain of headers that point to each other."""
    zeros = len(body) - len(body.lstrip(b"\0"))
    for start in range(zeros, min(len(body) - 7, zeros + 4096)):
        if body[start] != 0xFF:
            continue
        for demuxer, length_of in (("aac", _adts_length), ("mp3", _mpeg_length)):
            # At the very beginning two frames are proof enough; further on chance needs more to be ruled out.
            wanted, found, position = (2 if start == zeros else 4), 0, start
            while found < wanted and (length := length_of(body, position)):
                found, position = found + 1, position + length
            if found >= wanted or (found and start == zeros and position >= len(body)):
                return demuxer
    return None


def _adts_length(body: bytes, at: int) -> int:
    """Length of the ADTS frame at `at`, 0 where there is none (ISO/IEC 13818-7)."""
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
    """Length of the MPEG audio frame at `at`, 0 where there is none (ISO/IEC 11172-3 and 13818-3)."""
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
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
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
    if not any(character < " " and character not in "\t\r\n\f\x1b" for character in text) and len(
        text.encode()
    ) > 0.7 * len(head):
        if text.startswith("version https://git-lfs"):
            return "a Git LFS pointer: the recording itself was not downloaded"
        return "JSON text" if text[0:1] in "{[" else "XML" if text.startswith("<") else "plain text"
    return "no sound file that rtnb knows"


@dataclass(frozen=True)
class WavHeader:
    """What a wav file says of itself.

    Attributes:
        channels: As written, 0–65535. None where there is no `fmt ` chunk.
        rate_hz: As written. None where there is no `fmt ` chunk.
        data_bytes: How many bytes of sound there should be. None where the header was written before that was known.
        present_bytes: How many there are from the beginning of the sound to the end of the file.
        length_is_wrong: The sound goes on beyond the length in the header.
    """

    channels: int | None
    rate_hz: int | None
    data_bytes: int | None
    present_bytes: int
    length_is_wrong: bool


def wav_header(file: BinaryIO) -> WavHeader:
    """Walk the chunks of a wav file (RIFF, RIFX, RF64, BW64) up to its sound.

    Args:
        file: A seekable binary file beginning with a RIFF header; its position is moved.
    """
    end = _size(file)
    order = ">" if _at(file, 0, 4) == b"RIFX" else "<"
    channels = rate_hz = long_size = None
    at = 12
    for _ in range(1000):
        head = _at(file, at, 8)
        if len(head) < 8:
            break
        kind, size = head[:4], int(struct.unpack(f"{order}I", head[4:])[0])
        if kind == b"fmt " and len(body := file.read(8)) == 8:
            _, channels, rate_hz = struct.unpack(f"{order}HHI", body)
        elif kind == b"ds64" and len(body := file.read(16)) == 16:
            long_size = struct.unpack("<QQ", body)[1]
        elif kind == b"data":
            present = max(end - at - 8, 0)
            if size == 0xFFFF_FFFF and long_size is not None:
                size = long_size
            unknown = size == 0 or (size >= _STREAMED_FROM and size > present and long_size is None)
            after = _at(file, at + 8 + size + (size & 1), 4)
            wrong = unknown or (size < present - 8 and not (len(after) == 4 and all(32 <= c < 127 for c in after)))
            return WavHeader(channels, rate_hz, None if unknown else size, present, wrong and present > 0)
        at += 8 + size + (size & 1)
    return WavHeader(channels, rate_hz, None, 0, False)


@dataclass(frozen=True)
class Shape:
    """How whole a file is.

    Attributes:
        missing: The part of the sound's bytes that is cut off, 0.0–1.0. None where the format does not say.
        certain_end: The file's own structure shows where it should end (so a shorter duration means it was cut).
        fault: What is wrong with it at large, in a few words. "" where nothing is.
    """

    missing: float | None = None
    certain_end: bool = False
    fault: str = ""


def shape_of(file: BinaryIO, demuxer: str) -> Shape:
    """Look whether the end of a recording has been cut off.

    Args:
        file: A seekable binary file; its position is moved.
        demuxer: What `sniff` said it is.
    """
    end = _size(file)
    if demuxer in ("wav", "rifx"):
        wav = wav_header(file)
        return _from_sizes(wav.data_bytes, wav.present_bytes)
    if demuxer == "w64":
        return _chunks64(file, end)
    if demuxer == "au":
        head = _at(file, 4, 8)
        if len(head) == 8:
            offset, size = struct.unpack(">II", head)
            return _from_sizes(size if size < _STREAMED_FROM else None, end - offset)
    if demuxer in ("aiff", "caf"):
        return _chunked(file, end, demuxer)
    if demuxer == "mov":
        return _atoms(file, end)
    if demuxer == "matroska":
        return _segment(file, end)
    if demuxer == "ogg":
        return _pages(file, end)
    if demuxer == "mp3":
        head = _at(file, 0, 10)
        # Only a Xing, Info or VBRI header says how long an mp3 should be; else the duration is a guess from its size.
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        first = _at(file, start, 4096)[:512]
        return Shape(certain_end=any(tag in first for tag in (b"Xing", b"Info", b"VBRI")))
    return Shape(certain_end=demuxer == "flac")


def _from_sizes(declared: int | None, present: int) -> Shape:
    if not declared or present < 0:
        return Shape()
    return Shape(missing=max(0.0, 1 - present / declared), certain_end=True)


def _chunked(file: BinaryIO, end: int, demuxer: str) -> Shape:
    """The `SSND` chunk of an aiff, or the `data` chunk of a caf, whose lengths are 32 and 64 bits."""
    at, width, wanted = (12, 4, b"SSND") if demuxer == "aiff" else (8, 8, b"data")
    for _ in range(1000):
        head = _at(file, at, 4 + width)
        if len(head) < 4 + width:
            break
        size = int.from_bytes(head[4:], "big")
        if head[:4] == wanted:
            streamed = size >= (_STREAMED_FROM if width == 4 else 1 << 62)
            return _from_sizes(None if streamed else size, end - at - 4 - width)
        at += 4 + width + size + (size & 1 if demuxer == "aiff" else 0)
    return Shape()


def _chunks64(file: BinaryIO, end: int) -> Shape:
    """The `data` chunk of a Wave64: 16-byte names, 64-bit lengths that count their own header, steps of 8 bytes."""
    at = 40
    for _ in range(1000):
        head = _at(file, at, 24)
        size = int.from_bytes(head[16:24], "little")
        if len(head) < 24 or size < 24:
            break
        if head[:4] == b"data":
            return _from_sizes(None if size >= 1 << 62 else size - 24, end - at - 24)
        at += size + 7 & ~7
    return Shape()


def _atoms(file: BinaryIO, end: int) -> Shape:
    """Top-level atoms of an mp4, m4a or mov file (ISO/IEC 14496-12)."""
    at, found, cut = 0, set(), False
    for _ in range(100_000):
        head = _at(file, at, 16)
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        found.add(kind)
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size == 0:  # "to the end of the file"
            break
        cut = at + size > end
        if cut or size < 8:
            break
        at += size
    if b"moov" not in found:
        return Shape(fault="it has no moov atom, so it was cut off before the recording was finished")
    return Shape(certain_end=cut)


def _segment(file: BinaryIO, end: int) -> Shape:
    """The one Segment of a webm or mkv file, whose size is all ones where it was recorded live (RFC 8794)."""

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
    """The last page of an ogg file carries the mark "end of stream" (RFC 3533) unless it was cut off."""
    tail = _at(file, max(0, end - 131_072), 131_072)
    last = tail.rfind(b"OggS")
    if last < 0 or last + 6 > len(tail) or not tail[last + 5] & 4:
        return Shape(fault="its end is missing")
    page = tail[last:]
    lacing = page[27 : 27 + page[26]] if len(page) > 26 else b""
    whole = len(page) > 26 and len(page) >= 27 + page[26] + sum(lacing)
    return Shape(fault="" if whole else "its end is missing")
