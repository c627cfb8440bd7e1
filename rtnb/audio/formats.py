"""Recognise a recording from its bytes alone: which container it is, and where another one begins in it.

A file's ending lies too often (an m4a saved as .wav, a web page saved as .mp3), and a decoder that guesses will
find music in random bytes. So only what is recognised here is handed to a decoder.
"""

import re
from typing import Protocol

READABLE = "wav, flac, mp3, ogg, opus, m4a, aac, mp4 and other video with sound, webm, aiff, au, caf, wma and amr"


class Seekable(Protocol):
    """File to be read at any place."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position and return it."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""


# FFmpeg's demuxer → how a file for it begins; the first that fits counts. "" is a container without sound.
_BEGINNINGS = {
    "rifx": rb"RIFX....WAVE",
    "wav": rb"(RIFF|RF64|BW64)....WAVE",
    "avi": rb"(RIFF|RF64|BW64)....AVI ",
    "aiff": rb"FORM....AIF[FC]",
    "": rb"RIF[XF]|RF64|BW64|FORM",
    "flac": rb"fLaC[\0\x80]\0\0\x22",
    "ogg": rb"OggS",
    "matroska": rb"\x1a\x45\xdf\xa3.{1,16}\x42",
    "au": rb"\.snd\0\0",
    "caf": rb"caff\0\x01",
    "amr": rb"#!AMR(-WB)?\n",
    "flv": rb"FLV\x01.\0\0\0\x09",
    "nistsphere": rb"NIST_1A",
    "voc": rb"Creative Voice",
    "wv": rb"wvpk",
    "mpeg": rb"\x00\x00\x01\xba",
    "asf": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
    "w64": rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",
    "mov": rb"....(ftyp|moov|mdat|free|skip|wide|pnot|styp|moof|uuid|sidx)",
    "mpegts": rb"(....)?G(.{187}|.{191}|.{203})G(.{187}|.{191}|.{203})G",  # bare, with times (.m2ts), with parity
}

# How a recording begins behind another. By chance each but the last two is less likely than once in a terabyte; those
# two, bare frames, are looked into. Each begins with a byte of its own, outside of any group, by which `re` searches
# seven times faster.
_ANY = [_BEGINNINGS[demuxer] for demuxer in ("rifx", "flac", "matroska", "au", "caf", "amr", "asf", "w64", "flv")]
_ANY += [rb"RIFF....WAVE", rb"RF64....WAVE", rb"FORM....AIF[FC]", rb"OggS\0[\x02\x06]", rb"\0\0..ftyp"]
_ANY += [rb"ID3[\x02-\x04]\0.[\0-\x7f]{4}", rb"\xff[\xe2-\xff]..(.{9}|.{17}|.{32})(Xing|Info)"]
_ANY += [
    rb"G(?P<mpegts>@[\0\x11].{185}G.{187}G)",
    rb"\xff(?P<aac>[\xf0\xf1\xf8\xf9])",
    rb"\xff(?P<mp3>[\xe2-\xe5\xf2-\xf5\xfa-\xfd])",
]
_JOINT = re.compile(b"|".join(_ANY), re.DOTALL)


def bytes_at(file: Seekable, position: int, count: int) -> bytes:
    """Read `count` bytes of a seekable file from a position, fewer where it ends."""
    if position >= 1 << 60:  # a broken length; some systems refuse even to seek there
        return b""
    file.seek(position)
    return file.read(count)


def after_tags(file: Seekable) -> int:
    """Return the position behind the ID3v2 tags, whose size has seven bits to the byte, at the beginning of a file."""
    at = 0
    while len(head := bytes_at(file, at, 10)) == 10 and head[:3] == b"ID3":
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        at += size + (20 if head[5] & 0x10 else 10)  # with a footer, or with the header alone
    return at


def sniff(file: Seekable, *, proofs: int = 2) -> str | None:
    """Name the container by its first bytes.

    Args:
        file: A seekable binary file; its position is moved.
        proofs: Frames in a row that prove a format which has no magic number, at the very beginning.

    Returns:
        The name of FFmpeg's demuxer for it, such as `"wav"` or `"mov"`, or "rifx" for a big-endian wav. None where
        nothing is recognised.
    """
    body = bytes_at(file, after_tags(file), 65_536)
    found = next((demuxer for demuxer, pattern in _BEGINNINGS.items() if re.match(pattern, body, re.DOTALL)), None)
    return _first_frame(body, proofs)[0] if found is None else found or None


def _first_frame(body: bytes, proofs: int = 2) -> tuple[str | None, int]:
    """Find MPEG audio or ADTS frames, which have no magic number: a chain of headers that point to each other."""
    zeros = len(body) - len(body.lstrip(b"\0"))
    for start in range(zeros, min(len(body) - 7, zeros + 4096)):
        if body[start] != 0xFF:
            continue
        for demuxer, length_of in FRAMES.items():
            # At the very beginning fewer frames are proof enough; further on chance needs more to be ruled out.
            wanted, found, at = (proofs if start == zeros else max(4, proofs)), 0, start
            while found < wanted and (length := length_of(body, at)) and not (body[at + 2] ^ body[start + 2]) & 12:
                found, at = found + 1, at + length  # all of one rate
            if found >= wanted or (found and start == zeros and proofs == 2 and at >= len(body)):
                return demuxer, start
    return None, 0


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


def mpeg_rate(body: bytes, at: int) -> int:
    """Return the samples per second of the MPEG audio frame at `at`."""
    return (44_100, 48_000, 32_000)[body[at + 2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[body[at + 1] >> 3 & 3]


def mpeg_length(body: bytes, at: int) -> int:
    """Return the length of the MPEG audio frame at `at`, 0 where there is none (ISO/IEC 11172-3 and 13818-3)."""
    if at + 4 > len(body) or body[at] != 0xFF or body[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = body[at + 1] >> 3 & 3, body[at + 1] >> 1 & 3  # version 3 = MPEG-1; layer 3 = Layer I
    bitrate, rate = body[at + 2] >> 4, body[at + 2] >> 2 & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return 0
    table = _KBITS[3, layer] if version == 3 else _KBITS[2, 3 if layer == 3 else 2]
    rate_hz = mpeg_rate(body, at)
    padding = body[at + 2] >> 1 & 1
    bits = table[bitrate - 1] * 1000
    if layer == 3:
        return (12 * bits // rate_hz + padding) * 4
    return (72 if layer == 1 and version != 3 else 144) * bits // rate_hz + padding


FRAMES = {"aac": _adts_length, "mp3": mpeg_length}


# How what is no recording begins → what it is.
_OTHERS = {
    rb"\Z": "empty",
    rb"\0+\Z": "nothing but zeros at its beginning",
    rb"%PDF": "a PDF document",
    rb"PK\x03\x04": "a zip archive (or an office document)",
    rb"\x1f\x8b": "a gzip archive",
    rb"\x89PNG|\xff\xd8\xff|GIF8": "a picture",
    rb"MThd": "MIDI: notes, not sound",
    rb"RIFF": "a RIFF file without sound",
}


def looks_like(file: Seekable) -> str:
    """Say in a few words what a file that is no recording is instead.

    Args:
        file: A seekable binary file; its position is moved.

    Returns:
        A phrase that completes "it is …", for example `"a web page"`.
    """
    head = bytes_at(file, 0, 1024)
    for magic, what in _OTHERS.items():
        if re.match(magic, head):
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


def joint_after(file: Seekable, demuxer: str) -> int:
    """Return the position from which another recording may begin: past the headers, which look like one."""
    at = begin = after_tags(file)
    while demuxer == "ogg" and (head := bytes_at(file, at, 283))[:4] == b"OggS" and len(head) > 26 and head[5] & 2:
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    if demuxer == "flac":  # its blocks may hold the header of the wav that it was made of
        at, head = at + 4, b"\0"
        while len(head := bytes_at(file, at, 4 if head[0] < 128 and at < begin + (1 << 24) else 0)) == 4:
            at += 4 + int.from_bytes(head[1:])
    if demuxer == "matroska":  # flac in it has its own header here
        head = bytes_at(file, at, 65_536)
        at += max(0, head[: head.find(head[:4], 4)].find(b"\x1f\x43\xb6\x75"))
    if not bytes_at(file, at, 4).startswith({"ogg": b"OggS", "flac": b"\xff"}.get(demuxer, b"")):
        at = begin  # cut off within its headers
    return at + _first_frame(bytes_at(file, at, 65_536))[1] * (demuxer in ("mp3", "aac")) + 1


def joint_in(data: bytes, demuxer: str, start: int, stop: int) -> int | None:
    """Return where another recording begins in a stretch of one. None where none does.

    Args:
        data: The stretch, and the 8 kB behind it.
        demuxer: The container of the one, as `sniff` names it. Its own frames and packets are not another one's.
        start: From where in `data` another may begin.
        stop: The end of the stretch in `data`.
    """
    for found in _JOINT.finditer(data, start):
        at = end = found.start()
        if at >= stop:
            return None
        if found.lastgroup == demuxer:
            continue
        # Frames in a row are never so many by chance, and within another container never so long.
        count, length_of = 0, FRAMES.get(found.lastgroup or "")
        while length_of and (count < 4 or end < at + 1_000) and (length := length_of(data, end)):
            count, end = count + 1, end + length
        if not length_of or (count >= 4 and end >= at + 1_000):
            return at
    return None
