"""Talk to the OpenAI Realtime API from a notebook: upload or record, ask, read and hear the answer.

The public names, loaded when first used, so that `import rtnb` costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# Public name → the module it lives in, and its name there where that differs.
_HOME = {
    "AudioError": "errors",
    "Clip": "audio",
    "Image": "image",
    "RtnbError": "errors",
    "Session": "session",
    "ask": "ask",
    "call": "ui.call",
    "check": "check",
    "connect": "ask",
    "doctor": "doctor",
    "estimate": "costs",
    "find_key": "keys",
    "join": "audio",
    "language": "ui.language",
    "map": "map",
    "practice": "practice.server:start",
    "prices": "costs",
    "record": "ui.recorder",
    "run": "background",
    "samples": "audio",
    "transcribe": "transcribe",
    "translate": "translate",
    "upload": "ui.upload",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


class _House(ModuleType):
    """The package itself, in which a public function wins over the module of the same name.

    The import system binds every imported submodule as an attribute of its package, so that after
    `from rtnb.ask import ask` somewhere, `rtnb.ask` would be a module and could no longer be called.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _House


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rtnb' has no attribute {name!r}")
    module, _, there = _HOME[name].partition(":")
    value = getattr(import_module(f"rtnb.{module}"), there or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
