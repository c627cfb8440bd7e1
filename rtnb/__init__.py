"""Talk to the OpenAI Realtime API from a notebook: upload or record, ask, read and hear the answer.

The public names, loaded when first used, so that `import rtnb` costs next to nothing.
"""

from importlib import import_module
from typing import Any

# Module → the public names it has; after a colon stands the name there, where that differs.
_NAMES = {
    "asking": "ask connect",
    "audio": "Clip join samples",
    "course.check": "check",
    "diagnosis.doctor": "doctor",
    "errors": "ArgumentError AudioError BudgetExceeded ConnectionFailed InputError KeyMissing KeyRefused ReplayError "
    "ResponseFailed RtnbError RtnbWarning ServerError ToolFailed",
    "image": "Image",
    "jobs.map": "map",
    "jobs.transcribe": "transcribe",
    "jobs.translate": "translate",
    "keys": "find_key",
    "money": "Budget estimate limit_kernel prices",
    "protocol.conversation": "Conversation",
    "server.server:start": "practice",
    "session.session": "Session",
    "session.tools": "Tool",
    "texts.language": "language",
    "transport.io_thread": "run",
    "ui.call.widget": "call",
    "ui.recorder.widget": "record",
    "ui.upload.widget": "upload",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}
# Modules a learner imports by name: `from rtnb import costs`.
_MODULES = {"costs": "money", "keys": "keys", "models": "models"}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "last":  # another one after each call, so it is never kept here
        return import_module("rtnb.transport.cells").last()
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
    return sorted({*globals(), *__all__, "last"})
