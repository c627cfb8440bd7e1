"""Items of a conversation: what a client may put there, their order, and what each of them holds.

Shapes as recorded: items carry no `object` field, a user's audio is shown as `transcript: null` and never patched,
a function's output is echoed without a status.
"""

import base64
import math
from dataclasses import dataclass
from typing import Any

from rtnb.audio import pcm
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.effects import Ids
from rtnb.server.protocol.shapes import NAME, Check, Required, Shape, anything, array, choice, nullable, string, tagged

# No limit is documented; this keeps one client from filling the memory of all.
_MOST_CHARACTERS = 64 * 1024 * 1024


@dataclass
class Item:
    """One item and what the server knows of it beyond what it shows.

    Attributes:
        shown: The object as events show it.
        audio: Its audio, s16le 24 kHz mono; empty for text. A bytearray while a response writes it.
        transcript: The ASR's words; None until it has finished (or where there is no audio).
        transcribing: True while the ASR is at work on it.
        unintelligible: True where somebody speaks, and the ASR does not know the language.
        truncated_ms: Where the client cut the assistant's audio; None where it did not.
    """

    shown: dict[str, Any]
    audio: bytes | bytearray = b""
    transcript: str | None = None
    transcribing: bool = False
    unintelligible: bool = False
    truncated_ms: int | None = None

    @property
    def id(self) -> str:
        """`item_…`, or the id that the client chose."""
        return str(self.shown["id"])

    @property
    def characters(self) -> int:
        """Length of its text, pictures among it."""
        held = [part.get(name) for part in self.shown.get("content", ()) for name in ("text", "image_url")]
        return sum(len(text) for text in [*held, self.shown.get("arguments"), self.shown.get("output")] if text)

    @property
    def audio_ms(self) -> float:
        """Length of its audio."""
        return pcm.milliseconds(len(self.audio))


class Conversation:
    """Items in their order.

    Attributes:
        id: `conv_…`.
        items: The items by their ids, in their order.
        audio_bytes: Size of the audio of all items, without what a response is writing.
        cached_tokens: Tokens that an earlier response has read, so that the next one may read them from the cache.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.items: dict[str, Item] = {}
        self.audio_bytes = self.cached_tokens = self._characters = 0

    def check_room(self, item: Item) -> None:
        """Check that an item of the client's still fits.

        Raises:
            ApiError: The conversation is full (code and wording are ours).
        """
        if self._characters + item.characters > _MOST_CHARACTERS:
            message = f"Error adding item: a conversation holds at most {_MOST_CHARACTERS} characters."
            raise ApiError(message, code="conversation_full", param="item")

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put an item in its place and return the id of the one before it.

        Args:
            item: The new item.
            after: None appends, `"root"` puts it first, an id puts it after that item.

        Raises:
            ApiError: The id is taken, or `after` is not there (wording unconfirmed).
        """
        if item.id in self.items:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise ApiError(message, code="item_create_duplicate_item_id", param="item.id")
        if after not in (None, "root") and after not in self.items:
            message = f"Error adding item: the previous item with id '{after}' does not exist."
            raise ApiError(message, code="item_create_invalid_previous_item_id", param="previous_item_id")
        previous = next(reversed(self.items), None) if after is None else None if after == "root" else after
        order = [] if after is None else [*self.items]
        self.items[item.id] = item
        for following in order[0 if previous is None else order.index(previous) + 1 :] if order else ():
            self.items[following] = self.items.pop(following)
        self._characters += item.characters
        self.audio_bytes += len(item.audio)
        return previous

    def remove(self, item_id: str) -> None:
        """Remove an item; its id must be there."""
        self._characters = max(0, self._characters - self.items.pop(item_id).characters)
        self.count_audio()
        self.cached_tokens = 0

    def count_audio(self) -> None:
        """Count `audio_bytes` again: the audio of an item has changed."""
        self.audio_bytes = sum(len(item.audio) for item in self.items.values())


def message(item_id: str, role: str, part: dict[str, Any]) -> Item:
    """Return a completed message of one part."""
    return Item({"id": item_id, "type": "message", "status": "completed", "role": role, "content": [part]})


