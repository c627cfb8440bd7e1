"""Checkers of the course's exercises: they read the events of what they are handed and answer in a sentence.

Each is a function of what the learner made. It returns a `Verdict`: right, wrong and why, or nothing yet. What counts
is what went over the wire, not how it was written, so any line that does the job is right.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from . import html
from .errors import InputError
from .reply import Reply
from .session import Session
from .ui.language import language

__all__ = ["Verdict", "check", "numbers"]


@dataclass(frozen=True)
class Verdict:
    """What a checker says.

    Attributes:
        number: The exercise, for example `"02.1"`.
        status: `"right"`, `"wrong"` or `"nothing"` (nothing was handed over yet).
        sentence: What it says to the learner.
    """

    number: str
    status: Literal["right", "wrong", "nothing"]
    sentence: str

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        return f"{self.number} {_MARKS[self.status]} {self.sentence}"

    def _repr_html_(self) -> str:
        kinds: dict[str, Literal["ok", "warning", "info"]] = {"right": "ok", "wrong": "warning", "nothing": "info"}
        return html.notice(repr(self), kinds[self.status])


_MARKS = {"right": "✓", "wrong": "✗", "nothing": "·"}


class _Say(Exception):
    """A checker's answer, raised where it is found; one sentence a language."""

    def __init__(self, status: Literal["right", "wrong", "nothing"], en: str, zh: str) -> None:
        super().__init__(en)
        self.status = status
        self.en = en
        self.zh = zh


_CHECKERS: dict[str, Callable[..., None]] = {}


