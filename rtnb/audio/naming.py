"""Decide whether a string stands for a file or is words: by what there is on disk first, then by how it reads."""

import base64
import binascii
import difflib
import io
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from rtnb.audio.formats import looks_like, sniff
from rtnb.errors import InputError

_SOUND = (
    "3g2 3gp 3gpp aac ac3 adts aif aifc aiff alac amr ape asf au avi caf flac flv m2ts m4a m4b m4r m4v mka mkv mov mp2 "
    "mp3 mp4 mpeg mpg mpga mts oga ogg ogv opus snd spx voc w64 wav wave weba webm wma wmv wv"
)
_OTHER = "bin bmp csv dat doc docx gif heic jpeg jpg json md pcm pdf png raw rtf tif tiff txt webp zip"
SOUND_ENDINGS = frozenset(f".{ending}" for ending in _SOUND.split())
"""Endings of recordings. They decide only where there is no file whose content would."""
_ENDINGS = SOUND_ENDINGS | {f".{ending}" for ending in _OTHER.split()}

_ADDRESS = re.compile(r"(?:(?!file:|data:)[a-z][a-z0-9+.-]+:/+|www\.)\S+", re.IGNORECASE)
# A kind with parameters, which recorders of browsers write with commas in them (`;codecs=avc1,opus;base64,`).
_DATA = re.compile(r"data:(?:[^\n]{0,200}?(;base64),|[\w.+-]+/[\w.+-]+(?:;[^,;\s]+)*,)", re.IGNORECASE)
# A folder, a drive or a home before it: no words begin so. "/help" and "and/or" are words.
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)[\\/]|\\\\\w|file:/|/[^\s/]+/", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{56}")  # as much as the header of a wav needs, in one line
_PAUSE = re.compile(r"[,;:?!]\s|[，。？！]")
_QUOTES = ('""', "''", "``", "“”", "‘’", "«»")


class Named(NamedTuple):
    """File that a string stands for.

    Attributes:
        source: The path, or the bytes that the string itself holds. None where it is words.
        doubt: Sentence for the user where the string may have been meant otherwise. "" where it is plain.
    """

    source: Path | bytes | None
    doubt: str = ""


def path_of(text: str | os.PathLike[str]) -> Path:
    """Return the path that a text means: the file there is, however its name is written, or else the plain one.

    Blanks and quotes around it, `~`, `file://`, blanks with a backslash as terminals write them, and the other way to
    write an accent are seen through.
    """
    if not isinstance(text, str):
        return Path(os.path.expanduser(text))
    name = _bare(text)
    accents = (unicodedata.normalize(form, name) for form in ("NFD", "NFC"))
    spellings = (text, text.strip(), name.replace("\\ ", " "), *accents, os.path.expandvars(name), name)
    paths = [*map(os.path.expanduser, spellings)]
    return Path(next(filter(os.path.exists, paths), paths[-1]))


def _bare(text: str) -> str:
    name = text.strip()
    name = name[1:-1].strip() if name[:1] + name[-1:] in _QUOTES and len(name) > 2 else name
    name = re.sub(r"^file://(?!/|localhost/)", "file:", name, flags=re.IGNORECASE)  # it lacks a slash
    return url2pathname(urlsplit(name).path) if re.match(r"file:\S", name, re.IGNORECASE) else name


