"""What can be told of a picture without looking at it: its kind and size, from its first bytes."""

from __future__ import annotations

import base64
import binascii
import re
import struct

__all__ = ["describe"]

_HEAD_CHARACTERS = 400_000  # a JPEG may carry a large thumbnail before its size


def describe(data_url: str) -> tuple[str, int, int] | None:
    """Read a picture's kind and size off a data URL.

    Args:
        data_url: `data:image/…;base64,…`

    Returns:
        (kind, width, height) with the kind `"PNG"`, `"JPEG"`, `"GIF"` or `"WebP"` and pixels; None for any other
        address or kind, and for data that is no picture.
    """
    match = re.match(r"data:[\w/+.-]*(?:;[\w=.-]+)*;base64,", data_url)
    if match is None:
        return None
    body = data_url[match.end() : match.end() + _HEAD_CHARACTERS]
    try:
        head = base64.b64decode(body[: len(body) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    try:
        return _size(head)
    except (struct.error, IndexError):
        return None


def _size(head: bytes) -> tuple[str, int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", head[16:24])
        return "PNG", width, height
    if head[:6] in (b"GIF87a", b"GIF89a"):
        width, height = struct.unpack("<HH", head[6:10])
        return "GIF", width, height
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        if head[12:16] == b"VP8X":
            return "WebP", 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        if head[12:16] == b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return "WebP", width & 0x3FFF, height & 0x3FFF
        if head[12:16] == b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return "WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head.startswith(b"\xff\xd8"):
        at = 2
        while at + 9 < len(head):
            if head[at] != 0xFF:
                return None
            marker = head[at + 1]
            if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
                at += 1 if marker == 0xFF else 2
                continue
            # Start of frame: baseline, progressive and the rest, but not the tables that share the range.
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack(">HH", head[at + 5 : at + 9])
                return "JPEG", width, height
            at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return None
