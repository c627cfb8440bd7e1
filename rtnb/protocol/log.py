"""The log: every event both ways with its time, kept outside memory.

A minute of speech is 2.9 MB of PCM16 and 3.8 MB of base64, an answer can have 16,000 deltas and a session 200,000
events: none of it must live in memory. So the events go, as JSON, to a spool that spills to disk, and their audio,
decoded, to two others. An event is read, and gets its audio back to the letter, when somebody looks.
"""

import sys
from array import array
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal, overload

from rtnb.protocol.entry import APPEND, Entry, Spool
from rtnb.protocol.event_table import event_table
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, decode_audio, dumps
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say


class _Columns:
    """Facts of all events, a column each, and the spools that hold the rest: entries would take five times as much."""

    def __init__(self) -> None:
        self.at_seconds, self.types = array("d"), list[str]()
        # Where its JSON begins, where its audio begins (-1 without), and the size of its audio; 0 for none.
        self.lines, self.sounds, self.sizes = array("q"), array("q"), array("q")
        self.sent = bytearray()
        self.events, self.heard, self.spoken = Spool(), Spool(), Spool()

    def entry(self, index: int) -> Entry:
        """Make the entry of an event."""
        sent, sound = self.sent[index], self.sounds[index]
        sounds = (self.heard if sent else self.spoken) if sound >= 0 else None
        direction: Literal["sent", "received"] = "sent" if sent else "received"
        of_event = self.at_seconds[index], direction, self.types[index], self.events, self.lines[index]
        return Entry(*of_event, sounds, sound, self.sizes[index])

    def add(self, event: Event, pcm: bytes | None, at_seconds: float, *, sent: bool) -> Entry:
        """Keep an event and its audio, decoded."""
        line = self.events.write(dumps(event) + b"\n")
        sound = -1 if pcm is None else (self.heard if sent else self.spoken).write(pcm)
        self.lines.append(line)
        self.sounds.append(sound)
        self.sizes.append(len(pcm or b""))
        self.sent.append(sent)
        self.types.append(sys.intern(event["type"]))
        self.at_seconds.append(at_seconds)  # the last, and so what counts them
        return self.entry(len(self.at_seconds) - 1)


class Log(Sequence[Entry]):
    """Events both ways, in order; a stretch of it, or those of one type, are a log again.

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", show=False).wait()
        >>> [entry.type for entry in reply.log.of("response.*")][-1]
        'response.done'
    """

    def __init__(self, columns: _Columns | None = None, indices: Sequence[int] | None = None) -> None:
        self._columns = columns or _Columns()
        self._indices = indices  # of what stands in it; None for a log that grows

    @property
    def heard(self) -> Spool:
        """Audio appended to the input audio buffer over the whole session, decoded."""
        return self._columns.heard

    @property
    def spoken(self) -> Spool:
        """Audio that the server has sent over the whole session, decoded."""
        return self._columns.spoken

    def __len__(self) -> int:
        return len(self._columns.at_seconds) if self._indices is None else len(self._indices)

    @overload
    def __getitem__(self, key: int) -> Entry: ...
    @overload
    def __getitem__(self, key: slice) -> "Log": ...
    def __getitem__(self, key: int | slice) -> "Entry | Log":
        indices = range(len(self)) if self._indices is None else self._indices
        return self._columns.entry(indices[key]) if isinstance(key, int) else Log(self._columns, indices[key])

    def sent(self, event: Event, at_seconds: float) -> Entry:
        """Keep a client event."""
        event = {**event}  # the caller sends it
        return self._columns.add(event, take_audio(event), at_seconds, sent=True)

    def appended(self, event_id: str, pcm: bytes, at_seconds: float) -> Entry:
        """Keep an `input_audio_buffer.append` whose audio is at hand decoded."""
        return self._columns.add({"type": APPEND, "event_id": event_id, "audio": ""}, pcm, at_seconds, sent=True)

    def received(self, event: Event, at_seconds: float, pcm: bytes | None = None) -> Entry:
        """Keep a server event.

        Args:
            event: The event.
            at_seconds: When it came.
            pcm: Its audio, as `take_audio` took it out. None: it is still in it, and is taken out, or it has none.
        """
        pcm = take_audio(event) if pcm is None else pcm
        return self._columns.add(event, pcm, at_seconds, sent=False)

    @checks_call
    def of(self, pattern: str) -> "Log":
        """Return the events of one type, or of several by a pattern such as `"response.*"`, in their order.

        Raises:
            InputError: If `pattern` is no text.
        """
        indices = range(len(self)) if self._indices is None else self._indices
        return Log(self._columns, [index for index in indices if fnmatchcase(self._columns.types[index], pattern)])

    def _repr_html_(self) -> str:
        return event_table(self)

    def __repr__(self) -> str:
        sent = sum(entry.direction == "sent" for entry in self)
        return say("Log({sent} events sent, {received} received)", sent=sent, received=len(self) - sent)


def take_audio(event: Event) -> bytes | None:
    """Take the audio out of an event and return it decoded; None where it has none, or none that can be decoded."""
    field = AUDIO_FIELDS.get(event["type"])
    try:
        pcm = decode_audio(event[field]) if field and isinstance(event.get(field), str) else None
    except ValueError:
        return None
    if field and pcm is not None:
        event[field] = ""
    return pcm