def _exercise(number: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def keep(checker: Callable[..., None]) -> Callable[..., None]:
        _CHECKERS[number] = checker
        return checker

    return keep


def numbers() -> list[str]:
    """The exercises there are, in the order of the course."""
    return sorted(_CHECKERS)


def check(number: str, *made: Any) -> Verdict:
    """Check an exercise of the course.

    ```python
    rtnb.check("01.1", answer)
    ```

    Args:
        number: The exercise's number, as the notebook has it.
        *made: What the exercise asks for: a reply, a session, a number …. None stands for what is not there yet.

    Returns:
        A verdict, in the language of `rtnb.language()`.

    Raises:
        InputError: If there is no such exercise.
    """
    if number not in _CHECKERS:
        raise InputError(
            f"Your exercise {number!r} does not exist. Take one of: {', '.join(numbers())}.", number=number
        )
    try:
        if not made or any(thing is None for thing in made):
            _nothing()
        _CHECKERS[number](*made)
    except _Say as said:
        return Verdict(number, said.status, said.zh if language() == "zh" else said.en)
    except TypeError as error:
        if "positional argument" not in str(error):
            raise
        raise InputError(
            f"Your check of {number} was given {len(made)} things, which is not what it reads. "
            "Hand over what the notebook names.",
            number=number,
        ) from error
    raise AssertionError(f"the checker of {number} came to no verdict")


def _right(en: str, zh: str) -> NoReturn:
    raise _Say("right", en, zh)


def _wrong(en: str, zh: str) -> NoReturn:
    raise _Say("wrong", en, zh)


def _nothing() -> NoReturn:
    raise _Say(
        "nothing",
        "Nothing here yet. Put your own line in place of None and run the cell again.",
        "这里还没有内容。把 None 换成你自己的代码，再运行一次。",
    )


# --- what many of them need ------------------------------------------------------------------------------------------


def _reply(thing: Any) -> Reply:
    """The reply that was handed over, once it is over and went well."""
    if isinstance(thing, Session):
        _wrong(
            "That is a session. Hand over what chat.ask(…) gave you.",
            "这是一个会话。请交出 chat.ask(…) 返回的东西。",
        )
    if not isinstance(thing, Reply):
        _wrong(
            f"That is a {type(thing).__name__}, not a reply. Hand over what ask(…) gave you.",
            f"这是 {type(thing).__name__}，不是回答。请交出 ask(…) 返回的东西。",
        )
    if not thing.done:
        _wrong(
            "The reply is not over yet. Write await before ask(…), or wait a moment and check again.",
            "回答还没有结束。在 ask(…) 前面写上 await，或者稍等一下再检查。",
        )
    if thing.status != "completed":
        _wrong(
            f"The reply ended as {thing.status!r}. Read reply.error and reply.status_details, and ask again.",
            f"回答的状态是 {thing.status!r}。看看 reply.error 和 reply.status_details，再问一次。",
        )
    return thing


def _session(thing: Any) -> Session:
    """The session that was handed over, once something was said in it."""
    if isinstance(thing, Reply):
        _wrong(
            "That is a single reply. Hand over the session: what rtnb.connect(…) gave you.",
            "这只是一个回答。请交出会话，也就是 rtnb.connect(…) 返回的东西。",
        )
    if not isinstance(thing, Session):
        _wrong(
            f"That is a {type(thing).__name__}, not a session. Hand over what rtnb.connect(…) gave you.",
            f"这是 {type(thing).__name__}，不是会话。请交出 rtnb.connect(…) 返回的东西。",
        )
    return thing


def _sent(session: Session, type_: str) -> list[dict[str, Any]]:
    return [entry.silent for entry in session.log if entry.direction == "sent" and entry.type == type_]


def _received(session: Session, type_: str) -> list[dict[str, Any]]:
    return [entry.silent for entry in session.log if entry.direction == "received" and entry.type == type_]


def _typed(session: Session) -> list[str]:
    """The texts the person typed, in order."""
    return [turn.text for turn in session.turns if turn.role == "user" and turn.text]


def _completed(session: Session) -> int:
    return sum(response.status == "completed" for response in session.conversation.responses.values())


# --- 01 · walkthrough ------------------------------------------------------------------------------------------------


@_exercise("01.1")
def _text_only(answer: Any) -> None:
    reply = _reply(answer)
    if not _received(reply.session, "input_audio_buffer.committed"):
        _wrong(
            "No recording was sent, only words. Hand ask the clip rtnb.samples()['weather'] as well.",
            "没有发送录音，只发了文字。请把 rtnb.samples()['weather'] 也交给 ask。",
        )
    if any(event["type"] == "response.output_audio.delta" for event in reply.events):
        _wrong(
            "The answer came with sound: there are response.output_audio.delta events in it. "
            "Ask for text with modalities='text'.",
            "回答里有声音：事件中有 response.output_audio.delta。用 modalities='text' 只要文字。",
        )
    _right(
        "Right: the events carry response.output_text.delta and no sound; "
        "text is the cheapest way to be answered.",
        "正确：事件里只有 response.output_text.delta，没有声音；只要文字是最便宜的回答方式。",
    )


@_exercise("01.2")
def _first_delta(answer: Any, count: Any) -> None:
    reply = _reply(answer)
    deltas = [event["delta"] for event in reply.events if event["type"] == "response.output_audio.delta"]
    if not deltas:
        _wrong(
            "This reply has no sound. Take one that was asked for without modalities='text'.",
            "这个回答没有声音。请换一个没有用 modalities='text' 的回答。",
        )
    size = len(base64.b64decode(deltas[0]))
    if count == len(deltas[0]):
        _wrong(
            f"{count} is the number of base64 characters. Decode the delta first, then count its bytes.",
            f"{count} 是 base64 字符的个数。先把 delta 解码，再数字节。",
        )
    if count == size // 2:
        _wrong(
            f"{count} is the number of samples. Each of them has two bytes.",
            f"{count} 是采样的个数。每个采样是两个字节。",
        )
    if count != size:
        _wrong(
            f"{count!r} is not it. Take the first event of type response.output_audio.delta and decode its delta.",
            f"{count!r} 不对。找到第一个 response.output_audio.delta 事件，把它的 delta 解码。",
        )
    _right(
        f"Right: {size} bytes, two a sample, 24,000 samples a second: {size / 48:.0f} ms of speech.",
        f"正确：{size} 字节，每个采样两字节，每秒 24,000 个采样，也就是 {size / 48:.0f} 毫秒的语音。",
    )


@_exercise("01.3")
def _own_conversation(made: Any) -> None:
    session = _session(made)
    recordings, typed, answers = (
        len(_received(session, "input_audio_buffer.committed")),
        len(_typed(session)),
        _completed(session),
    )
    if recordings < 2:
        _wrong(
            f"The session's log shows {recordings} recording(s). "
            "Send at least two, each with its own await mine.ask(clip).",
            f"会话的日志里有 {recordings} 段录音；至少发两段，每段各用一次 await mine.ask(clip)。",
        )
    if typed < 1:
        _wrong(
            "There are recordings but no typed question. Add await mine.ask('…') with words.",
            "有录音，但没有打字的问题。再加一句 await mine.ask('…')。",
        )
    if answers < 2:
        _wrong(
            f"Only {answers} answer(s) ended well. Await every ask inside the async with block.",
            f"只有 {answers} 个回答正常结束。请在 async with 里面 await 每一次 ask。",
        )
    _right(
        f"Right: {recordings} recordings, {typed} typed, {answers} answers, all on one connection with one memory.",
        f"正确：{recordings} 段录音、{typed} 条文字、{answers} 个回答，都在同一个连接、同一份记忆里。",
    )
