"""Requests to the responder and the pieces of its answers: the values between the practice server and its responder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Request:
    """One response to write.

    Attributes:
        instructions: The session's or the response's instructions; "" for none.
        items: Conversation items in order, in the API's own form. User audio parts carry the recognised words as
            `transcript`, and `unintelligible` where somebody speaks in a language that the ASR does not know.
        tools: Function tools in the API's own form (`type`, `name`, `description`, `parameters`).
        tool_choice: `"auto"`, `"none"`, `"required"`, or `{"type": "function", "name": …}`.
        modalities: `("audio",)` or `("text",)`.
        prompt_language: ISO 639-1 code of what the user speaks, where the session says so. None: find out.
        asked: Instructions that came with this one response, which may be a request; "" for none.
        aside: True for an out-of-band response.
    """

    instructions: str = ""
    items: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    modalities: Sequence[str] = ("audio",)
    prompt_language: str | None = None
    asked: str = ""
    aside: bool = False

    @property
    def functions(self) -> list[Mapping[str, Any]]:
        """Tools that are functions with a name, whatever else a client may have listed."""
        return [tool for tool in self.tools if tool["type"] == "function" and tool["name"]]


class Text(NamedTuple):
    """One sentence of the answer, without the space to the next.

    Attributes:
        text: The sentence.
        pace: How fast it is to be spoken, 1 as the session says.
        gain: How loud it is to be spoken, 1 as the voice is.
    """

    text: str
    pace: float = 1.0
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """Function call, with its arguments already parsed."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Cut(NamedTuple):
    """Early end of the answer. `reason` goes into the `status_details` of the incomplete response."""

    reason: Literal["max_output_tokens", "content_filter"]


class Fail(NamedTuple):
    """End of the response as a failed one; `error` goes into its `status_details`."""

    error: Mapping[str, Any]


Answer = Text | Call | Cut | Fail


Responder = Callable[[Request], Iterator[Answer]]
"""What answers requests, a sentence or a call at a time: the package's own rules, or a language model elsewhere."""
