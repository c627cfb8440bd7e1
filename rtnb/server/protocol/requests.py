"""What a brain is asked and what it may answer: the values between the practice server and whatever thinks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["Answer", "Call", "Cut", "Request", "Responder", "Text"]


@dataclass(frozen=True, slots=True)
class Request:
    """One response to think of.

    Attributes:
        instructions: The session's or the response's instructions; "" for none.
        items: Conversation items in order, in the API's own form. User audio parts carry the recognised words as
            `transcript`.
        tools: Function tools in the API's own form (`type`, `name`, `description`, `parameters`).
        tool_choice: `"auto"`, `"none"`, `"required"`, or `{"type": "function", "name": …}`.
        modalities: `("audio",)` or `("text",)`.
        prompt_language: ISO 639-1 code of what the user speaks, where the session says so. None: find out.
        asked: The instructions that this one response was asked with, which may be a request; "" for none.
        aside: Whether the answer goes beside the conversation (an out-of-band response).
    """

    instructions: str = ""
    items: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    modalities: Sequence[str] = ("audio",)
    prompt_language: str | None = None
    asked: str = ""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence of the answer, without the space to the next."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function the model wants called, with its arguments already parsed."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer ends here, before its end. `reason` is what an incomplete response's `status_details` tell."""

    reason: Literal["max_output_tokens", "content_filter"]


Answer = Text | Call | Cut


class Responder(Protocol):
    """Whatever thinks: `brain.think` as it stands, or a `brain.Remote`."""

    def __call__(self, request: Request) -> Iterator[Answer]:
        """Answer a request, a sentence or a call at a time."""
        ...