def decoded(text: str) -> bytes | None:
    """Return the bytes of a data URI, or of a recording or picture in bare base64. None where the text is neither.

    Raises:
        InputError: Its base64 cannot be read.
    """
    bare = _begins_a_file(text := text.strip())
    text = f"data:;base64,{text}" if bare else text
    if (head := _DATA.match(text)) is None or (" " in (body := text[head.end() :]) and not bare):
        return None
    held = unquote_to_bytes(body)
    if not head[1]:
        return held
    with suppress(binascii.Error):
        digits = b"".join(held.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    raise InputError("Your text holds base64 that cannot be read. Was its end cut off? Copy it again.")


def _begins_a_file(text: str) -> bool:
    """Return whether a text begins as a recording or a picture in base64 does."""
    if not _BASE64.match(text):
        return False
    digits = re.sub("[^A-Za-z0-9+/_-]", "", text[:90_000])
    file = io.BytesIO(base64.b64decode(digits[: len(digits) // 4 * 4], altchars=b"-_"))
    return sniff(file, proofs=4) is not None or looks_like(file) == "a picture"


def download_first(address: str) -> str:
    """Say how an address becomes a file, which is the user's to do."""
    name = Path(urlsplit(address).path).name or "recording.mp3"
    address = address if "://" in address else f"https://{address}"
    if not re.match("https?:|ftp:", address, re.IGNORECASE):
        return f"Download it first with a program for {address.split('/')[0]}// addresses, then give the file's path."
    return f'Download it first: urllib.request.urlretrieve("{address}", "{name}"), then give "{name}".'


def file_of(text: str) -> Named:
    """Decide whether a string that may be words stands for a file.

    Args:
        text: What was handed over as a part of a question.

    Raises:
        InputError: It reads like a file's name and there is none, or it is the address of one.
    """
    if (held := decoded(text)) is not None:
        return Named(held)
    name = _bare(text)
    if len(name) > 4096 or ("\n" in name and not os.path.isfile(path_of(text))):
        return Named(None)
    ending, quoted = Path(name).suffix.lower(), name != text.strip()
    is_path, path = bool(_PATH.match(name)) or "file:/" in text[:8].lower(), path_of(text)
    if _ADDRESS.fullmatch(name):
        if Path(urlsplit(name).path).suffix.lower() in SOUND_ENDINGS:
            raise InputError(f"Your text {name} is an address, not a recording. {download_first(name)}", part=text)
        return Named(None, f"Your text {name} is sent as words: no model opens an address. {download_first(name)}")
    if os.path.isfile(path):
        if is_path or quoted or ending:
            return Named(path)
        with suppress(OSError), path.open("rb") as file:
            if sniff(file) or looks_like(file) == "a picture":
                return Named(path, f"Your text {name!r} is sent as the file of that name. Add a full stop for words.")
        return Named(None)
    if os.path.isdir(path) and (is_path or name.endswith(("/", os.sep))):
        return Named(path)
    if (is_path and not re.search(r"\s", name)) or _reads_like_a_name(name, ending, quoted=quoted):
        raise InputError(_missing(name, path), part=text)
    if ending in SOUND_ENDINGS and Path(last := name.split()[-1]).suffix:
        there = "is no file here" if not os.path.isfile(path_of(last)) else "does not go with it as it stands"
        return Named(None, f"Your text is sent as words, and {last!r} at its end {there}. Give a file as its own part.")
    return Named(None)


def _reads_like_a_name(name: str, ending: str, *, quoted: bool) -> bool:
    """Return whether a text that names no file there is would be a name all the same, and not a sentence."""
    *before, last = name.split() or [""]
    if ending not in _ENDINGS or not Path(last).suffix or "://" in name or (ending == ".au" and "." in Path(last).stem):
        return False  # ".wav" alone is no file, and "abc.net.au" is an address
    if not before:
        return not _PAUSE.search(name)
    sentence = len(before) > 1 and any(word[0].islower() for word in before)
    return ending in SOUND_ENDINGS and (quoted or bool(_PATH.match(name)) or not (sentence or _PAUSE.search(name)))


def _missing(name: str, path: Path) -> str:
    """Say that there is no such file, and which there is."""
    meant = ""
    with suppress(OSError, ValueError):
        there = {other.lower(): other for other in os.listdir(path.parent)}
        for near in difflib.get_close_matches(path.name.lower(), there, 1, 0.75):
            meant = f" Did you mean {there[near]!r}?"
    if re.search(r"[*?]", name):
        meant = f" For several give a list: sorted(Path().glob({name!r}))."
    if os.path.isfile(last := path_of(name.split()[-1])):
        meant = f" Give the recording as a part of its own: {last.name!r}."
    where = f"Check the path (the current folder is {Path.cwd()}), or add a full stop if these are words to send."
    return f"Your text {name!r} reads like a file's name, but there is no such file.{meant} {where}"
