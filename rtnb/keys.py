"""Find the API key, and never show it.

A key is looked for where people keep theirs: the argument, Colab's secrets, the environment, a `.env` file, and, only
when asked for, a prompt that hides what is typed. The value is kept in a `Key`, which shows itself masked wherever it
is printed, formatted or logged, and cannot be pickled.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rtnb import models
from rtnb.errors import InputError, KeyMissing, keep_secret
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate

# By how a key begins; nothing of the rest is ever shown.
_KINDS = {"ek_": "ephemeral", "sk-proj-": "project", "sk-svcacct-": "service", "sk-admin-": "admin", "sk-": "api"}


class Key:
    """API key that does not show itself.

    Args:
        value: The key as it was found; spaces and line breaks around it are dropped.
        source: Where it came from, for people: `"the environment (OPENAI_API_KEY)"`.

    Attributes:
        source: Where it came from.

    Raises:
        InputError: The value cannot be a key: it is empty, has spaces, line breaks or quotes inside, or
            characters that an HTTP header cannot carry. The message says which, and never quotes it.

    Examples:
        >>> key = rtnb.keys.Key("sk-proj-1234567890abcdef", "my safe")
        >>> key
        Key(sk-proj-…, from my safe)
        >>> key.reveal()
        'sk-proj-1234567890abcdef'
    """

    # The value sits in a closure, not in a dict or a slot: what walks over an object's attributes (variable inspectors,
    # IPython's verbose tracebacks, vars(), a debugger's pretty printer) meets a function and no text.
    __slots__ = ("_reveal", "source")

    _reveal: Callable[[], str]
    source: str

    def __init__(self, value: str | Key, source: str = "the key= argument") -> None:
        # Set before anything can fail: a traceback prints `self` too.
        object.__setattr__(self, "_reveal", str)
        if isinstance(value, Key):
            source, value = value.source, value.reveal()
        object.__setattr__(self, "source", source)
        if not isinstance(value, str):
            kind = type(value).__name__
            value = ""
            raise InputError(f"Your key is a {kind}, not text. Give the key as a string, or leave key= out.")
        secret, value = value.strip(), ""
        found = (problem for pattern, problem in _PROBLEMS.items() if re.match(pattern, secret, re.DOTALL))
        if problem := next(found, None):
            # Tracebacks can show local variables; this one must have nothing left to show.
            secret = ""
            remedy = "Copy it again from where it was made, without quotes and in one piece."
            why = f"Your key from {source} cannot be an API key: it {problem}. {remedy}"
            raise InputError(why, source=source, problem=problem)
        object.__setattr__(self, "_reveal", keep_secret(secret))

    def reveal(self) -> str:
        """Return the key itself. Only for the header that carries it to the server."""
        return self._reveal()

    @property
    def kind(self) -> str:
        """`"ephemeral"` for `ek_…` secrets, else `"project"`, `"service"`, `"admin"` or `"api"`."""
        return _KINDS.get(str(self)[:-1], "api")

    def __repr__(self) -> str:
        return say("Key({key}, from {source})", key=self, source=translate(self.source))

    def __str__(self) -> str:
        # Only a prefix that everybody's key shares; never a tail, by which a key can be told from others.
        return next(filter(str(self.reveal()).startswith, _KINDS), "") + "…"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        import hmac

        if not isinstance(other, Key):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(("rtnb.Key", self.reveal()))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        del value  # it may be a key, and this frame shows what it has
        raise AttributeError("Your key cannot be changed in place. Make another one.")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Your key does not go into files: it cannot be pickled. Find it again with find_key().")

    def __copy__(self, memo: object = None) -> Key:
        return self

    __deepcopy__ = __copy__


def hold(key: str | Key | None) -> Key | None:
    """Wrap a key as it was given, so that the caller's frame shows none: `key = keys.hold(key)`.

    Nothing is checked here, for then this would fail with the plain text around; `lookup` and `find_key` check it.
    """
    if key is None or isinstance(key, Key):
        return key
    held = object.__new__(Key)
    object.__setattr__(held, "_reveal", lambda: key)
    object.__setattr__(held, "source", "the key= argument")
    return held


# Patterns that keep a text from being a key, and sentences that do not quote it.
_PROBLEMS = {
    r"\Z": "is empty",
    r"""['"`“”‘’«»]|.*['"`“”‘’«»]$""": "has quotation marks around it",
    r".*[\n\r]": "has a line break in it",
    r".*\s": "has a space in it",
    r".*[^\x00-\x7f]": "has a character in it that no key has (a long dash, or a letter of another alphabet)",
    r".*[^ -~]": "has an invisible character in it",
    r"(?i)bearer\b": "begins with 'Bearer', which belongs to the header, not to the key",
    r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)=": "begins with the name of a variable and '='",
    r".*(?:\*|\.{3}|x{8}|X{8})": "is a masked or placeholder copy",
    r"(?i)(?:your|my|insert|paste)[-_ ]|<.*>$": "is a placeholder",
}


