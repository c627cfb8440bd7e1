"""The conversation's items: what a client may put there, their order, and what each of them holds.

Shapes as recorded: items carry no `object` field, a user's sound is shown as `transcript: null` and never patched,
a function's output is echoed without a status.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rtnb.server.protocol import api_errors
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.schema import Check, anything, array, choice, nullable, record, string, tagged

__all__ = ["Conversation", "Item", "read_item"]

# No limit is documented; this keeps one client from filling the memory of all.
_MOST_CHARACTERS = 64 * 1024 * 1024


@dataclass
class Item:
    """One item and what the server knows of it beyond what it shows.

    Attributes:
        shown: The object as events show it.
        sound: What was said, s16le 24 kHz mono; empty for text. A bytearray while it is being said.
        heard: The recogniser's words; None until it has finished (or where there is nothing to hear).
        awaiting: True while a recogniser is at work on it.
        truncated_ms: Where the client cut the assistant's sound; None where it did not.
    """

    shown: dict[str, Any]
    sound: bytes | bytearray = b""
    heard: str | None = None
    awaiting: bool = False
    truncated_ms: int | None = None

    @property
    def id(self) -> str:
        """`item_…`, or whatever the client called it."""
        return str(self.shown["id"])

    @property
    def characters(self) -> int:
        """How much text it holds, pictures among it."""
        parts = self.shown.get("content", ())
        held = [part.get(name) for part in parts for name in ("text", "image_url")]
        return sum(len(text) for text in [*held, self.shown.get("arguments"), self.shown.get("output")] if text)

    @property
    def sound_ms(self) -> float:
        """How much sound it holds."""
        return len(self.sound) / 48

    @property
    def is_assistant_sound(self) -> bool:
        """Whether it is the assistant's spoken message, finished or still being said."""
        if self.shown.get("role") != "assistant":
            return False
        being_said = isinstance(self.sound, bytearray)
        return being_said or any(part["type"] == "output_audio" for part in self.shown["content"])


class Conversation:
    """The items in their order."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._characters = 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Item]:
        return (self._items[item_id] for item_id in self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str) -> Item | None:
        """The item of that id, or None."""
        return self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        """The id of the last item; None while there is none."""
        return self._order[-1] if self._order else None

    def previous_of(self, item_id: str) -> str | None:
        """The id of the item before it; None for the first one."""
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def check_room(self, item: Item) -> None:
        """Check that an item of the client's still fits.

        Raises:
            Problem: The conversation is full (code and wording are ours).
        """
        if self._characters + item.characters > _MOST_CHARACTERS:
            message = f"Error adding item: a conversation holds at most {_MOST_CHARACTERS} characters."
            raise ApiError(message, code="conversation_full", param="item")

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put an item in its place and give the id of the one before it.

        Args:
            item: The new item.
            after: None appends, `"root"` puts it first, an id puts it after that item.

        Raises:
            Problem: The id is taken, or `after` is not there (wording unconfirmed).
        """
        if item.id in self._items:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise ApiError(message, code="item_create_duplicate_item_id", param="item.id")
        if after is None:
            index = len(self._order)
        elif after == "root":
            index = 0
        elif after in self._items:
            index = self._order.index(after) + 1
        else:
            message = f"Error adding item: the previous item with id '{after}' does not exist."
            raise ApiError(message, code="item_create_invalid_previous_item_id", param="previous_item_id")
        self._order.insert(index, item.id)
        self._items[item.id] = item
        self._characters += item.characters
        return self._order[index - 1] if index else None

    def remove(self, item_id: str) -> Item:
        """Take an item out; its id must be there."""
        self._order.remove(item_id)
        item = self._items.pop(item_id)
        self._characters = max(0, self._characters - item.characters)
        return item