_TEXT: dict[str, Check] = {"text": Required(string())}
_IMAGE: dict[str, Check] = {"image_url": Required(string(math.inf)), "detail": nullable(choice("auto", "low", "high"))}
_AUDIO: dict[str, Check] = {"audio": Required(string(math.inf)), "transcript": nullable(string())}
_PARTS: dict[str, dict[str, Shape]] = {
    "system": {"input_text": _TEXT},
    "user": {"input_text": _TEXT, "input_audio": _AUDIO, "input_image": _IMAGE},
    # SDK: assistant audio cannot be seeded; reported: an output_audio part is asked for its text.
    "assistant": {"output_text": _TEXT, "output_audio": _TEXT},
}


def _item(**fields: Check) -> dict[str, Check]:
    status = choice("completed", "incomplete", "in_progress")
    return {"id": nullable(string(128)), "object": choice("realtime.item"), "status": status, **fields}


_ROLES = {
    role: _item(type=anything, content=Required(array(tagged(parts))), phase=anything) for role, parts in _PARTS.items()
}
_APPROVAL = _item(approval_request_id=Required(string()), approve=Required(anything), reason=nullable(string()))
_CALL_ID = string(32)  # reported by clients of others, which shorten theirs
_ITEM: Check = tagged(
    {
        "message": tagged(_ROLES, tag="role"),
        "function_call": _item(name=Required(NAME), call_id=_CALL_ID, arguments=Required(string())),
        "function_call_output": _item(call_id=Required(_CALL_ID), output=Required(string())),
        "mcp_approval_response": _APPROVAL,
    }
)


def read_item(value: Any, ids: Ids, path: str) -> Item:
    """Check an item a client sent and bring it into the shape the server shows.

    Args:
        value: The client's object.
        ids: Source of the ids that it gets if it brings none.
        path: How errors name it.

    Returns:
        The item; a user's audio is decoded into `audio` (taken as s16le 24 kHz mono).

    Raises:
        ApiError: For the first thing wrong in it.
    """
    new_id, new_call_id = ids.new("item"), ids.new("call")
    checked = _ITEM(value, path)
    kind = checked["type"]
    shown: dict[str, Any] = {"id": checked.get("id") or new_id, "type": kind}
    if kind == "function_call_output":
        return Item(shown | {"call_id": checked["call_id"], "output": checked["output"]})
    if kind == "function_call":
        named = {"name": checked["name"], "call_id": checked.get("call_id") or new_call_id}
        return Item(shown | {"status": "completed", **named, "arguments": checked["arguments"]})
    if kind == "mcp_approval_response":
        return Item(shown | {name: checked.get(name) for name in ("approval_request_id", "approve", "reason")})
    item = Item(shown | {"status": "completed", "role": checked["role"]})
    content = enumerate(checked["content"])
    item.shown["content"] = [_shown_part(part, item, f"{path}.content[{index}]") for index, part in content]
    return item


def _shown_part(part: dict[str, Any], item: Item, path: str) -> dict[str, Any]:
    if part["type"] == "input_audio":
        try:
            decoded = base64.b64decode(part["audio"], validate=True)
        except ValueError as error:
            message = f"Invalid '{path}.audio'. Expected base64-encoded audio bytes."
            raise ApiError(message, code="invalid_value", param=f"{path}.audio") from error
        item.audio += pcm.whole_samples(decoded)
        if part.get("transcript"):
            item.transcript = part["transcript"]
        return {"type": "input_audio", "transcript": part.get("transcript")}
    if part["type"] == "input_image":
        if not part["image_url"].startswith("data:image/"):
            message = f"Invalid '{path}.image_url'. Expected a base64-encoded data URL with an image MIME type."
            raise ApiError(message, code="invalid_value", param=f"{path}.image_url")  # wording unconfirmed
        return {"type": "input_image", "image_url": part["image_url"], "detail": part.get("detail") or "auto"}
    return {"type": "input_text" if part["type"] == "input_text" else "output_text", "text": part["text"]}
