"""Client's `conversation.item.*` events, and the items that a session adds by itself."""

import copy
from typing import Any

from rtnb.audio.pcm import BYTES_PER_MS
from rtnb.protocol import frames
from rtnb.server.protocol.api_errors import ApiError, out_of_bounds
from rtnb.server.protocol.items import Item, message, read_item
from rtnb.server.protocol.session import Session
from rtnb.server.protocol.shapes import Required, anything, record, string
from rtnb.server.protocol.transcripts import Transcripts

# The system's message at the idle timeout (the real server's own words are longer and say the same).
_IDLE_PROMPT = "The user has been silent for some time. Listen to the recording that follows: if they spoke, answer "
_IDLE_PROMPT += "them; if not, take up the last topic again or ask whether they are still there."


class ItemEvents:
    """Changes a conversation and announces what has changed.

    Args:
        session: The session that it belongs to.
        transcripts: The session's transcription.
    """

    def __init__(self, session: Session, transcripts: Transcripts) -> None:
        self._session = session
        self._conversation = session.conversation
        self._transcripts = transcripts

    # ------------------------------------------------------------------ client events

    def create(self, event: dict[str, Any]) -> None:
        """Add an item of the client's.

        Raises:
            ApiError: It has not the right shape, or does not fit.
        """
        options, conversation = self._session.options, self._conversation
        if len(conversation.items) >= options.item_count:
            text = f"Error adding item: a conversation holds at most {options.item_count} items."
            raise ApiError(text, code="conversation_full", param="item")  # no cap is documented: ours
        item = read_item(event["item"], self._session.ids, "item")
        call_id = item.shown.get("call_id") if item.shown["type"] == "function_call_output" else None
        if call_id is not None and call_id not in [held.shown.get("call_id") for held in conversation.items.values()]:
            text = f"Tool call ID '{call_id}' not found in conversation."  # reported
            raise ApiError(text, code="invalid_tool_call_id", param="item.call_id")
        if conversation.audio_bytes + len(item.audio) > options.buffer_bytes:
            raise ApiError("Error adding item: too much audio in this session.", code="conversation_full", param="item")
        conversation.check_room(item)
        self._announce(item, conversation.add(item, event.get("previous_item_id")))
        if item.audio and item.transcript is None:
            self._transcripts.transcribe(item)

    def retrieve(self, event: dict[str, Any]) -> None:
        """Send an item with its audio."""
        item = self._find(event["item_id"], "retrieve", "retrieving")
        shown = copy.deepcopy(item.shown)
        for part in shown.get("content", ()):
            if part["type"] in ("input_audio", "output_audio"):
                part["audio"] = frames.encode_audio(bytes(item.audio))
                if part["type"] == "input_audio" and self._transcripts.asked:
                    part["transcript"] = item.transcript
        self._session.send("conversation.item.retrieved", item=shown)

    def truncate(self, event: dict[str, Any]) -> None:
        """Cut the assistant's audio where the client stopped playing it."""
        item = self._find(event["item_id"], "truncate", "truncating")
        end_ms = event["audio_end_ms"]
        kinds = {part["type"] for part in item.shown.get("content", ())}
        if not isinstance(item.audio, bytearray) and "output_audio" not in kinds:  # finished, or still being written
            # The sentence is reported, the code is not known.
            raise ApiError("Only model output audio messages can be truncated", code="invalid_value", param="item_id")
        if event["content_index"] != 0:
            raise out_of_bounds("content_index", 0, event["content_index"])
        held_ms = int(item.audio_ms)
        if end_ms > held_ms:
            text = f"Audio content of {held_ms}ms is already shorter than {end_ms}ms"  # reported
            raise ApiError(text, code="invalid_value", param="audio_end_ms")
        item.truncated_ms = end_ms
        if isinstance(item.audio, bytes):  # else it is still being written, and cut at its end
            item.audio = item.audio[: end_ms * BYTES_PER_MS]
        for part in item.shown["content"]:
            part["transcript"] = ""  # SDK docstring: the server's transcript of it is removed
        self._conversation.count_audio()
        self._session.send("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end_ms)

    def delete(self, event: dict[str, Any]) -> None:
        """Remove an item."""
        item = self._find(event["item_id"], "delete", "deleting")
        self._conversation.remove(item.id)
        self._session.send("conversation.item.deleted", item_id=item.id)

    # ------------------------------------------------------------------ items of the session's own

    def commit(self, audio: bytes, item_id: str | None) -> None:
        """Make audio the user's next item."""
        item = message(item_id or self._session.ids.new("item"), "user", {"type": "input_audio", "transcript": None})
        item.audio = audio
        previous = self._conversation.add(item)
        self._session.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item.id)
        self._announce(item, previous)
        self._transcripts.transcribe(item)

    def add_idle_prompt(self) -> None:
        """Add the system's message of the idle timeout."""
        item = message(self._session.ids.new("item"), "system", {"type": "input_text", "text": _IDLE_PROMPT})
        self._announce(item, self._conversation.add(item))

    def list_mcp_tools(self, tool: dict[str, Any]) -> None:
        """Report that listing an MCP server's tools failed: this server reaches no other (order unconfirmed)."""
        listing = {"type": "mcp_list_tools", "server_label": tool["server_label"], "tools": []}
        item = Item({"id": self._session.ids.new("item"), **listing})
        self._session.send("mcp_list_tools.in_progress", item_id=item.id)
        self._announce(item, self._conversation.add(item))
        self._session.send("mcp_list_tools.failed", item_id=item.id)

    # ------------------------------------------------------------------ what a response reads

    def context(self, given: list[Any] | None) -> list[Item]:
        """Return the items that a response reads: its own `input`, or the conversation.

        Raises:
            ApiError: For the first thing wrong in its `input`.
        """
        if given is None:
            return list(self._conversation.items.values())
        context = [self._given(value, f"response.input[{index}]") for index, value in enumerate(given)]
        for item in context:
            if item.audio and item.shown.get("role") == "user" and item.transcript is None and not item.transcribing:
                self._transcripts.transcribe(item)
        return context

    def _given(self, value: Any, path: str) -> Item:
        if not isinstance(value, dict) or value.get("type") != "item_reference":
            return read_item(value, self._session.ids, path)
        item_id = record(type=anything, id=Required(string()))(value, path)["id"]
        item = self._conversation.items.get(item_id)
        if item is None:
            # Unconfirmed wording.
            raise ApiError(f"Item with id '{item_id}' does not exist.", code="invalid_value", param=f"{path}.id")
        return item

    def _find(self, item_id: str, verb: str, doing: str) -> Item:
        item = self._conversation.items.get(item_id)
        if item is None:  # the codes are reported, the wording is not confirmed
            text = f"Error {doing} item: the item with id '{item_id}' does not exist."
            raise ApiError(text, code=f"item_{verb}_invalid_item_id", param="item_id")
        return item

    def _announce(self, item: Item, previous: str | None) -> None:
        for type in ("conversation.item.added", "conversation.item.done"):
            self._session.send(type, previous_item_id=previous, item=copy.deepcopy(item.shown))
