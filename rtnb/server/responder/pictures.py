"""Kind and size of a picture, from its first bytes."""

from __future__ import annotations

import base64
import re
import struct

_HEAD_CHARACTERS = 400_000  # a JPEG may carry a large thumbnail before its size


def describe(data_url: str) -> tuple[str, int, int] | None:
    """Read a picture's kind and size from a data URL.

    Args:
        data_url: `data:image/…;base64,…`

    Returns:
        (kind, width, height) with the kind `"PNG"`, `"JPEG"`, `"GIF"` or `"WebP"` and pixels; None for any other
        address or kind, and for data that is no picture.
    """
    if (match := re.match(r"data:[\w/+.-]*(?:;[\w=.-]+)*;base64,", data_url)) is None:
        return None
    body = data_url[match.end() : match.end() + _HEAD_CHARACTERS]
    try:
        return _size(base64.b64decode(body[: len(body) // 4 * 4]))
    except (ValueError, struct.error):  # binascii.Error is a ValueError
        return None


def _size(head: bytes) -> tuple[str, int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", *struct.unpack(">II", head[16:24])
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", *struct.unpack("<HH", head[6:10])
    match head[:4] + head[8:16]:
        case b"RIFFWEBPVP8X":
            return "WebP", 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"RIFFWEBPVP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return "WebP", width & 0x3FFF, height & 0x3FFF
        case b"RIFFWEBPVP8L":
            bits = int.from_bytes(head[21:25], "little")
            return "WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return _size_of_jpeg(head) if head.startswith(b"\xff\xd8") else None


def _size_of_jpeg(head: bytes) -> tuple[str, int, int] | None:
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, size = struct.unpack(">BH", head[at + 1 : at + 4])
        # Start of frame: baseline, progressive and the rest, but not the tables that share the range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return "JPEG", width, height
        at += 1 if marker == 0xFF else 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + size
    return None