# By what an outcome says, the first that fits; "" fits any.
_REMEDIES = {
    "has no access": "Open the key symbol in Colab's left bar and switch on 'Notebook access' beside the secret.",
    "Colab did not answer": "Open the notebook in Colab's own page and run the cell again, or pass key=.",
    "no such secret": "Open the key symbol in Colab's left bar, add a secret named {name} and switch on 'Notebook "
    "access'; a key is made at https://platform.openai.com/api-keys.",
    "": "Set {name} in the environment or in a .env file beside the notebook, pass key=, or call "
    "find_key(ask=True); without a key, practice=True works.",
}


@checks_call
def find_key(
    key: str | Key | None = None,
    *,
    ask: bool = False,
    provider: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Key:
    """Find the API key.

    Looked for in this order: the argument; on Colab, its secrets (`OPENAI_API_KEY`, then `openai`); the
    environment; a `.env` file in the folder or one above it; and, with `ask=True`, a prompt that hides what
    is typed.

    Args:
        key: The key, if you have it at hand. None means look for it.
        ask: Whether to ask the user when it is nowhere else. A cell that asks waits for an answer.
        provider: Whose key: a provider's name as in `models.toml`, for example `"azure"`, whose key is
            `AZURE_OPENAI_API_KEY`. None means OpenAI's.
        environ: The environment. None means that of this process.
        folder: Where to begin to look for `.env`. None means the current directory.

    Returns:
        The key, which shows itself masked.

    Raises:
        KeyMissing: There is none; the message says where it was looked for and, on Colab, whether there is
            no such secret, this notebook has no access to it, or Colab did not answer.
        InputError: What was found cannot be a key, or the provider is not known.

    Examples:
        >>> rtnb.find_key("sk-proj-1234567890abcdef")
        Key(sk-proj-…, from the key= argument)
    """
    if (key := hold(key)) is not None:
        return Key(key)
    looked: list[tuple[str, str]] = []
    kind = models.provider_of(None, provider)
    for place, source, held, outcome in _places(kind, ask, environ, Path.cwd() if folder is None else Path(folder)):
        if held and held[0].strip():
            return Key(held.pop(), source)  # out of the list, so that no traceback shows it
        looked.append((place, outcome))
    remedy = next(remedy for sign, remedy in _REMEDIES.items() if sign in " ".join(why for _, why in looked))
    remedy = remedy.format(name=next(iter(kind.key_names), "OPENAI_API_KEY"))
    places = "; ".join(f"{translate(place)}: {translate(outcome)}" for place, outcome in looked)
    # What an outcome says where there may be a key all the same.
    obstacle = next((why for _, why in looked if re.search("no access|Colab did not|cannot be read", why)), "")
    sentence = f"Your API key was not found. Looked in {places}. {remedy}"
    raise KeyMissing(sentence, looked=tuple(looked), obstacle=obstacle, remedy=remedy)


def lookup(
    key: str | Key | None = None,
    *,
    provider: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Key | None:
    """Find the API key, or None where there is none. It never asks; the rest is as in `find_key`.

    Raises:
        InputError: What was found cannot be a key: a broken key is not the same as none.

    Examples:
        >>> rtnb.keys.lookup("sk-proj-1234567890abcdef").source
        'the key= argument'
        >>> rtnb.keys.lookup(environ={}, folder=".") is None
        True
    """
    key = hold(key)
    try:
        return find_key(key, provider=provider, environ=environ, folder=folder)
    except KeyMissing:
        return None


def _places(
    kind: models.Provider, ask: bool, environ: Mapping[str, str] | None, folder: Path
) -> Iterator[tuple[str, str, list[str], str]]:
    """Look in one place after the other.

    Yields:
        The place, what a key from there names as its source, a list of what it holds, and why that is no key.
    """
    userdata = _colab_userdata()
    for name in (*kind.key_names, *kind.colab_names) if userdata is not None else ():
        held, outcome = _colab_secret(userdata, name)
        yield f"Colab's secret {name}", f"Colab's secret {name}", held, outcome
        if outcome.startswith("Colab did not answer"):
            break  # It would not answer for the next name either, and each try takes ten seconds.
    for name in kind.key_names:
        yield f"the environment ({name})", f"the environment ({name})", *_from_environment(environ, name)
    if (path := _dotenv(folder)) is None:
        yield ".env", "", [], "no such file here or above"
    else:
        place = say("{name} in {parent}", name=path.name, parent=path.parent)
        for name in kind.key_names:
            yield place, f"{path.name} ({name})", *_from_dotenv(path, name)
    if ask:
        yield "a prompt", "the prompt", *_ask(kind.key_names[0] if kind.key_names else "API key")


def _from_environment(environ: Mapping[str, str] | None, name: str) -> tuple[list[str], str]:
    # In a function of its own, for what goes wrong later must not show the environment in a traceback.
    variables = os.environ if environ is None else environ
    return ([variables[name]], "empty") if name in variables else ([], "not set")


def _colab_userdata() -> Any | None:
    """Return Colab's module for secrets, or None outside Colab."""
    # Importing `google.colab` anywhere else may find an old package of that name; a Colab kernel has it loaded.
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        with contextlib.suppress(ImportError):
            from google.colab import userdata

            return userdata
    return None


# By name, for the module that defines these exceptions exists on Colab only (googlecolab/colabtools,
# google/colab/userdata.py).
_COLAB_OUTCOMES = {
    "SecretNotFoundError": "there is no such secret",
    "NotebookAccessError": "it exists, but this notebook has no access to it",
    "TimeoutException": "Colab did not answer; secrets work only in Colab's own page, with the tab open",
}


def _colab_secret(userdata: Any, name: str) -> tuple[list[str], str]:
    """Return one of Colab's secrets in a list, and why that is no key."""
    try:
        value = userdata.get(name)
    except Exception as error:
        kind = type(error).__name__
        return [], _COLAB_OUTCOMES.get(kind, f"Colab did not give it ({kind})")
    return [value if isinstance(value, str) else ""], "it is empty"


def _dotenv(folder: Path) -> Path | None:
    """Return the nearest `.env` in `folder` or above it, as far as the home folder or the root."""
    home = Path(os.path.expanduser("~"))  # "~" itself where there is none
    with contextlib.suppress(OSError):
        for place in (folder, *folder.parents):
            if (place / ".env").is_file():
                return place / ".env"
            if place == home:
                break
    return None


def _from_dotenv(path: Path, name: str) -> tuple[list[str], str]:
    """Read the value of `name` in a `.env` file: `export` before, quotes around, comments after."""
    # Only one line of one file is wanted, and nothing may be put into os.environ, where it would be inherited by every
    # command a cell starts: so no dependency on a package that loads the whole file.
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], f"cannot be read ({type(error).__name__})"
    pattern = re.compile(rf"\s*(?:export\s+)?{re.escape(name)}\s*=\s*(?P<value>.*?)\s*$")
    if not (held := [match["value"] for match in map(pattern.match, lines) if match]):
        return [], say("has no {name}", name=name)
    # The last one counts, as in a shell.
    quoted = re.match(r"(?P<quote>['\"])(?P<inside>.*?)(?P=quote)\s*(?:#.*)?$", held[-1])
    return [quoted["inside"] if quoted else re.sub(r"(?:^|\s+)#.*$", "", held[-1])], say("{name} is empty", name=name)


def _ask(name: str) -> tuple[list[str], str]:
    """Ask the user, hiding what is typed; in notebooks the front end shows its own password box."""
    import getpass
    import warnings

    try:
        with warnings.catch_warnings():
            # Where what is typed cannot be hidden, getpass warns and shows it. Then rather not ask at all.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return [getpass.getpass(f"{name}: ")], "nothing was typed"
    # The end of the input, the warning, or ipykernel's StdinNotImplementedError where a notebook runs without a user
    # (nbclient, papermill).
    except Exception:
        return [], "nobody is there to answer, or what is typed cannot be hidden"
