"""Check the exercises of notebook 8, the article repaired."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from rtnb import models
from rtnb.course.checkers.evidence import Exercises, Reply, Session, Wrong, require
from rtnb.texts.language import say


def _handshake(made: Any) -> Any:
    """Return the request with which a socket of `websockets` was opened, or blame what was handed over in its place."""
    if isinstance(made, BaseException):
        sentence = "It still ends with {kind}: {error}. Mend the cell above and run both again."
        raise Wrong(sentence, kind=type(made).__name__, error=str(made)[:100])
    request: Any = getattr(made, "request", None)
    sentence = "That is of type {kind}. Return the socket that connect(…) opened."
    require(getattr(made, "response", None) and hasattr(request, "path"), sentence, kind=type(made).__name__)
    require("Authorization" in request.headers, "It went out without the key. Keep the header Authorization.")
    return request


def library(socket: Any) -> str:
    """Check that a socket was opened with the headers of 2024."""
    headers = _handshake(socket).headers
    sentence = (
        "It opens, but without the header OpenAI-Beta. Here only the name of the argument is wrong; keep both headers."
    )
    require("OpenAI-Beta" in headers, sentence)
    return say(
        "Right: the argument has another name now, and both headers went out. On to what the server says to them."
    )


def interface(socket: Any) -> str:
    """Check that a socket was opened without asking for the Beta interface."""
    headers = _handshake(socket).headers
    sentence = (
        "The request still carries OpenAI-Beta: {value}, and the server closed it as {reason}. Leave that header out."
    )
    reason = socket.close_reason or socket.close_code
    require("OpenAI-Beta" not in headers, sentence, value=headers.get("OpenAI-Beta"), reason=reason)
    return say("Right: nothing asks for the Beta any more. The socket was closed with {code}.", code=socket.close_code)


def model_of_today(socket: Any) -> str:
    """Check that a session of a model of today was opened."""
    request = _handshake(socket)
    require("OpenAI-Beta" not in request.headers, "The header OpenAI-Beta is back. Leave it out, as in 8.2.")
    (name,) = parse_qs(urlsplit(request.path).query).get("model", ["…"])
    sentence = "The server closed it with {code}, {reason}: it does not serve {name}. Choose one from rtnb.prices()."
    figures = {"code": socket.close_code, "reason": socket.close_reason, "name": name}
    require(socket.close_code in (None, 1000), sentence, **figures)
    ends = models.get(name).shutdown
    sentence = "{name} answers, but it ends on {day}. Decide on one without a last day, or you repair this again soon."
    require(ends is None, sentence, name=name, day=ends)
    return say("Right: {name} opened a session, and no last day is known for it.", name=name)


def words(reply: Reply, text: Any) -> str:
    """Check the transcript as the learner read it from the events."""
    sentence = "It still ends with {kind}. No part has the type that the code compares with: print each part's type."
    require(not isinstance(text, BaseException), sentence, kind=type(text).__name__)
    require(isinstance(text, str), "That is of type {kind}, not the text that was said.", kind=type(text).__name__)
    sentence = "You have {given} characters, the answer has {wanted}. Return the transcript of the part, whole."
    require(text == reply.text, sentence, given=len(text), wanted=len(reply.text))
    return say("Right: all {wanted} characters. Only the name of the part's type had changed.", wanted=len(text))


def sound(reply: Reply, audio: Any) -> str:
    """Check the answer's PCM as the learner took it from the events."""
    kind = type(audio).__name__
    require(isinstance(audio, bytes | bytearray), "That is of type {kind}. Hand over the sound as bytes.", kind=kind)
    wanted = reply.audio.pcm if reply.audio else b""
    require(wanted, "This reply has no sound. Take a spoken one.")
    sentence = "No sound, and no error: no event has the type that the code looks for. Count the types of reply.events."
    require(audio, sentence)
    sentence = "You have {given} bytes, the answer has {wanted}. Decode every delta of sound, in order, then join."
    require(bytes(audio) == wanted, sentence, given=len(audio), wanted=len(wanted))
    return say("Right: {wanted} bytes. The file was empty only because an event had another name.", wanted=len(wanted))


def end(session: Session, seen: Any) -> str:
    """Check that the learner's loop left at the end of the answer."""
    sentence = "It waited until the time was up: the event it waits for never comes. Read the last type in chat.log."
    require(not isinstance(seen, BaseException), sentence)
    require(isinstance(seen, list) and seen, "Hand over the list of the types that the loop has seen.")
    received = [entry.type for entry in session.log if entry.direction == "received"]
    require(
        seen == received[: len(seen)], "These are not the events of this session, in their order. Keep all of them."
    )
    sentence = "It left at {name}, and more of the answer came after it. Wait for the event that ends a response."
    require(seen[-1] == "response.done", sentence, name=seen[-1])
    return say("Right: response.done is there whatever becomes of the answer; the rest may come or not.")


EXERCISES: Exercises = {
    "08.1": library,
    "08.2": interface,
    "08.3": model_of_today,
    "08.4": words,
    "08.5": sound,
    "08.6": end,
}
