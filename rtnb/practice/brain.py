"""The practice server's brain."""

from __future__ import annotations

from collections.abc import Iterator

from rtnb.practice.thoughts import Brain, Call, Request, Say

__all__ = ["Brain", "Call", "Request", "Say", "think"]


def think(request: Request) -> Iterator[Say | Call]:
    """Answer offline, by rules."""
    heard = ""
    for item in request.items:
        if item.get("role") == "user":
            parts = item.get("content") or []
            heard = (
                " ".join(part.get("text") or part.get("transcript") or "" for part in parts).strip() or heard
            )
    yield Say("I am a practice voice, not a language model.")
    yield Say(f"I heard: {heard}" if heard else "I did not hear any words.")
