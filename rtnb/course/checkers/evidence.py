"""Read the evidence that checkers judge: the reply or session handed over, and the events in its log."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from rtnb.session.reply import Reply
from rtnb.session.session import Session
from rtnb.texts.language import say

# By its number, a function of what the learner made, which is read as the annotations say: it returns the sentence for
# a right answer, or raises `Wrong`.
Exercises = Mapping[str, Callable[..., str]]


class Wrong(Exception):
    """Answer that is not right, and why.

    Args:
        english: The sentence in English, which is its key in `zh.toml`.
        **values: What its braces stand for.
    """

    def __init__(self, english: str, **values: object) -> None:
        super().__init__(say(english, **values))


def require(met: object, english: str, **values: object) -> None:
    """Raise `Wrong` with a sentence and its values unless something is met."""
    if not met:
        raise Wrong(english, **values)


def reply_of(thing: Any) -> Reply:
    """Return the reply that was handed over, once it is complete."""
    require(not isinstance(thing, Session), "That is a session. Hand over what chat.ask(…) gave you.")
    sentence = "That is of type {kind}, not a reply. Hand over what ask(…) gave you."
    require(isinstance(thing, Reply), sentence, kind=type(thing).__name__)
    require(thing.done, "The reply is not over yet. Write await before ask(…), or wait a moment and check again.")
    sentence = "The reply ended as {status!r}. Read reply.error and reply.status_details, and ask again."
    require(thing.status == "completed", sentence, status=thing.status)
    return thing


def session_of(thing: Any) -> Session:
    """Return the session that was handed over."""
    sentence = "That is a single reply. Hand over the session: what rtnb.connect(…) gave you."
    require(not isinstance(thing, Reply), sentence)
    sentence = "That is of type {kind}, not a session. Hand over what rtnb.connect(…) gave you."
    require(isinstance(thing, Session), sentence, kind=type(thing).__name__)
    return thing


# By the annotation of a parameter, how what was handed over for it is read; anything else is taken as it is.
READERS: dict[object, Callable[[Any], Any]] = {Reply: reply_of, Session: session_of}


def events(session: Session, direction: Literal["sent", "received"], type_: str) -> list[dict[str, Any]]:
    """Return the events of a type that went in a direction, their audio left out."""
    return [entry.silent for entry in session.log if entry.direction == direction and entry.type == type_]


def tool_outputs(session: Session) -> list[str]:
    """Return what the learner's tools returned to the model, in order."""
    items = [event.get("item") or {} for event in events(session, "sent", "conversation.item.create")]
    return [item.get("output", "") for item in items if item.get("type") == "function_call_output"]


def recordings(session: Session) -> int:
    """Return how many times the input audio buffer was committed: by `ask(clip)` or by turn detection."""
    return len(events(session, "received", "input_audio_buffer.committed"))


def completed(session: Session) -> int:
    """Return how many responses are complete."""
    return sum(response.status == "completed" for response in session.conversation.responses.values())
