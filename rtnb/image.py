"""Pictures for the model: read a file, a matplotlib figure, a PIL image, or bytes, and send it as a data URL."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call

_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
# How pictures begin; the last is HEIC and AVIF, whose container is that of mp4.
_BEGINNING = rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0{4}|RIFF.{4}WEBP|II\*\0|MM\0\*|.{4}ftyp(?:hei|hev|mif|msf|avi)"


@checks_call
@dataclass(frozen=True)
class Image:
    """Picture in PNG or JPEG; the API takes no other (reference of `input_image`).

    Attributes:
        data: The file's bytes.
        kind: `"png"` or `"jpeg"`.
        name: What to call it.
        detail: How closely the model looks: `"auto"`, `"low"` (cheaper) or `"high"`.

    Examples:
        >>> png = bytes.fromhex("89504e470d0a1a0a") + bytes(100)
        >>> rtnb.Image.read(png, name="chart.png")
        Image(chart.png, png, 0 KB)
    """

    data: bytes
    kind: str
    name: str = "picture"
    detail: Literal["auto", "low", "high"] = "auto"

    @classmethod
    def read(cls, source: Any, *, name: str | None = None, detail: Literal["auto", "low", "high"] = "auto") -> Image:
        """Read a picture.

        Args:
            source: A path, the bytes of a file, a PIL image, or a matplotlib figure (or anything with `savefig`).
            name: What to call it. None: the file's name.
            detail: How closely the model looks.

        Raises:
            InputError: If it is no picture, or a kind that needs Pillow to be read and Pillow is not installed.
        """
        if detail not in ("auto", "low", "high"):
            raise InputError(f"Your detail={detail!r} is not known. Give 'auto', 'low' or 'high'.", detail=detail)
        if hasattr(source, "savefig"):
            buffer = io.BytesIO()
            source.savefig(buffer, format="png", bbox_inches="tight")
            data, name = buffer.getvalue(), name or "figure"
        elif hasattr(source, "save") and hasattr(source, "mode"):
            data = _png(source)
        elif isinstance(source, str | os.PathLike):
            path = Path(source).expanduser()
            name = name or path.name
            try:
                data = path.read_bytes()
            except (OSError, ValueError) as error:
                problem = getattr(error, "strerror", error)
                raise InputError(f"The picture {path.name} cannot be read: {problem}. Check the path.") from error
        elif isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        else:
            what = f"Your picture is a {type(source).__name__}, which cannot be read."
            raise InputError(f"{what} Give a path, bytes, a PIL image or a figure.")
        for magic, kind in _KINDS.items():
            if data.startswith(magic):
                return cls(data, kind, name or "picture", detail)
        try:
            from PIL import Image as pillow

            with pillow.open(io.BytesIO(data)) as picture:
                return cls(_png(picture), "png", name or "picture", detail)
        except ImportError:
            problem = "is neither PNG nor JPEG, and Pillow, which reads the rest, is not installed"
        except Exception:
            problem = "is no picture that can be read"
        raise InputError(f"The picture {name or '(bytes)'} {problem}. Give a PNG or JPEG.")

    @classmethod
    def of(cls, part: Any) -> Image | None:
        """Read `part` if it is plainly a picture. None if it is something else."""
        if isinstance(part, cls):
            return part
        drawn = hasattr(part, "savefig") or all(hasattr(part, name) for name in ("save", "mode", "size"))
        stored = isinstance(part, os.PathLike) and Path(part).suffix.lower() in _SUFFIXES
        return cls.read(part) if drawn or stored else None

    @staticmethod
    def begins(head: bytes) -> bool:
        """Return whether a file that begins with these 16 bytes is a picture."""
        return re.match(_BEGINNING, head, re.DOTALL) is not None

    def content(self) -> dict[str, Any]:
        """Return the API's content part: `input_image` with a data URL."""
        text = base64.b64encode(self.data).decode()
        part = {"type": "input_image", "image_url": f"data:image/{self.kind};base64,{text}"}
        return part if self.detail == "auto" else {**part, "detail": self.detail}

    def __repr__(self) -> str:
        return f"Image({self.name}, {self.kind}, {len(self.data) / 1024:.0f} KB)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {f"image/{self.kind}": base64.b64encode(self.data).decode(), "text/plain": repr(self)}


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    (picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGBA")).save(buffer, format="PNG")
    return buffer.getvalue()


def described(data_url: str) -> tuple[str, int, int] | None:
    """Read a picture's kind and size from a data URL.

    Args:
        data_url: `data:image/…;base64,…`

    Returns:
        (kind, width, height) with the kind `"PNG"`, `"JPEG"`, `"GIF"` or `"WebP"` and pixels; None for any other
        address or kind, and for data that is no picture.
    """
    if (match := re.match(r"data:[\w/+.-]*(?:;[\w=.-]+)*;base64,", data_url)) is None:
        return None
    body = data_url[match.end() : match.end() + 400_000]  # a JPEG may carry a large thumbnail before its size
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
