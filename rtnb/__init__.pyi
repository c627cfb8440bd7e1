"""Public names with their signatures, for editors and type checkers; `__init__.py` loads them when first used."""

from rtnb import keys, models
from rtnb import money as costs
from rtnb.asking import ask, connect
from rtnb.audio import Clip, join, samples
from rtnb.course.check import check
from rtnb.diagnosis.doctor import doctor
from rtnb.errors import (
    AudioError,
    BudgetExceeded,
    ConnectionFailed,
    InputError,
    KeyMissing,
    KeyRefused,
    ReplayError,
    ResponseFailed,
    RtnbError,
    RtnbWarning,
    ServerError,
    ToolFailed,
)
from rtnb.image import Image
from rtnb.jobs.map import map
from rtnb.jobs.transcribe import transcribe
from rtnb.jobs.translate import translate
from rtnb.keys import find_key
from rtnb.money import Budget, estimate, limit_kernel, prices
from rtnb.protocol.conversation import Conversation
from rtnb.server.server import start as practice
from rtnb.session.session import Session
from rtnb.session.tools import Tool
from rtnb.texts.language import language
from rtnb.transport.io_thread import run
from rtnb.ui.call import call
from rtnb.ui.recorder import record
from rtnb.ui.upload import upload

__all__ = [
    "AudioError",
    "Budget",
    "BudgetExceeded",
    "Clip",
    "ConnectionFailed",
    "Conversation",
    "Image",
    "InputError",
    "KeyMissing",
    "KeyRefused",
    "ReplayError",
    "ResponseFailed",
    "RtnbError",
    "RtnbWarning",
    "ServerError",
    "Session",
    "Tool",
    "ToolFailed",
    "ask",
    "call",
    "check",
    "connect",
    "costs",
    "doctor",
    "estimate",
    "find_key",
    "join",
    "keys",
    "language",
    "limit_kernel",
    "map",
    "models",
    "practice",
    "prices",
    "record",
    "run",
    "samples",
    "transcribe",
    "translate",
    "upload",
]
__version__: str
