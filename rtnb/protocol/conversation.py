"""The fold: one server event in, updates out. No I/O, no clock, no thread of its own.

State and events are one and the same thing, seen twice: a conversation is what remains when its events are applied
one after another, and an update is what one event changed. So `Conversation` is the only place that holds state;
everything shown is a view of it or of the updates, and a saved log, applied again, is the talk again.

An event is looked up by its GA name in the table at the end of this file; its method changes items (`items`), input
audio offsets (`input_audio`) or history (`history`), and yields updates (`updates`). An event without a row changes
nothing. Events may come in any order the server likes: input transcription interleaves anywhere with a response
(recorded), and `rate_limits.updated` comes after `response.done` or not at all (recorded). Words and audio come in
deltas; what no delta brought is taken from the final objects, and nothing is reported twice.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rtnb.protocol import server_events, updates
from rtnb.protocol.entry import Spool
from rtnb.protocol.frames import Event, check_event, decode_odd_audio
from rtnb.protocol.history import History
from rtnb.protocol.input_audio import InputAudio
from rtnb.protocol.items import TRANSLATION_ITEMS, Response, Turn, Turns, with_response_id
from rtnb.protocol.updates import Update
from rtnb.texts.arguments import checks_call


class Conversation:
    """State of one talk, folded from its events.

    Args:
        heard: Returns the user's audio between two byte offsets from the first byte ever appended; None if nobody
            kept it.
        sounds: What holds the server's audio; what `apply` is given as `pcm` is its end already. None: its own.

    Attributes:
        session: The session's configuration as the server last sent it.
        turns: The items in the order of the conversation.
        responses: Every response by its id, in the order they began.
        rate_limits: What `rate_limits.updated` said last; empty until then.
        rate_limits_at: When it came, in seconds on the log's clock. None until then.
        transcribed: `(turn, usage)` for every transcription of the user's audio, which is billed apart.
        history: Turns that the present server session is given again.
    """

    @checks_call
    def __init__(self, heard: Callable[[int, int], bytes] | None = None, sounds: Spool | None = None) -> None:
        self.turns = Turns()
        self.responses: dict[str, Response] = {}
        self.rate_limits: list[dict[str, Any]] = []
        self.rate_limits_at: float | None = None
        self.transcribed: list[tuple[Turn, dict[str, Any]]] = []
        self._heard, self._sounds, self._are_kept = heard, sounds or Spool(), sounds is not None
        self._begin_session(0)

    def _begin_session(self, appended_bytes: int) -> None:
        self.session: dict[str, Any] = {}
        # Ids are a server session's own: the next session may give the same ones to other items.
        self._items: dict[str, Turn] = {}
        self._responses: dict[str, Response] = {}
        self._audio_created = False  # whether the client made an item of audio, which is announced as one committed is
        self._unasked: set[str] = set()  # responses that began before one was asked for last
        self._once: set[tuple[str, str]] = set()  # what counts once: (response id, call id), (of what, item id)
        self._input = InputAudio(appended_bytes)
        self.history = History()

    def renew(self) -> None:
        """Begin a new server session: turns stay, what the old one left open is closed."""
        for response in self._responses.values():
            if response.active:
                response.end("incomplete", "connection_lost")
        for turn in self._items.values():
            if turn.status == "in_progress":
                turn.status = "incomplete"
        self._begin_session(self._input.appended_bytes)

    def appended(self, size: int) -> None:
        """Take note that `size` bytes of audio were appended."""
        self._input.appended_bytes += size

    def sent(self, event: Mapping[str, Any]) -> None:
        """Take note of a client event."""
        self._input.sent(event["type"])
        self._audio_created |= _holds_audio(event.get("item") or {})
        if event["type"] == "response.create":
            self._unasked = {*self._responses}

    def turn(self, item_id: str) -> Turn | None:
        """Return the turn with this id, also one that is out of band. None if there is none."""
        found = (turn for turn in reversed(self.turns) if turn.item_id == item_id)
        return self._items.get(item_id) or next(found, None)

    def response(self, response_id: str) -> Response | None:
        """Return the response to which the present server session gave this id. None if there is none."""
        return self._responses.get(response_id)

    def active_response(self) -> Response | None:
        """Return the response that is writing to the conversation now. None if none is."""
        running = (r for r in reversed(self.responses.values()) if r.active and r.conversation_id is not None)
        return next(running, None)

    def apply(self, event: Event, at_seconds: float = 0.0, pcm: bytes | None = None) -> list[Update]:
        """Fold one server event.

        Args:
            event: The event as it came; Beta names are understood, and fields of other types than the API's.
            at_seconds: When it came, on the log's clock.
            pcm: The audio of a delta where it was decoded already; its base64 may then be left out.

        Returns:
            What changed, in order; never empty. Last, `Odd` for what was not in the API's form.

        Raises:
            ValueError: If it is no event, or cannot be read.
        """
        check_event(event)
        came, (event, odd) = event, server_events.read(event)
        if unread := [name for name in ("item", "part", "response") if came.get(name) and event.get(name) is None]:
            raise ValueError(f"its {unread[0]} is no object")
        kind, said, kept = event["type"], "", self._are_kept and pcm is not None
        changes: list[Update] = []
        if audio := kind.endswith("output_audio.delta"):
            pcm = decode_odd_audio(event.get("delta") or "") if pcm is None else pcm
        if kind.startswith("response.") and (audio or kind in _FOLDS):
            event, said = with_response_id(event, self._responses, self._unasked)
        response = self._responses.get(response_id := _id(event, "response_id"))
        if response_id and (response is None or (kind == "response.created" and not response.active)):
            # Also before `response.created`, which servers that speak the protocol in part never say.
            response = self._begin(response_id, at_seconds)
            changes.append(updates.ResponseStarted(event, at_seconds, response))
        if said and response is not None:
            response.server_id = response.server_id or said
            self._responses.setdefault(said, response)
        if kind in ("response.created", "response.done"):
            self._responses[response_id].take_over(event.get("response") or {})
        if audio:
            changes += self._audio(event, at_seconds, pcm or b"", kept)
        elif fold := _FOLDS.get(kind):
            changes += fold(self, event, at_seconds) or ()
        changes = changes or [updates.Other(event, at_seconds)]
        return changes + [updates.Odd.of(event, at_seconds, sentence) for sentence in odd]

    def _committed(self, event: Event, at: float) -> Iterable[Update]:
        item_id, previous = _id(event), event.get("previous_item_id")
        if self._again("", item_id) and not self._input.expects(item_id):
            return
        self._once = {once for once in self._once if once[1] != item_id} | {("", item_id)}
        turn = self._item({"id": item_id, "type": "message", "role": "user"}, previous)
        turn.spoken, stretch = True, self._input.committed(item_id)
        turn.heard = partial(self._heard, *stretch) if self._heard else None
        yield updates.Committed(event, at, item_id, previous)

    def _transcript_delta(self, event: Event, at: float) -> Iterable[Update]:
        translation = event["type"] == "session.input_transcript.delta"
        turn = self._side("user", TRANSLATION_ITEMS["user"] if translation else _id(event))
        piece = event.get("delta") or ""
        turn.transcript = (turn.transcript or "") + piece
        yield updates.InputTranscript(event, at, turn.item_id, piece, turn.so_far(True, turn.transcript), False)

    def _transcript_completed(self, event: Event, at: float) -> Iterable[Update]:
        turn = self._side("user", _id(event))
        before = turn.transcript or ""
        turn.transcript = whole = event.get("transcript") or before
        turn.transcript_ended, final = True, not self._again(str(event.get("content_index")), turn.item_id)
        if event.get("usage") and final:
            self.transcribed.append((turn, event["usage"]))
        piece = whole[len(before) :] if whole.startswith(before) else ""
        yield updates.InputTranscript(event, at, turn.item_id, piece, turn.so_far(True, whole), final)

    def _transcript_failed(self, event: Event, at: float) -> Iterable[Update]:
        if (turn := self._own(_id(event))) is not None:
            turn.transcript_ended = True
        yield updates.InputTranscriptFailed(event, at, _id(event), event.get("error") or {})

    def _again(self, of: str, id_: str) -> bool:
        """Return whether this was asked of these ids before; what says something twice names the same ids."""
        again = bool(id_) and (of, id_) in self._once
        self._once.add((of, id_))
        return again

    def _item(self, item: Event, previous: str | None, in_conversation: bool = True, response_id: str = "") -> Turn:
        """Find the turn of an item or make it, and take over what the item says."""
        item_id = item.get("id") or ""
        if (turn := self._own(item_id)) is None:
            role = "assistant" if response_id else "user"
            turn = self._items[item_id] = Turn(item_id, role, in_conversation=False, sounds=self._sounds)
        if in_conversation and not turn.in_conversation:
            # A response announces its item before the conversation does (recorded): only now we know it belongs.
            self._place(turn, previous)
        turn.take_item(item)
        turn.response_id = response_id or turn.response_id
        return turn

    def _place(self, turn: Turn, previous: str | None) -> None:
        """Put a turn into the conversation: behind the last one with the id `previous`, else at the end."""
        turn.in_conversation = True
        end = len(self.turns)
        self.turns.insert(next((n for n in range(end, 0, -1) if self.turns[n - 1].item_id == previous), end), turn)

    def _own(self, item_id: str) -> Turn | None:
        """Return the turn of an item that this server session made; it may reuse the id of one it was given again."""
        turn = self._items.get(item_id)
        return None if turn in self.history.given else turn

    def _side(self, role: str, item_id: str) -> Turn:
        """Return a spoken turn; servers that leave out the events before its words still get one."""
        turn = self._own(item_id) or self._item({"id": item_id, "type": "message", "role": role}, None)
        turn.spoken = True
        return turn

    def _announced(self, event: Event, at: float) -> Iterable[Update]:
        item, done = event.get("item") or {}, event["type"].endswith("done")
        if self.history.claim(item, self._items, added=not done) is not None:
            return  # no news
        previous, item_id = event.get("previous_item_id"), item.get("id") or ""
        audio = item.get("role") == "user" and _holds_audio(item)
        if audio and ("", item_id) not in self._once and not self._audio_created and self._input.expects(item_id):
            # Some servers say nowhere else that the user's audio was committed.
            committed = {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous}
            yield from self._committed(committed, at)
        turn = self._item(item, previous)
        if done:
            yield from self._rest(event, at, turn)
        yield (updates.ItemDone if done else updates.ItemAdded)(event, at, turn)

    def _truncated(self, event: Event, at: float) -> Iterable[Update]:
        end_ms = event.get("audio_end_ms") or 0
        if (turn := self._items.get(_id(event))) is not None:
            turn.truncated_ms = end_ms
        yield updates.Truncated(event, at, _id(event), end_ms)

    def _deleted(self, event: Event, at: float) -> Iterable[Update]:
        if (turn := self._items.pop(_id(event), None)) and turn in self.turns:
            self.turns.remove(turn)
        yield updates.Deleted(event, at, _id(event))

    def _begin(self, response_id: str, at: float) -> Response:
        response = Response(response_id, conversation_id="default", started_at=at)
        again = response_id in self.responses  # an earlier server session's, or one that is over
        self.responses[f"{response_id} ({len(self.responses)})" if again else response_id] = response
        self._responses[response_id] = response
        return response

    def _response_done(self, event: Event, at: float) -> Iterable[Update]:
        response = self._responses[_id(event, "response_id")]
        if response.active:  # some servers leave the status out
            response.status = "completed"
        again, response.ended_at = response.ended_at is not None, response.ended_at or at
        for turn in response.turns if response.conversation_id is not None else ():
            # Servers that speak the protocol in part never say `conversation.item.added` for their own items.
            if not turn.in_conversation:
                self._place(turn, None)
        for number, item in enumerate(response.output):
            yield from self._output(event, at, response, number, item)
        if not again:
            yield updates.ResponseEnded(event, at, response)

    def _output(self, event: Event, at: float, response: Response, number: int, item: Event) -> Iterable[Update]:
        """Take from the final response what no event before brought; some servers bring all words here, and no ids."""
        there = response.turns[number] if number < len(response.turns) and not item.get("id") else None
        known, said = self._own(item.get("id") or "") or there, Turn("")
        said.take_content(item.get("content"))
        if known is None and said.words and said.words in [turn.words for turn in response.turns]:
            return  # under another id than before
        if known is None or said.words.startswith(known.words):
            item_id = known.item_id if known is not None else item.get("id") or f"{response.id}_{number}"
            turn = self._item({**item, "id": item_id}, None, response.conversation_id is not None, response.id)
            yield from self._rest(event, at, turn)
        if item.get("type") == "function_call":
            yield from self._call(event, at, item.get("id") or "", item)

    def _output_item(self, event: Event, at: float) -> Iterable[Update]:
        item, response = event.get("item") or {}, self._responses[_id(event, "response_id")]
        done, number = event["type"].endswith("done"), event.get("output_index") or 0
        if not item.get("id"):
            if not done and item.get("type") == "message":
                return  # the first of its words makes it
            item = {**item, "id": next(iter(response.item_ids[number : number + 1]), f"{response.id}_{number}")}
        known = item["id"] in self._items and self._items[item["id"]].in_conversation
        turn = self._item(item, None, known, response.id)
        response.add(turn)
        if done:
            yield from self._rest(event, at, turn)
        if response.conversation_id is None:
            yield (updates.ItemDone if done else updates.ItemAdded)(event, at, turn)

    def _answering(self, event: Event) -> Turn:
        """Return the turn a delta belongs to; servers that leave out the events before it still get one."""
        response = self._responses[_id(event, "response_id")]
        item_id = _id(event) or (response.item_ids[-1] if response.turns else f"{response.id}_0")
        item = {"id": item_id, "type": "message", "role": "assistant"}
        turn = self._own(item_id) or self._item(item, None, response.conversation_id is not None, response.id)
        response.add(turn)
        turn.response_id = turn.response_id or response.id
        return turn

    def _text(self, event: Event, at: float) -> Iterable[Update]:
        turn, spoken, index = self._answering(event), "transcript" in event["type"], event.get("content_index") or 0
        final = event.get("transcript" if spoken else "text") if event["type"].endswith("done") else None
        whole = final or turn.part(spoken, index) + (event.get("delta") or "")
        return self._part(event, at, turn, spoken, index, whole)

    def _part_done(self, event: Event, at: float) -> Iterable[Update]:
        turn, part = self._answering(event), event.get("part") or {}
        for spoken, words in ((False, part.get("text")), (True, part.get("transcript"))):
            if words:
                yield from self._part(event, at, turn, spoken, event.get("content_index") or 0, words)
        yield from self._rest_of_audio(event, at, turn, [part])

    def _part(self, event: Event, at: float, turn: Turn, spoken: bool, index: int, words: str) -> Iterable[Update]:
        piece, whole = turn.take_part(spoken, index, words)
        if piece:
            so_far, response_id = turn.so_far(spoken, whole), turn.response_id or ""
            yield updates.TextDelta(event, at, response_id, turn.item_id, piece, so_far, spoken, turn.phase)

    def _rest(self, event: Event, at: float, turn: Turn) -> Iterable[Update]:
        """Report what of an answer only a final object brought, and no delta before."""
        if turn.response_id is None or turn.type != "message":
            return
        response = self._responses[turn.response_id]
        response.add(turn)
        for spoken, whole in ((False, turn.text), (True, turn.transcript or "")):
            if piece := turn.rest(spoken):
                so_far = turn.so_far(spoken, whole)
                yield updates.TextDelta(event, at, response.id, turn.item_id, piece, so_far, spoken, turn.phase)
        yield from self._rest_of_audio(event, at, turn, turn.item.get("content") or ())

    def _rest_of_audio(self, event: Event, at: float, turn: Turn, content: Any) -> Iterable[Update]:
        """Report the audio that only a final object brought."""
        try:
            rest = turn.rest_of_audio(content)
        except ValueError as error:
            yield updates.Odd.of(event, at, f"The server sent audio that cannot be read ({error}); the log has it.")
        else:
            yield from self._spoken(event, at, turn, rest, False) if rest else ()

    def _audio(self, event: Event, at: float, pcm: bytes, kept: bool) -> Iterable[Update]:
        translation = event["type"] == "session.output_audio.delta"
        turn = self._side("assistant", TRANSLATION_ITEMS["assistant"]) if translation else self._answering(event)
        return self._spoken(event, at, turn, pcm, kept)

    def _spoken(self, event: Event, at: float, turn: Turn, data: bytes, kept: bool) -> Iterable[Update]:
        pcm, odd = turn.samples_in(data)
        whole, start_ms = turn.add_audio(pcm, kept=kept and pcm is data)
        if turn.response_id and (response := self._responses[turn.response_id]).first_sound_at is None:
            response.first_sound_at = at
        yield updates.AudioDelta(event, at, turn.response_id or "", turn.item_id, whole, start_ms, turn.phase)
        if odd:
            yield updates.Odd.of(event, at, odd)

    def _translated(self, event: Event, at: float) -> Iterable[Update]:
        turn, piece = self._side("assistant", TRANSLATION_ITEMS["assistant"]), event.get("delta") or ""
        turn.transcript = (turn.transcript or "") + piece
        yield updates.TextDelta(event, at, "", turn.item_id, piece, turn.so_far(True, turn.transcript), True)

    def _call_done(self, event: Event, at: float) -> Iterable[Update]:
        turn = self._items.get(_id(event))
        # The Beta interface left the name out; the item has it.
        said = {k: v for k, v in event.items() if k in ("name", "call_id", "arguments")}
        item = {**(turn.item if turn else {}), **said}
        if turn is not None:
            turn.item = item
        if item.get("name"):
            yield from self._call(event, at, _id(event), item)

    def _call(self, event: Event, at: float, item_id: str, item: Event) -> Iterable[Update]:
        """Report a call once, whether `…arguments.done` or only `response.done` brought it."""
        response_id = _id(event, "response_id")
        call_id = item.get("call_id") or item_id
        if self._again(response_id, call_id):
            return
        name, arguments = item.get("name") or "", item.get("arguments") or "{}"
        yield updates.ToolCalled(event, at, response_id, item_id, call_id, name, arguments)
        if not name:
            yield updates.Odd.of(event, at, "The server sent a function call without a name, so nothing was called.")


def _session(talk: Conversation, event: Event, at: float) -> Iterable[Update]:
    # Some servers send a session without an object, its id beside `type` or nowhere.
    talk.session = event.get("session") or talk.session or {"id": _id(event, "id")}
    kind = updates.SessionStarted if event["type"] == "session.created" else updates.SessionUpdated
    yield kind(event, at, talk.session)


def _limits(talk: Conversation, event: Event, at: float) -> Iterable[Update]:
    talk.rate_limits, talk.rate_limits_at = event.get("rate_limits") or [], at
    yield updates.RateLimits(event, at, talk.rate_limits)


def _speech_started(talk: Conversation, event: Event, at: float) -> Iterable[Update]:
    start_ms = event.get("audio_start_ms") or 0
    talk._input.speech(_id(event), start_ms, None)
    yield updates.SpeechStarted(event, at, _id(event), start_ms)


def _speech_stopped(talk: Conversation, event: Event, at: float) -> Iterable[Update]:
    end_ms = event.get("audio_end_ms") or 0
    talk._input.speech_stopped(_id(event), end_ms)
    yield updates.SpeechStopped(event, at, _id(event), end_ms)


def _timeout(talk: Conversation, event: Event, at: float) -> None:
    talk._input.speech(_id(event), event.get("audio_start_ms"), event.get("audio_end_ms"))


def _cleared(talk: Conversation, *_: Any) -> None:
    talk._input.cleared()


def _holds_audio(item: Mapping[str, Any]) -> bool:
    return "input_audio" in [part.get("type") for part in item.get("content") or () if isinstance(part, Mapping)]


def _id(event: Event, name: str = "item_id") -> str:
    return event.get(name) or ""


_Fold = Callable[[Conversation, Event, float], Iterable[Update] | None]
_FOLDS: dict[str, _Fold] = {
    **dict.fromkeys(("session.created", "session.updated"), _session),
    **dict.fromkeys(("transcription_session.created", "transcription_session.updated"), _session),
    "session.output_transcript.delta": Conversation._translated,
    "session.input_transcript.delta": Conversation._transcript_delta,
    "rate_limits.updated": _limits,
    "error": lambda _, event, at: [updates.Errored(event, at, event["error"])],
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.timeout_triggered": _timeout,
    "input_audio_buffer.committed": Conversation._committed,
    "input_audio_buffer.cleared": _cleared,
    "conversation.item.input_audio_transcription.delta": Conversation._transcript_delta,
    "conversation.item.input_audio_transcription.completed": Conversation._transcript_completed,
    "conversation.item.input_audio_transcription.failed": Conversation._transcript_failed,
    **dict.fromkeys(("conversation.item.added", "conversation.item.done"), Conversation._announced),
    "conversation.item.truncated": Conversation._truncated,
    "conversation.item.deleted": Conversation._deleted,
    "response.created": lambda *_: None,  # it began with the first event that names it
    "response.done": Conversation._response_done,
    **dict.fromkeys(("response.output_item.added", "response.output_item.done"), Conversation._output_item),
    **dict.fromkeys(("response.output_text.delta", "response.output_text.done"), Conversation._text),
    **dict.fromkeys(
        ("response.output_audio_transcript.delta", "response.output_audio_transcript.done"), Conversation._text
    ),
    "response.output_audio.done": lambda _, end, at: [updates.AudioDone(end, at, _id(end, "response_id"), _id(end))],
    "response.content_part.done": Conversation._part_done,
    "response.function_call_arguments.done": Conversation._call_done,
}
