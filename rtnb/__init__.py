"""Talk to the OpenAI Realtime API from a notebook: upload or record, ask, read and hear the answer.

The public names, loaded when first used, so that `import rtnb` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name → the module it lives in.
_HOME = {
    "AudioError": "errors",
    "Clip": "audio",
    "RtnbError": "errors",
    "Session": "session",
    "ask": "ask",
    "call": "ui.call",
    "connect": "session",
    "doctor": "doctor",
    "find_key": "keys",
    "join": "audio",
    "language": "ui.language",
    "practice": "practice",
    "prices": "costs",
    "record": "ui.recorder",
    "run": "background",
    "samples": "audio",
    "upload": "ui.upload",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rtnb' has no attribute {name!r}")
    value = getattr(import_module(f"rtnb.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
