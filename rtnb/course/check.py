"""Checkers of the course's exercises: they read the events of what they are handed and answer in a sentence.

Each is a function of what the learner made. It returns a `Verdict`: right, wrong and why, or nothing yet. What counts
is what went over the wire, not how it was written, so any line that does the job is right.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from rtnb import html
from rtnb import money as costs
from rtnb.errors import BudgetExceeded, InputError
from rtnb.session.reply import Reply
from rtnb.session.session import Session
from rtnb.texts.language import language

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
            f"That is of type {type(thing).__name__}, not a reply. Hand over what ask(…) gave you.",
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
            f"That is of type {type(thing).__name__}, not a session. Hand over what rtnb.connect(…) gave you.",
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
        "Right: the events carry response.output_text.delta and no sound; text is the cheapest way to be answered.",
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


# --- 02 · conversation -----------------------------------------------------------------------------------------------


@_exercise("02.1")
def _three_and_a_question(made: Any) -> None:
    session = _session(made)
    recordings = len(_received(session, "input_audio_buffer.committed"))
    if recordings < 3:
        _wrong(
            f"This session heard {recordings} recording(s); the exercise wants three, in one session.",
            f"这个会话听到了 {recordings} 段录音；题目要求在同一个会话里听三段。",
        )
    kinds = ["typed" if turn.text else "spoken" for turn in session.turns if turn.role == "user"]
    if "typed" not in kinds:
        _wrong(
            "All three recordings are there. Now ask about them in words, in the same session.",
            "三段录音都有了。接下来在同一个会话里打字提问。",
        )
    if "typed" not in kinds[3:]:
        _wrong(
            "The typed question came before the third recording, so it could not be about all three. Ask it last.",
            "打字的问题排在第三段录音之前，不可能问到全部三段。请放到最后问。",
        )
    if session.turns[-1].role != "assistant":
        _wrong(
            "The question has no answer yet. Await every ask inside the async with block.",
            "问题还没有得到回答。请在 async with 里面 await 每一次 ask。",
        )
    _right(
        f"Right: {recordings} recordings and then a question, answered with all of them in mind.",
        f"正确：先是 {recordings} 段录音，然后提问，回答时全都记着。",
    )


@_exercise("02.2")
def _own_voice(made: Any) -> None:
    session = _session(made)
    effective = session.conversation.session
    asked = session.settings.get("instructions")
    if not asked:
        _wrong(
            "This session runs on the server's own instructions. Give yours: rtnb.connect(instructions='…').",
            "这个会话用的是服务器自带的指令。请给出你自己的：rtnb.connect(instructions='…')。",
        )
    voice = ((effective.get("audio") or {}).get("output") or {}).get("voice")
    if voice in (None, "marin"):
        _wrong(
            f"The voice in force is {voice!r}. Choose another when you connect: voice='cedar', for example.",
            f"当前的音色是 {voice!r}。请在连接时换一个，例如 voice='cedar'。",
        )
    if not any(turn.role == "assistant" and turn.audio_ms for turn in session.turns):
        _wrong(
            "Instructions and voice are set, but nothing was spoken yet. Ask something, with sound.",
            "指令和音色都设好了，但还没有开口。问点什么，并且要声音。",
        )
    _right(
        f"Right: session.updated confirms your instructions and the voice {voice}, and it has spoken.",
        f"正确：session.updated 确认了你的指令和音色 {voice}，而且它已经开口。",
    )


@_exercise("02.3")
def _forgotten(made: Any, secret: Any) -> None:
    session = _session(made)
    if not isinstance(secret, str) or not secret.strip():
        _wrong(
            "The secret should be the word itself, as text.",
            "暗号应该是一段文字，也就是那个词本身。",
        )
    word = secret.casefold()
    told = [event for event in _sent(session, "conversation.item.create") if word in str(event).casefold()]
    if not told:
        _wrong(
            f"Nobody ever told this session {secret!r}: it is in no conversation.item.create of the log.",
            f"从来没有人把 {secret!r} 告诉过这个会话：日志里的 conversation.item.create 都没有它。",
        )
    if not _received(session, "conversation.item.deleted"):
        _wrong(
            "Nothing was deleted: the log has no conversation.item.deleted. Use await session.delete(turn.item_id).",
            "什么都没有删：日志里没有 conversation.item.deleted。用 await session.delete(turn.item_id)。",
        )
    left = [turn.role for turn in session.turns if word in turn.words.casefold()]
    if left:
        _wrong(
            f"The word is still in the conversation, in an item of: {', '.join(left)}. "
            "What the model said counts too; delete every item that holds it, then ask.",
            f"这个词还在对话里，在这些角色的条目中：{', '.join(left)}。"
            "模型自己说的也算；把含有它的条目都删掉，再去问。",
        )
    deleted_at = max(n for n, entry in enumerate(session.log) if entry.type == "conversation.item.deleted")
    if not any(entry.type == "response.done" for entry in list(session.log)[deleted_at:]):
        _wrong(
            "It is deleted. Now prove it: ask for the secret once more.",
            "已经删掉了。现在证明一下：再问一次那个暗号。",
        )
    _right(
        "Right: every item with the word is gone, and the answer after that does not know it.",
        "正确：含有它的条目都不在了，之后的回答也不知道它。",
    )


# --- 03 · live voice -------------------------------------------------------------------------------------------------


def _detection(session: Session) -> dict[str, Any] | None:
    heard = (session.conversation.session.get("audio") or {}).get("input") or {}
    return heard.get("turn_detection")


@_exercise("03.1")
def _push_to_talk(made: Any) -> None:
    session = _session(made)
    if _detection(session) is not None:
        _wrong(
            f"The server still listens for the end of a turn ({_detection(session)['type']}). "  # type: ignore[index]
            "Push to talk is turn_detection=None.",
            f"服务器仍在自己判断一轮何时结束（{_detection(session)['type']}）。"  # type: ignore[index]
            "按住说话要用 turn_detection=None。",
        )
    if not _sent(session, "input_audio_buffer.append"):
        _wrong(
            "No sound was appended. Feed the clip in pieces: session.append(piece).",
            "还没有送入声音。请一块一块地送：session.append(piece)。",
        )
    if not _received(session, "input_audio_buffer.committed"):
        _wrong(
            "The sound lies in the input buffer and nobody ended the turn. Say so: await session.commit().",
            "声音还在输入缓冲区里，没有人宣布说完。请写 await session.commit()。",
        )
    if not _completed(session):
        _wrong(
            "The turn is committed, and nobody asked for an answer. Without detection that is yours to do: respond().",
            "这一轮已经提交，但没有人请求回答。没有自动断句时要自己来：respond()。",
        )
    _right(
        "Right: append, commit, respond. You said when the turn ended, and the log has no speech_stopped.",
        "正确：append、commit、respond。由你宣布说完，日志里没有 speech_stopped。",
    )


@_exercise("03.2")
def _patient(made: Any) -> None:
    session = _session(made)
    detection = _detection(session)
    if not detection or detection.get("type") != "server_vad":
        _wrong(
            "This exercise is about the server's own ear: connect with a turn_detection of type 'server_vad'.",
            "这道题考的是服务器自己的耳朵：连接时 turn_detection 的 type 要用 'server_vad'。",
        )
    stops = len(_received(session, "input_audio_buffer.speech_stopped"))
    if stops == 0:
        _wrong(
            "The server never heard an end of speech. Feed the whole clip and enough silence after it.",
            "服务器一直没有听到话音结束。请送完整段录音，并在后面加上足够的静音。",
        )
    if stops > 1:
        _wrong(
            f"The server heard {stops} turns: it took the pause for the end. "
            f"Raise silence_duration_ms, which is {detection.get('silence_duration_ms')} now.",
            f"服务器听成了 {stops} 轮：它把停顿当成了结束。请调高 silence_duration_ms，现在是 "
            f"{detection.get('silence_duration_ms')}。",
        )
    if not _completed(session):
        _wrong(
            "One turn, as wanted; wait for its answer before you close the session.",
            "确实只有一轮；关闭会话之前请等它回答完。",
        )
    _right(
        f"Right: with {detection.get('silence_duration_ms')} ms of patience the pause stayed inside one turn.",
        f"正确：有了 {detection.get('silence_duration_ms')} 毫秒的耐心，停顿没有把一轮切开。",
    )


@_exercise("03.3")
def _interrupted(made: Any) -> None:
    session = _session(made)
    spoken = [turn for turn in session.turns if turn.role == "assistant" and turn.audio_ms]
    if not spoken:
        _wrong(
            "Nothing was spoken in this session yet, so there is nothing to cut.",
            "这个会话里还没有说过话，没有什么可截断的。",
        )
    cut = [turn for turn in spoken if turn.truncated_ms is not None]
    if not cut:
        _wrong(
            "No answer was truncated: the log has no conversation.item.truncated. "
            "Use await session.truncate(turn.item_id, milliseconds).",
            "没有回答被截断：日志里没有 conversation.item.truncated。用 await session.truncate(turn.item_id, 毫秒)。",
        )
    turn = cut[-1]
    if not turn.truncated_ms:
        _wrong(
            "It was cut to 0 ms, as if nobody had heard anything. Cut it to what was heard, in milliseconds.",
            "它被截到了 0 毫秒，好像谁也没听到。请截到真正听到的那一刻，单位是毫秒。",
        )
    if turn.truncated_ms >= int(turn.audio_ms):
        _wrong(
            f"It was cut at {turn.truncated_ms} ms, which is all of its {turn.audio_ms:.0f} ms. Cut earlier.",
            f"在 {turn.truncated_ms} 毫秒处截断，而它一共也就 {turn.audio_ms:.0f} 毫秒。请截得早一点。",
        )
    _right(
        f"Right: of {turn.audio_ms:.0f} ms the server now believes you heard {turn.truncated_ms}.",
        f"正确：{turn.audio_ms:.0f} 毫秒的回答，服务器现在认为你听到了 {turn.truncated_ms} 毫秒。",
    )


# --- 04 · tools ------------------------------------------------------------------------------------------------------


@_exercise("04.1")
def _tool_called(answer: Any) -> None:
    reply = _reply(answer)
    if not len(reply.session.tools):
        _wrong(
            "The model had no tools. Hand your function over: tools=[my_function].",
            "模型手里没有工具。请把你的函数交给它：tools=[my_function]。",
        )
    if not reply.tool_calls:
        names = ", ".join(str(getattr(tool, "name", tool)) for tool in reply.session.tools)
        _wrong(
            f"The model knew {names} and did not call it. "
            "Use words of its name or docstring in your question, or say tool_choice='required'.",
            f"模型知道 {names}，但没有调用。提问时用上函数名或文档字符串里的词，或者用 tool_choice='required'。",
        )
    call = reply.tool_calls[-1]
    if call.error is not None:
        _wrong(
            f"{call.name} was called and failed: {call.error}",
            f"{call.name} 被调用了，但是失败了：{call.error}",
        )
    if not reply.text:
        _wrong(
            "The function was called, but the model said nothing after it.",
            "函数被调用了，但模型之后什么也没说。",
        )
    _right(f"Right: {call!r}, and the answer was made with it.", f"正确：{call!r}，回答用上了它的结果。")


@_exercise("04.2")
def _tool_failed(answer: Any) -> None:
    reply = _reply(answer)
    if not reply.tool_calls:
        _wrong(
            "No tool was called in this reply. First have the model call your function.",
            "这个回答里没有调用工具。先让模型调用你的函数。",
        )
    failed = [call for call in reply.tool_calls if call.error is not None]
    if not failed:
        _wrong(
            f"{reply.tool_calls[-1]!r} went well. For this exercise the function has to raise.",
            f"{reply.tool_calls[-1]!r} 很顺利。这道题要求函数抛出异常。",
        )
    told = [
        event["item"]["output"]
        for event in _sent(reply.session, "conversation.item.create")
        if (event.get("item") or {}).get("type") == "function_call_output"
    ]
    _right(
        f"Right: your exception did not end the talk. The model was told {told[-1]!r} and could answer.",
        f"正确：异常没有中断对话。模型收到了 {told[-1]!r}，仍然能够回答。",
    )


@_exercise("04.3")
def _picture(answer: Any) -> None:
    reply = _reply(answer)
    entries = reply.session.log
    contents = [
        part
        for entry in entries
        if entry.direction == "sent" and entry.type == "conversation.item.create"
        for part in (entry.silent.get("item") or {}).get("content") or []
    ]
    kinds = {part.get("type") for part in contents}
    if "input_image" not in kinds:
        _wrong(
            "No picture was sent: no item of the log has an input_image part. Hand the Image to ask.",
            "没有发送图片：日志里没有带 input_image 的条目。请把 Image 交给 ask。",
        )
    if "input_text" not in kinds and not _received(reply.session, "input_audio_buffer.committed"):
        _wrong(
            "The picture went out without a question. Add words, or a recording, to the same ask.",
            "图片发出去了，但没有问题。在同一个 ask 里加上文字或录音。",
        )
    if not reply.usage.input_image_tokens:
        _right(
            "Right: picture and question went out together. (This server counts no image tokens.)",
            "正确：图片和问题一起发出去了。（这个服务器不统计图片 token。）",
        )
    _right(
        f"Right: the model saw the picture, {reply.usage.input_image_tokens} tokens of it.",
        f"正确：模型看到了图片，占 {reply.usage.input_image_tokens} 个 token。",
    )


# --- 05 · under the hood ---------------------------------------------------------------------------------------------


@_exercise("05.1")
def _bytes_by_hand(answer: Any, pcm: Any) -> None:
    reply = _reply(answer)
    if reply.audio is None:
        _wrong("This reply has no sound. Take a spoken one.", "这个回答没有声音。请换一个说出来的回答。")
    if isinstance(pcm, str):
        _wrong(
            "That is text, so it is still base64. Decode each delta, then join the bytes.",
            "这是文本，也就是说仍是 base64。先解码每个 delta，再拼接字节。",
        )
    if not isinstance(pcm, bytes | bytearray):
        _wrong(
            f"That is of type {type(pcm).__name__}. Hand over the sound as bytes.",
            f"这是 {type(pcm).__name__}。请以 bytes 交出声音。",
        )
    wanted = reply.audio.pcm
    if bytes(pcm) == wanted:
        _right(
            f"Right: all {len(wanted)} bytes agree with what rtnb decoded.",
            f"正确：{len(wanted)} 个字节与 rtnb 解码的完全一致。",
        )
    if len(pcm) < len(wanted) and wanted.startswith(bytes(pcm)):
        _wrong(
            f"It begins well and stops after {len(pcm)} of {len(wanted)} bytes: some deltas are missing at the end.",
            f"开头是对的，但只有 {len(pcm)} 字节，应为 {len(wanted)}：末尾缺了一些 delta。",
        )
    _wrong(
        f"You have {len(pcm)} bytes, rtnb has {len(wanted)}, and they differ. "
        "Take only response.output_audio.delta, in order.",
        f"你有 {len(pcm)} 字节，rtnb 有 {len(wanted)} 字节，内容不同。只取 response.output_audio.delta，并保持顺序。",
    )


@_exercise("05.2")
def _last_event(answer: Any, name: Any) -> None:
    reply = _reply(answer)
    types = [event["type"] for event in reply.events]
    if name == "rate_limits.updated":
        _wrong(
            "rate_limits.updated comes after the end, late or not at all; who waits for it may wait for ever.",
            "rate_limits.updated 在结束之后才来，可能很晚，也可能根本不来；等它的程序可能永远等下去。",
        )
    if name not in types:
        _wrong(
            f"{name!r} is not among the events of this reply. Look at the types in reply.events.",
            f"这个回答的事件里没有 {name!r}。看看 reply.events 里的类型。",
        )
    if name != "response.done":
        _wrong(
            f"{name} is there, but more of the response came after it: {types[types.index(name) + 1]}, for one.",
            f"{name} 确实有，但之后还有内容，例如 {types[min(types.index(name) + 1, len(types) - 1)]}。",
        )
    _right(
        "Right: response.done ends the turn; it carries the status and the usage.",
        "正确：response.done 表示一轮结束，里面有状态和用量。",
    )


@_exercise("05.3")
def _refused_event(made: Any) -> None:
    session = _session(made)
    errors = [n for n, entry in enumerate(session.log) if entry.direction == "received" and entry.type == "error"]
    if not errors:
        _wrong(
            "The server has not complained yet: the log has no error event. Send something it cannot take.",
            "服务器还没有抱怨：日志里没有 error 事件。发一个它接受不了的东西。",
        )
    error = session.log[errors[-1]].event["error"]
    later = list(session.log)[errors[-1] :]
    done = [
        entry.event["response"] for entry in later if entry.type == "response.done" and entry.direction == "received"
    ]
    if not any(response.get("status") == "completed" for response in done):
        _wrong(
            f"There is the error ({error.get('code')}). Now show that the session lives on: ask it something.",
            f"错误出现了（{error.get('code')}）。现在证明会话还活着：再问它点什么。",
        )
    _right(
        f"Right: {error.get('code')} at {error.get('param') or 'the event'} was refused, "
        "and the next answer came all the same.",
        f"正确：{error.get('param') or '该事件'} 因 {error.get('code')} 被拒绝，而下一个回答照常到来。",
    )


# --- 06 · money and limits -------------------------------------------------------------------------------------------


@_exercise("06.1")
def _by_hand(answer: Any, usd: Any) -> None:
    reply = _reply(answer)
    try:
        given = float(usd)
    except (TypeError, ValueError):
        _wrong(f"{usd!r} is not an amount of money.", f"{usd!r} 不是金额。")
    cost = reply.cost
    if cost.usd is None:
        _wrong(
            f"No price is known for {reply.model}. Ask one of the models in rtnb.prices().",
            f"不知道 {reply.model} 的价格。请用 rtnb.prices() 里的模型。",
        )
    if _near(given, cost.usd):
        _right(f"Right: {cost}, to the last digit that matters.", f"正确：{cost}，有意义的数位全对。")
    if _near(given, cost.usd * 100):
        _wrong("The figure is right, but in cents. Give dollars.", "数字没错，但单位是美分。请给美元。")
    if _near(given, cost.usd * 1e6):
        _wrong(
            "Prices are for a million tokens: divide by 1,000,000.",
            "价格是每百万 token 的：请除以 1,000,000。",
        )
    for line in cost.lines:
        if line.usd and _near(given, cost.usd - line.usd):
            _wrong(
                f"Nearly: one line is missing, {line.what}.",
                f"差一点：少了一项，{line.what}。",
            )
    _wrong(
        f"You have ${given:.6f}, the lines of reply.cost add up to ${cost.usd:.6f}. "
        "Show reply.cost and compare line by line.",
        f"你算出 ${given:.6f}，reply.cost 各行之和是 ${cost.usd:.6f}。显示 reply.cost，逐行对照。",
    )


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= max(1e-9, 0.002 * abs(other))


@_exercise("06.2")
def _stopped(made: Any) -> None:
    error = made.error if isinstance(made, Reply | Session) else made
    if isinstance(made, Reply) and not made.done:
        _wrong("The reply still runs. Await it inside try.", "回答还在进行。请在 try 里面 await 它。")
    if error is None:
        _wrong(
            "Nothing stopped it: the budget was large enough. Make it smaller, or talk longer.",
            "没有东西拦住它：预算足够大。把预算调小，或者多聊几轮。",
        )
    if not isinstance(error, BaseException):
        _wrong(
            f"That is of type {type(error).__name__}. Hand over the exception you caught, or the reply it stopped.",
            f"这是 {type(error).__name__}。请交出你捕获的异常，或被拦下的回答。",
        )
    if not isinstance(error, BudgetExceeded):
        _wrong(
            f"It ended, but not for money: {type(error).__name__}: {error}",
            f"它确实结束了，但不是因为钱：{type(error).__name__}：{error}",
        )
    _right(
        f"Right: of {costs.money(error.limit_usd)} {costs.money(error.spent_usd)} was spent, and rtnb said stop.",
        f"正确：预算 {costs.money(error.limit_usd)}，已用 {costs.money(error.spent_usd)}，rtnb 喊了停。",
    )


@_exercise("06.3")
def _cheaper(dear: Any, cheap: Any) -> None:
    one, other = _reply(dear), _reply(cheap)
    if one is other:
        _wrong("That is the same reply twice.", "这是同一个回答，交了两次。")
    first, second = one.cost.usd, other.cost.usd
    if first is None or second is None:
        _wrong(
            "One of the two has no known price. Ask models that are in rtnb.prices().",
            "其中一个没有已知价格。请用 rtnb.prices() 里的模型。",
        )
    if second > first / 2:
        _wrong(
            f"The second costs {other.cost} against {one.cost}: {second / first:.0%} of it. "
            "Halve it: text instead of sound, a shorter answer, or the small model.",
            f"第二个花费 {other.cost}，第一个 {one.cost}，占 {second / first:.0%}。"
            "目标是减半：只要文字、更短的回答，或换小模型。",
        )
    if not other.text:
        _wrong("The cheap one says nothing. It should still answer.", "便宜的那个什么也没说。它总得回答。")
    _right(
        f"Right: {other.cost} instead of {one.cost}, that is {second / first:.0%}.",
        f"正确：{other.cost}，而不是 {one.cost}，只有 {second / first:.0%}。",
    )


# --- 07 · your own assistant -----------------------------------------------------------------------------------------


@_exercise("07.1")
def _assistant(made: Any) -> None:
    session = _session(made)
    if not session.settings.get("instructions"):
        _wrong(
            "Your assistant has no instructions of its own. Tell it who it is when you connect.",
            "你的助手还没有自己的指令。连接时告诉它它是谁。",
        )
    worked = [
        event
        for event in _sent(session, "conversation.item.create")
        if (event.get("item") or {}).get("type") == "function_call_output"
        and not str(event["item"].get("output", "")).startswith("Error:")
    ]
    if not worked:
        _wrong(
            "No tool of yours gave a result in this session. Have it call one.",
            "这个会话里，你的工具还没有给出过结果。让它调用一个。",
        )
    spoken = len(_received(session, "input_audio_buffer.committed"))
    turns = sum(turn.role == "user" for turn in session.turns)
    if not spoken or turns < 3:
        _wrong(
            f"So far {turns} turn(s) of yours, {spoken} of them spoken. Have at least three, one of them a recording.",
            f"目前你有 {turns} 轮，其中 {spoken} 轮是录音。至少三轮，其中一轮是录音。",
        )
    _right(
        f"Right: {turns} turns, {len(worked)} tool call(s), {costs.money(session.cost.usd)} at OpenAI's prices.",
        f"正确：{turns} 轮、{len(worked)} 次工具调用，按 OpenAI 价格为 {costs.money(session.cost.usd)}。",
    )


@_exercise("07.2")
def _replayed(made: Any) -> None:
    session = made.session if isinstance(made, Reply) else _session(made)
    if session.source != "replay":
        _wrong(
            f"This was answered by {session.source}, not by a recording. "
            "Save a session, then rtnb.connect(replay=path).",
            f"这是 {session.source} 回答的，不是录制文件。先保存一个会话，再用 rtnb.connect(replay=路径)。",
        )
    if not _completed(session):
        _wrong(
            "The replay is open, but nothing was asked of it. Ask what was asked when it was recorded.",
            "回放已经打开，但还没有提问。问录制时问过的问题。",
        )
    _right(
        "Right: the same words and the same sound again, with no key and at no cost.",
        "正确：同样的文字、同样的声音，不需要密钥，也不花钱。",
    )


@_exercise("07.3")
def _beside(made: Any, note: Any) -> None:
    session, reply = _session(made), _reply(note)
    if reply.session is not session:
        _wrong(
            "The note comes from another session. Ask for it with .side(…) on the same one.",
            "这条笔记来自另一个会话。请在同一个会话上用 .side(…)。",
        )
    if any(response.conversation_id is not None for response in reply.responses):
        _wrong(
            "That was an ordinary turn: it has become part of the conversation. Use .side(…).",
            "这是普通的一轮，已经成了对话的一部分。请用 .side(…)。",
        )
    if not any(turn.role == "assistant" for turn in session.turns):
        _wrong(
            "There is no talk yet for the note to be about. Ask something first.",
            "还没有对话可供做笔记。先问点什么。",
        )
    _right(
        "Right: the answer is there, and the conversation does not remember that you asked.",
        "正确：答案有了，而对话并不记得你问过。",
    )