_TEXT = record({"type": anything, "text": string()}, required=("text",))
_IMAGE = record(
    {"type": anything, "image_url": string(None), "detail": nullable(choice("auto", "low", "high"))},
    required=("image_url",),
)
_AUDIO = record({"type": anything, "audio": string(None), "transcript": nullable(string())}, required=("audio",))
_CONTENT: dict[str, Check] = {
    "system": tagged({"input_text": _TEXT}),
    "user": tagged({"input_text": _TEXT, "input_audio": _AUDIO, "input_image": _IMAGE}),
    # SDK: assistant sound cannot be seeded; reported: an output_audio part is asked for its text.
    "assistant": tagged({"output_text": _TEXT, "output_audio": _TEXT}),
}
_COMMON: dict[str, Check] = {
    "id": nullable(string(128)),
    "object": choice("realtime.item"),
    "type": anything,
    "status": choice("completed", "incomplete", "in_progress"),
}


def _message(value: Any, path: str) -> Any:
    if "role" not in value:
        raise api_errors.missing(f"{path}.role")
    role = choice("system", "user", "assistant")(value["role"], f"{path}.role")
    fields = {**_COMMON, "role": anything, "content": array(_CONTENT[role]), "phase": anything}
    return record(fields, required=("content",))(value, path)


_ITEM = tagged(
    {
        "message": _message,
        "function_call": record(
            {**_COMMON, "name": string(), "call_id": string(), "arguments": string()}, required=("name", "arguments")
        ),
        "function_call_output": record(
            {**_COMMON, "call_id": string(), "output": string()}, required=("call_id", "output")
        ),
        "mcp_approval_response": record(
            {**_COMMON, "approval_request_id": string(), "approve": anything, "reason": nullable(string())},
            required=("approval_request_id", "approve"),
        ),
    }
)


def read_item(value: Any, *, new_id: str, new_call_id: str, path: str = "item") -> Item:
    """Check an item a client sent and bring it into the shape the server shows.

    Args:
        value: The client's object.
        new_id: The id it gets if it brings none.
        new_call_id: The call id a function call gets if it brings none.
        path: How errors name it.

    Returns:
        The item; a user's sound is decoded into `sound` (taken as s16le 24 kHz mono).

    Raises:
        Problem: For the first thing wrong in it.
    """
    checked = _ITEM(value, path)
    kind = checked["type"]
    shown: dict[str, Any] = {"id": checked.get("id") or new_id, "type": kind}
    if kind == "function_call_output":
        return Item(shown | {"call_id": checked["call_id"], "output": checked["output"]})
    if kind == "function_call":
        named = {"name": checked["name"], "call_id": checked.get("call_id") or new_call_id}
        return Item(shown | {"status": "completed", **named, "arguments": checked["arguments"]})
    if kind == "mcp_approval_response":
        asked = {name: checked.get(name) for name in ("approval_request_id", "approve", "reason")}
        return Item(shown | asked)
    item = Item(shown | {"status": "completed", "role": checked["role"], "content": []})
    for index, part in enumerate(checked["content"]):
        item.shown["content"].append(_shown_part(part, item, f"{path}.content[{index}]"))
    return item


def _shown_part(part: dict[str, Any], item: Item, path: str) -> dict[str, Any]:
    if part["type"] == "input_audio":
        try:
            sound = base64.b64decode(part["audio"], validate=True)
        except (binascii.Error, ValueError) as error:
            message = f"Invalid '{path}.audio'. Expected base64-encoded audio bytes."
            raise ApiError(message, code="invalid_value", param=f"{path}.audio") from error
        item.sound += sound[: len(sound) // 2 * 2]
        if part.get("transcript"):
            item.heard = part["transcript"]
        return {"type": "input_audio", "transcript": part.get("transcript")}
    if part["type"] == "input_image":
        if not part["image_url"].startswith("data:image/"):
            message = f"Invalid '{path}.image_url'. Expected a base64-encoded data URL with an image MIME type."
            raise ApiError(message, code="invalid_value", param=f"{path}.image_url")  # wording unconfirmed
        return {"type": "input_image", "image_url": part["image_url"], "detail": part.get("detail") or "auto"}
    if part["type"] == "output_audio":
        return {"type": "output_text", "text": part["text"]}
    return {"type": part["type"], "text": part["text"]}
