"""Captions of a call: the conversation's turns as the page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtnb.errors import mask_secrets
from rtnb.protocol import conversation as c
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

    def __init__(self, link: KernelLink, audio: AnswerAudio, turns: Callable[[], c.Turns]) -> None:
        self.tool_outputs: dict[str, str] = {}
        self._link, self._audio, self._turns = link, audio, turns
        self._changed: dict[str, None] = {}
        self._ended: set[str] = set()
        self._due = False

    def change(self, item_id: str, *, ended: bool = False) -> None:
        """Show the newest of an item soon; about ten times a second is as often as anybody reads."""
        if ended:
            self._ended.add(item_id)
        self._changed[item_id] = None
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._send_changed)

    def end_all(self) -> None:
        """Note that no answer with audio goes on."""
        self._ended |= self._audio.answers.keys()

    def _send_changed(self) -> None:
        self._due = False
        changed, self._changed = self._changed, {}
        for item_id in changed:
            self._send(item_id)

    def send_all(self, page: str) -> None:
        """Send one page all turns."""
        for turn in self._turns():
            self._send(turn.item_id, to=page)

    def _send(self, item_id: str, to: str | None = None) -> None:
        turns = self._turns()
        index = next((i for i, turn in enumerate(turns) if turn.item_id == item_id), None)
        if index is None or not _visible(turn := turns[index]):
            return
        answer = self._audio.answers.get(item_id)
        words = self.tool_outputs.get(item_id) or turn.words
        if turn.type == "message" and not words and turn.role == "assistant":
            return  # nothing said yet
        self._link.tell(
            "turn",
            to=to,
            item=item_id,
            after=next((t.item_id for t in reversed(turns[:index]) if _visible(t)), None),
            role="tool" if turn.type == "function_call" else turn.role,
            text=mask_secrets(words),
            spoken=turn.spoken,
            open=item_id not in self._ended,
            audio_ms=round(turn.audio_ms) if turn.role == "assistant" else None,
            played_ms=answer.played_ms if answer is not None else turn.truncated_ms,
        )


def _visible(turn: c.Turn) -> bool:
    return turn.type != "function_call_output" and turn.role != "system"
