"""Talk to the OpenAI Realtime API from a notebook: upload or record, ask, read and hear the answer.

The public names, loaded when first used, so that `import rtnb` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name → the module that has it, and its name there where that differs.
_HOME = {
    "AudioError": "errors",
    "Budget": "money",
    "BudgetExceeded": "errors",
    "Clip": "audio",
    "ConnectionFailed": "errors",
    "Conversation": "protocol.conversation",
    "Image": "image",
    "InputError": "errors",
    "KeyMissing": "errors",
    "KeyRefused": "errors",
    "ReplayError": "errors",
    "ResponseFailed": "errors",
    "RtnbError": "errors",
    "RtnbWarning": "errors",
    "ServerError": "errors",
    "Session": "session.session",
    "Tool": "session.tools",
    "ToolFailed": "errors",
    "ask": "asking",
    "call": "ui.call.widget",
    "check": "course.check",
    "connect": "asking",
    "doctor": "diagnosis.doctor",
    "estimate": "money",
    "find_key": "keys",
    "join": "audio",
    "language": "texts.language",
    "limit_kernel": "money",
    "map": "jobs.map",
    "practice": "server.server:start",
    "prices": "money",
    "record": "ui.recorder.widget",
    "run": "transport.io_thread",
    "samples": "audio",
    "transcribe": "jobs.transcribe",
    "translate": "jobs.translate",
    "upload": "ui.upload.widget",
}
# Modules a learner imports by name: `from rtnb import costs`.
_MODULES = {"costs": "money"}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = import_module(f"rtnb.{_MODULES[name]}")
    elif name in _HOME:
        module, _, there = _HOME[name].partition(":")
        value = getattr(import_module(f"rtnb.{module}"), there or name)
    else:
        raise AttributeError(f"module 'rtnb' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
