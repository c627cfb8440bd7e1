"""Settings of one response: the session's, with the overrides of `response.create`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtnb.server.protocol.items import Item

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """Settings of one response.

    Attributes:
        context: The items it answers to, oldest first.
        in_conversation: False for an out-of-band response.
        truncation: The session's `truncation`: what to do when the context is full.
        one_call: At most one function call (`parallel_tool_calls` false).
        effort: Reasoning effort that was asked for, or None.
        cacheable: Tokens of its input that an earlier response has read already.
        failure: An error to fail with at once (`{"type", "code", "message"}`), or None.
        asked: The instructions that its own `response.create` brought, or "".
    """

    instructions: str
    modalities: list[str]
    tools: list[dict[str, Any]]
    tool_choice: Any
    max_output_tokens: int | str
    format: dict[str, Any]
    voice: Any
    speed: float
    metadata: dict[str, str] | None
    context: list[Item]
    in_conversation: bool
    truncation: Any
    one_call: bool
    effort: str | None
    cacheable: int
    failure: dict[str, Any] | None
    asked: str

    @property
    def spoken(self) -> bool:
        """True where it answers in audio."""
        return self.modalities == ["audio"]
