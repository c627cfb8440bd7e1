"""Public names with their signatures, for editors and type checkers; `__init__.py` loads them when first used."""

from rtnb import keys as keys
from rtnb import models as models
from rtnb import money
from rtnb.asking import ask as ask
from rtnb.asking import connect as connect
from rtnb.audio import Clip as Clip
from rtnb.audio import join as join
from rtnb.audio import samples as samples
from rtnb.course.check import check as check
from rtnb.diagnosis.doctor import doctor as doctor
from rtnb.errors import ArgumentError as ArgumentError
from rtnb.errors import AudioError as AudioError
from rtnb.errors import BudgetExceeded as BudgetExceeded
from rtnb.errors import ConnectionFailed as ConnectionFailed
from rtnb.errors import InputError as InputError
from rtnb.errors import KeyMissing as KeyMissing
from rtnb.errors import KeyRefused as KeyRefused
from rtnb.errors import ReplayError as ReplayError
from rtnb.errors import ResponseFailed as ResponseFailed
from rtnb.errors import RtnbError as RtnbError
from rtnb.errors import RtnbWarning as RtnbWarning
from rtnb.errors import ServerError as ServerError
from rtnb.errors import ToolFailed as ToolFailed
from rtnb.image import Image as Image
from rtnb.jobs.map import Results
from rtnb.jobs.map import map as map
from rtnb.jobs.transcribe import transcribe as transcribe
from rtnb.jobs.transcription import Transcription
from rtnb.jobs.translate import Translation
from rtnb.jobs.translate import translate as translate
from rtnb.keys import find_key as find_key
from rtnb.money import Budget as Budget
from rtnb.money import estimate as estimate
from rtnb.money import limit_kernel as limit_kernel
from rtnb.money import prices as prices
from rtnb.protocol.conversation import Conversation as Conversation
from rtnb.server.server import start
from rtnb.session.reply import Reply
from rtnb.session.session import Session as Session
from rtnb.session.tools import Tool as Tool
from rtnb.texts.language import language as language
from rtnb.transport.io_thread import run as run
from rtnb.ui.call.widget import call as call
from rtnb.ui.recorder.widget import record as record
from rtnb.ui.upload.widget import upload as upload

__version__: str
last: Reply | Transcription | Translation | Results | None
costs = money
practice = start
