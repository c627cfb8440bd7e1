"""Errors and the warning of this package.

```
RtnbError
├── InputError (ValueError)         an argument is not what the call takes
│   └── ArgumentError (TypeError)   it has a name, a number or a type that the function does not take
├── AudioError (ValueError)         a recording cannot be read, or not written as asked
├── KeyMissing                      no API key was found
├── KeyRefused                      the server does not accept the key
├── ConnectionFailed (ConnectionError)   the socket could not be opened, or ended too early
├── ServerError                     the server answered a client event with an `error` event
├── ResponseFailed                  a response ended with status `failed`
├── BudgetExceeded                  the next response would cost, or the last one has cost, too much
├── ToolFailed                      a tool's function failed
└── ReplayError                     a saved session cannot be read, or does not hold what was asked of it
RtnbWarning (UserWarning)
```

Every message says first who is to blame ("Your key …", "The file …", "The server …") and last what to do.
Whatever a program may want to act on is an attribute that its class declares, so that nobody has to parse a sentence;
it is None where it was not given. A key never survives into a message: masking happens in the one constructor all
errors share.
"""

import base64
import linecache
import logging
import re
import sys
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

translate: Callable[[str], str] = str
"""Returns a sentence of ours in the language of the user; `texts.language` puts its own here."""


def _pattern(sure: str, perhaps: str) -> re.Pattern[str]:
    protocol = r"openai-insecure-api-key\."  # the browser's subprotocol that carries a key
    token = "[A-Za-z0-9_*.…+/=~-]*[A-Za-z0-9_*=]"
    return re.compile(f"(?P<lead>(?P<protocol>{protocol})|(?P<sure>{sure})|{perhaps})(?P<token>{token})")


# What looks like a secret: OpenAI's own prefixes, and the headers that carry one, whatever its form (Azure's keys have
# no prefix). Where words may stand in its place ("the bearer yesterday", "sk-learn") it must also look random.
_PROJECT, _PREFIX = r"(?<![A-Za-z0-9])sk-(?:proj|svcacct|admin)-", r"(?<![A-Za-z0-9])(?:sk-|ek_)"
_SCHEME, _CARRIES = "(?:bearer|basic|token)", "auth|cookie|secret|token|password|credential"
_HEADER = rf"(?i:authorization[\"']?\s*[:=]\s*[\"']?{_SCHEME}\s+|[\"']api[-_]?key[\"']\s*[:=]\s*[\"'])"
_NAME = rf"(?i:\bbearer\s+|(?:api[-_]?key|authorization|{_CARRIES})[\"']?\s*[:=]\s*[\"']?)"
_SHOWN = _pattern(f"{_PROJECT}|{_HEADER}", f"{_PREFIX}|{_NAME}")
_SAID = _pattern(_PROJECT, _PREFIX)
# 16 letters and digits in a row, 6 with both among them, 8 digits, or the stars that the server itself puts in the
# middle of a key it quotes back ("sk-xx***…AAAA", recorded).
_RANDOM = re.compile(
    r"[A-Za-z0-9]{16}|\*\*|…\w|(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?:(?=[0-9]*[A-Za-z])[A-Za-z0-9]{6}|[0-9]{8})"
)
_SECRET_FIELDS = frozenset({"authorization", "api_key", "api-key", "client_secret", "headers"})
_PROTOCOL_FIELDS = frozenset({"type", "object", "role", "status"})
_CARRIED = re.compile(rf"(?i){_CARRIES}|key|^value$")  # the last in `client_secret`; other headers hold words
_HINTS = ("sk-", "ek_", "\\", *_SECRET_FIELDS)  # one of which stands in whatever holds a secret that is not known
HIDDEN = "[hidden key]"  # what stands in a saved session where a key was


def _cut(match: re.Match[str]) -> str:
    token = match["token"]
    secret = match["protocol"] or (match["sure"] and len(token) >= 8) or _RANDOM.search(token)
    return match["lead"] + "…" if secret else match[0]


