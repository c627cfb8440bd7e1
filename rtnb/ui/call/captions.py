"""Captions of a call: the conversation's turns as the page shows them."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from rtnb.errors import mask_secrets
from rtnb.protocol.items import Turn, Turns
from rtnb.ui.call.answer_audio import AnswerAudio
from rtnb.ui.shared.kernel_link import KernelLink

_EVERY_SECONDS = 0.08


class Captions:
    """Turns on their way to the pages; lives on the I/O thread.

    Args:
        link: The link to the pages.
        audio: The audio of the answers, which knows how much of each was played.
        turns: Returns the conversation's turns.

    Attributes:
        tool_outputs: What a tool call returned, by its item id, to be shown in the place of its arguments.
    """

    def __init__(self, link: KernelLink, audio: AnswerAudio, turns: Callable[[], Turns]) -> None:
        self.tool_outputs: dict[str, str] = {}
        self._link, self._audio, self._turns = link, audio, turns
        self._changed: set[str] = set()
        self._ended: set[str] = set()

    def change(self, item_id: str, *, ended: bool = False) -> None:
        """Show the newest of an item soon; about ten times a second is as often as anybody reads."""
        if ended:
            self._ended.add(item_id)
        if not self._changed:
            asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._send_changed)
        self._changed.add(item_id)

    def end_all(self) -> None:
        """Note that no answer with audio goes on."""
        self._ended |= self._audio.answers.keys()

    def _send_changed(self) -> None:
        changed, self._changed = self._changed, set()
        self.send(only=changed)

    def send(self, *, only: Collection[str] | None = None, to: str | None = None) -> None:
        """Send the turns of some items, or all turns, to one page, or to all."""
        after = None
        for turn in self._turns():
            shown_id = turn.first_id or turn.item_id  # the pages learn of no other one
            if turn.type == "function_call_output" or turn.role == "system":
                continue
            if only is None or shown_id in only:
                self._send_turn(turn, shown_id, after, to)
            after = shown_id

    def _send_turn(self, turn: Turn, shown_id: str, after: str | None, to: str | None) -> None:
        answer = self._audio.answers.get(turn.item_id)
        words = self.tool_outputs.get(shown_id) or turn.words
        if turn.type == "message" and not words and turn.role == "assistant":
            return  # nothing said yet
        shown: dict[str, Any] = {"item": shown_id, "after": after, "text": mask_secrets(words), "spoken": turn.spoken}
        shown["role"] = "tool" if turn.type == "function_call" else turn.role
        shown["open"] = shown_id not in self._ended
        shown["audio_ms"] = round(turn.audio_ms) if turn.role == "assistant" else None
        shown["played_ms"] = turn.truncated_ms if answer is None else answer.played_ms
        self._link.tell("turn", to=to, **shown)
