"""Single client events of a session; what is called goes out in the order of the calls, awaited or not."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from rtnb import models
from rtnb.errors import BudgetExceeded, InputError
from rtnb.protocol import client_events, frames
from rtnb.protocol.items import Turn
from rtnb.session import exchanges
from rtnb.session.exchanges import is_type
from rtnb.session.lifecycle import Lifecycle
from rtnb.session.parts import pcm_of
from rtnb.session.updates import Overspent
from rtnb.texts.arguments import checks_call
from rtnb.transport.handle import Handle


@checks_call
class Requests:
    """Part of a session that sends one event at a time.

    Attributes:
        lifecycle: The session as the modules of this package see it.
    """

    lifecycle: Lifecycle

    def send(self, event: Mapping[str, Any]) -> Handle[None]:
        """Send any client event as it is; the handle is done once it is on the wire.

        Raises:
            InputError: If it has no type, or cannot be written as JSON.
        """
        prepared = frames.plain(event, "event")
        if not isinstance(prepared, dict) or not isinstance(prepared.get("type"), str):
            raise InputError('Your event has no type. Give a dict such as {"type": "response.create"}.', event=event)
        self.lifecycle.sent_raw.append(prepared.setdefault("event_id", client_events.new_event_id()))

        def send() -> Awaitable[None]:
            try:
                self.lifecycle.channel.put(prepared)
            except BudgetExceeded as over:  # perhaps nobody awaits it
                self.lifecycle.warn(str(over))
                self.lifecycle.listeners.tell(Overspent(over))
                raise
            return self.lifecycle.channel.flushed()

        return self.lifecycle.in_order(send, self)

    def append(self, pcm: Any) -> None:
        """Add audio to the input buffer. Never blocks; see `unsent_bytes`.

        Args:
            pcm: Samples as s16le mono 24 kHz, any length: bytes or an int16 array. A `Clip`, or samples with their
                rate, is brought to that.

        Raises:
            InputError: If it is no audio.
            AudioError: If it is a whole file, which would be noise.
            ConnectionFailed: If the session is closed. One that was refused raises what refused it.
        """
        self.lifecycle.check_open()
        data, most = pcm_of(pcm), models.limits().append_bytes
        for at in range(0, len(data), most):  # the server refuses more in one event
            self.lifecycle.call_soon(self.lifecycle.queue.add, data[at : at + most])

    def commit(self) -> Handle[dict[str, Any]]:
        """Turn the audio in the input buffer into an item; the result is `input_audio_buffer.committed`."""
        return self._request(client_events.commit(), "to commit the sound", "input_audio_buffer.committed")

    def clear(self) -> Handle[dict[str, Any]]:
        """Forget the audio in the input buffer."""
        return self._request(client_events.clear(), "to clear the buffer", "input_audio_buffer.cleared")

    def create(self, item: Mapping[str, Any], previous_item_id: str | None = None) -> Handle[dict[str, Any]]:
        """Add an item to the conversation; the result is `conversation.item.added`.

        Raises:
            InputError: If it cannot be written as JSON.
        """
        event, type_ = client_events.item_create(item, previous_item_id), item.get("type")
        return self._request(event, "the item", "conversation.item.added", type=type_)

    def update(self, **session: Any) -> Handle[dict[str, Any]]:
        """Change the session, by fields of the API's session object; the result is `session.updated`.

        Raises:
            InputError: If a field cannot be written as JSON, or is in another form than the API's.
        """
        wanted = {"type": self.lifecycle.settings.get("type", "realtime"), **frames.plain(session, "session")}
        return self.lifecycle.in_order(lambda: self.lifecycle.update(wanted), self)

    def cancel(self, response_id: str | None = None) -> Handle[dict[str, Any] | None]:
        """Stop the response under way; the result is its `response.done`, or None where none was running."""
        event = client_events.cancel(response_id)
        return self.lifecycle.in_order(lambda: exchanges.cancel(self.lifecycle.channel, event), self)

    def truncate(self, item_id: str, audio_end_ms: float) -> Handle[dict[str, Any]]:
        """Cut an answer to what was played of it: `audio_end_ms` is clamped to the audio received.

        Raises:
            InputError: If `audio_end_ms` is no finite number.
        """
        turn = self.lifecycle.channel.conversation.turn(frames.plain(item_id, "item_id"))
        played_ms = min(frames.plain(audio_end_ms, "audio_end_ms"), audio_end_ms if turn is None else turn.audio_ms)
        event = client_events.truncate(item_id, max(0, int(played_ms)))
        return self._request(event, "to truncate the answer", "conversation.item.truncated", item_id=item_id)

    def delete(self, item_id: str) -> Handle[dict[str, Any]]:
        """Take an item out of the conversation."""
        event = client_events.delete(item_id)
        return self._request(event, "to delete the item", "conversation.item.deleted", item_id=item_id)

    def retrieve(self, item_id: str) -> Handle[dict[str, Any]]:
        """Ask for an item as the server has it, its audio included."""
        event = client_events.retrieve(item_id)
        return self._request(event, "to retrieve the item", "conversation.item.retrieved", id=item_id)

    def seed(self, turns: Iterable[Turn | tuple[str, str]]) -> Handle[None]:
        """Give the model earlier turns as text, oldest first: turns of another session, or `(role, words)` pairs.

        Audio cannot be sent again: the API takes none for the assistant's side.
        """
        pairs = [(turn.role, turn.words) if isinstance(turn, Turn) else turn for turn in turns]
        if not all(isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in pairs):
            raise InputError("Your turns hold something else. Give turns of a session, or pairs: ('user', 'Hi').")
        items = frames.plain([exchanges.message(role, words) for role, words in pairs if words], "turns")
        return self.lifecycle.in_order(lambda: exchanges.create_items(self.lifecycle.channel, items), self)

    def _request(self, event: dict[str, Any], doing: str, answer: str, **fields: Any) -> Handle[dict[str, Any]]:
        answers = is_type(answer, **fields)
        return self.lifecycle.in_order(lambda: self.lifecycle.channel.expect(event, answers, doing), self)