def without_secrets(value: Any, known: list[str], *, hide: bool = False) -> Any:
    """Take keys out of what is to be saved, and leave every word.

    Args:
        value: An event, or any part of one.
        known: Keys in use, to which those found by their names are added, without the scheme before them. Those of up
            to 8 letters stay in words: "practice" is no secret.
        hide: Whether all of it is a key.

    Returns:
        The same without the known keys, without what carries a key by its name, whatever the key looks like (MCP
        servers take any), without headers, and without what can be nothing but a key of OpenAI's.
    """
    if isinstance(value, str):
        for secret in sorted(known, key=len, reverse=True):
            value = value.replace(secret, HIDDEN) if len(secret) > 8 else value
        return HIDDEN if hide else _SAID.sub(_cut, value)
    if isinstance(value, list):
        return [without_secrets(part, known, hide=hide) for part in value]
    if not isinstance(value, dict):
        return value
    hides = {name: hide or name.lower() in _SECRET_FIELDS for name in value}
    found = {name: part for name, part in value.items() if hides[name] and isinstance(part, str)}
    secrets = {re.sub(rf"(?i)^\s*{_SCHEME}\s+", "", part) for name, part in found.items() if _CARRIED.search(name)}
    known += secrets.difference(known)
    kept = {name: part for name, part in value.items() if name in _PROTOCOL_FIELDS and isinstance(part, str)}
    return {name: without_secrets(part, known, hide=hides[name]) for name, part in value.items()} | kept


def may_hold_secrets(text: str, known: list[str]) -> bool:
    """Return False for JSON of which `without_secrets` would change nothing: most events, which need not be read."""
    lower = text.lower()
    return any(hint in lower for hint in _HINTS) or any(secret in text for secret in known)


# What is a secret by its place: the name and password of an address, a query parameter, a field of JSON up to its
# closing quote, in a string of JSON as well. A token that has a probability is a word of the server's.
_IN_ITS_PLACE = re.compile(
    rf"(?is)(://)[^\s/?#\"'\\]*(?=@)|([?&;](?:[\w.-]*(?:{_CARRIES}|key|signature)|sig|code)=)[^\s&#\"'\\]+"
    rf"|(\\{{0,7}}[\"'][\w-]{{0,60}}(?:{_CARRIES}|authorization|-key|api_?key)(?:-[\w-]{{1,60}})?\\{{0,7}}[\"']\s*:\s*"
    r"(?P<quote>\\{0,7}[\"']))(?:(?!(?P=quote))(?:\\.|[^\\]))++(?!(?P=quote),\s*\\{0,7}[\"']logprob)"
)
# Headers that carry a secret in whatever form, and the rest of a long frame, which may begin in the middle of one.
_IN_A_LOG = re.compile(rf"(?i)^([<>] (?:[\w-]*(?:{_CARRIES}|(?<!websocket-)key)[\w-]*: |(?:TEXT|CONT) .*?\.\.\.)).+")
_WORDS = _PROTOCOL_FIELDS | {"code", "param"}  # what programs compare, whatever words a key is made of
_PIECE = 8  # characters of a key that looks random that are too many to show, unless they are a word
_MIXED = re.compile(rf"(?=.*[0-9]).*(?:{_RANDOM.pattern}|[A-Za-z0-9+/=]{{16}})")
_WORD = re.compile("[A-Za-z]?[a-z_.-]*|[A-Z_.-]*")
_PUBLIC = "sk-proj- sk-svcacct- sk-admin- practice"  # no secret: how many keys begin, and the practice server's own
_kept: weakref.WeakValueDictionary[int, Callable[[], str]] = weakref.WeakValueDictionary()


def keep_secret(secret: str) -> Callable[[], str]:
    """Put a secret where no list of attributes or variables shows it; `mask_secrets` knows it while that is kept.

    Args:
        secret: The plain text; spaces and line breaks around it are dropped.

    Returns:
        A function that returns it.
    """
    secret = secret.strip()

    def reveal() -> str:
        return secret

    _kept[id(reveal)] = reveal
    return reveal


def mask_secrets(text: str) -> str:
    """Replace everything in `text` that looks like an API key by its kind and an ellipsis; ordinary words stay.

    Args:
        text: Any text, for example a server's error message, which may quote part of a key.

    Returns:
        The text with `sk-…`, `ek_…`, bearer tokens and key-carrying subprotocols cut to their prefix, without names,
        passwords and keys in addresses and fields, without what `keep_secret` was given, and without longer pieces of
        it where it looks random.
    """
    return mask_kept(_IN_ITS_PLACE.sub(lambda match: f"{match[1] or match[2] or match[3]}…", _SHOWN.sub(_cut, text)))


def mask_kept(text: str, *, words: bool = True) -> str:
    """Replace in `text` what `keep_secret` was given, also URL-encoded and in base64, and longer pieces of it.

    Args:
        text: Any text.
        words: Whether a secret is masked too that does not look random: it may be a word of the protocol.

    Returns:
        The text with ellipses; pieces are masked where the secret looks random.
    """
    for secret in {reveal() for known in _kept.valuerefs() if (reveal := known()) is not None}:
        for form in _forms(secret) if words or _MIXED.match(secret) else ():
            size = _PIECE if _MIXED.match(secret) else max(len(form), _PIECE)
            pieces = [form[start : start + size] for start in range(len(form) - size + 1)]
            pieces = [piece for piece in pieces if piece in text and (piece == form or not _WORD.fullmatch(piece))]
            if found := [re.escape(piece) for piece in pieces if piece not in _PUBLIC]:
                text = re.sub(rf"(?:{'|'.join(found)})[\w*…-]*", "…", text.replace(form, "…"))
    return text


def _forms(secret: str) -> set[str]:
    """Return a secret as it stands in a text, in an address, and in base64 at each place of a group of three bytes."""
    forms = {secret, quote(secret, safe="")}
    for before in range(3):
        padded = b"\0" * before + secret.encode()
        # Only the characters that hold nothing of what stands beside it.
        whole = slice(-(-before * 4 // 3), len(padded) * 4 // 3)
        forms |= {encode(padded).decode()[whole] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return forms


def mask_record(record: logging.LogRecord) -> bool:
    """Mask what is logged; a filter for the loggers to which `websockets` writes its handshakes and frames."""
    record.msg, record.args = _IN_A_LOG.sub(r"\1…", mask_secrets(record.getMessage())), ()
    return True


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_secrets(value)
    if type(value) is dict:
        return {name: part if name in _WORDS else _masked(part) for name, part in value.items()}
    return type(value)(map(_masked, value)) if type(value) in (list, tuple) else value


class RtnbError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: Who is to blame, what happened, and last what to do. Secrets in it are masked.
        **data: Values of attributes that the class declares.

    Attributes:
        reply: The `Reply`, transcription or translation that it ended, with everything that came before: its `.text`,
            `.audio` and `.segments`; of a map its results. None where none was under way.
    """

    reply: Any = None

    def __init__(self, message: str, **data: Any) -> None:
        # A file's name that is no UTF-8 has half surrogate pairs, which nothing can print.
        super().__init__(mask_secrets(translate(message)).encode(errors="backslashreplace").decode())
        vars(self).update(_masked(data))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints: the user's own line and the sentence; for `%tb` and after `%xmode` all of it."""
        tool = sys.modules["IPython"].get_ipython().InteractiveTB
        codes = (frame.f_code for frame, _ in traceback.walk_stack(None))
        asked = any(code.co_name == "tb" and "IPython" in code.co_filename for code in codes)  # its magic of that name
        if asked or tool.mode != "Context":
            return list(tool.structured_traceback(type(self), self, self.__traceback__))
        line = _users_line(self.__traceback__)
        if isinstance(self, ToolFailed) and self.__cause__ is not None:
            line = _users_line(self.__cause__.__traceback__) or line
        hint = translate("Type %tb for the whole traceback.")
        return [*filter(None, [line]), f"\x1b[0;31m{type(self).__name__}\x1b[0m: {self}", f"\x1b[2m{hint}\x1b[0m"]


def _users_line(frames: types.TracebackType | None) -> str:
    """Return the last line of a cell in a traceback, as IPython prints one; "" where there is none."""
    walked = traceback.walk_tb(frames)
    if not (cells := [(frame, number) for frame, number in walked if frame.f_globals.get("__name__") == "__main__"]):
        return ""
    frame, number = cells[-1]
    line = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    return f"\x1b[0;32m----> {number}\x1b[0m {line}\n"


class RtnbWarning(UserWarning):
    """Something a user should know, which stops nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(translate(message))


def without_frames(error: RtnbError) -> RtnbError:
    """Return an error without the frames it was raised in and what was handled there: both hold what a user gave."""
    error.__context__, cause = None, error.__cause__
    if cause is not None and isinstance(error, InputError | AudioError):  # others come from a user's own function
        cause.with_traceback(None).__context__ = None
        if type(cause).__module__ == "builtins" and isinstance(cause, OSError):  # that of PyAV cannot be changed
            cause.filename = None
    return error.with_traceback(None)


class InputError(RtnbError, ValueError):
    """An argument is not what the call takes.

    The attributes named after an argument hold what was given for it, of whatever type that was.

    Attributes:
        detail: The `detail` of an image.
        event: The client event.
        fault: The name of a fault for the practice server to inject.
        host: The address the practice server was to listen on.
        known: The names that are known, where `fault` is not one of them.
        limit_usd: The budget in US dollars.
        modalities: The modalities of an answer.
        model: The model's name.
        name: The name of a language.
        number: The number of an exercise.
        origin: The origin of a web page.
        part: The part of a question that cannot be sent.
        path: The file.
        port: The port the practice server was to listen on.
        problem: What was wrong with a key, or with the place of a file, in a few words.
        provider: The name of a kind of server.
        sound: The format for the audio of a saved session.
        source: Where a key that cannot be one was found.
        speed: The speed of speech.
        to: The language to translate into.
        timeout: The seconds to wait.
        tool: The name of a tool.
        turn_detection: The turn detection.
        turns: The number of turns of an estimate.
        url: The address, without secrets.
    """

    detail: str | None = None
    event: Any = None
    fault: str | None = None
    host: str | None = None
    known: tuple[str, ...] | None = None
    limit_usd: Any = None
    modalities: Any = None
    model: str | None = None
    name: str | None = None
    number: Any = None
    origin: str | None = None
    part: Any = None
    path: Any = None
    port: int | None = None
    problem: str | None = None
    provider: str | None = None
    sound: Any = None
    source: str | None = None
    speed: Any = None
    timeout: Any = None
    to: Any = None
    tool: str | None = None
    turn_detection: Any = None
    turns: Any = None
    url: str | None = None


class ArgumentError(InputError, TypeError):
    """An argument has a name or a type that the function does not take, or there are too few or too many of them.

    Attributes:
        argument: The argument's name, as it was given. None where it has none.
    """

    argument: str | None = None


class AudioError(RtnbError, ValueError):
    """A recording cannot be read, or not written as asked.

    Attributes:
        name: The file's name, or a description of where the audio came from.
        problem: What was wrong, in a few words.
    """

    name: str = ""
    problem: str = ""


class KeyMissing(RtnbError):
    """No API key was found.

    Attributes:
        looked: The places that were searched and what was found there, as `(place, outcome)` pairs.
        obstacle: What kept a key that may be there from being read; "" where there is none.
        remedy: What to do.
    """

    looked: tuple[tuple[str, str], ...] = ()
    obstacle: str = ""
    remedy: str = ""


class KeyRefused(RtnbError):
    """The server does not accept the key.

    Attributes:
        code: The server's error code or HTTP status, for example `"invalid_api_key"`. None where it sent none.
    """

    code: str | None = None


class ConnectionFailed(RtnbError, ConnectionError):
    """The socket could not be opened, or ended before the work was done.

    Attributes:
        code: WebSocket close code (1000–4999) or HTTP status. None where the failure came before either.
        reason: The close reason or the words of the operating system, as they came; "" where there were none.
        url: The address without query secrets.
        reply: The `Reply` that was under way, with everything that arrived before. None where there was none.
    """

    code: int | None = None
    reason: str = ""
    url: str = ""


class ServerError(RtnbError):
    """The server answered a client event with an `error` event.

    Attributes:
        type: The server's error type, for example `"invalid_request_error"`.
        code: The server's error code, for example `"unknown_parameter"`. None where it sent none.
        param: The field it complains of. None where it named none.
        event: The whole `error` event as it came.
    """

    type: str = ""
    code: str | None = None
    param: str | None = None
    event: dict[str, Any] | None = None


class ResponseFailed(RtnbError):
    """A response ended with status `failed`.

    Attributes:
        reply: The `Reply`, with everything that arrived before the failure.
        code: The server's error code, for example `"rate_limit_exceeded"`. None where it sent none.
    """

    reply: Any = None
    code: str | None = None


class BudgetExceeded(RtnbError):
    """The next response would cost, or the last one has cost, more than the budget allows.

    Attributes:
        limit_usd: The budget in US dollars.
        spent_usd: The part of it that has been spent, in US dollars.
        held_usd: The part of it, in US dollars, that others have set aside and will release.
        reply: The `Reply` that was stopped or refused. None where no reply was under way.
    """

    limit_usd: float = 0.0
    spent_usd: float = 0.0
    held_usd: float = 0.0


class ToolFailed(RtnbError):
    """A tool's function raised, timed out, was unknown or was called with arguments it does not take.

    Attributes:
        tool: The tool's name.
        arguments: The arguments as the model wrote them.
        problem: What went wrong, in a few words. None where the message alone says it.
    """

    tool: str = ""
    arguments: str = ""
    problem: str | None = None


class ReplayError(RtnbError):
    """A saved session cannot be read, or does not hold what was asked of it.

    Attributes:
        code: The error code of the server that plays it back. None where the file itself cannot be read.
        event: The `error` event of that server. None where the file itself cannot be read.
    """

    code: str | None = None
    event: dict[str, Any] | None = None
