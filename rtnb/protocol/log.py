"""The log: every event both ways with its time, and the audio in them kept outside memory.

A minute of speech is 2.9 MB of PCM16 and 3.8 MB of base64, and an hour of a recording must not live in memory. So the
audio we send goes, decoded, to a spool that spills to disk; the audio we receive is kept decoded, by the same bytes
that the conversation keeps. An event gets its audio back, to the letter, when somebody looks.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial

from rtnb.protocol.entry import Entry, Spool
from rtnb.protocol.event_table import event_table
from rtnb.protocol.event_types import AUDIO_FIELDS
from rtnb.protocol.frames import Event, decode_audio
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say


class Log(list[Entry]):
    """Events both ways, in order.

    Attributes:
        heard: Audio appended to the input audio buffer over the whole session, decoded.

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", show=False).wait()
        >>> [entry.type for entry in reply.log.of("response.*")][-1]
        'response.done'
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = Spool()

    def sent(self, event: Event, at_seconds: float) -> Entry:
        """Keep a client event."""
        if (pcm := _decoded(event)) is None:
            return self._add(Entry(at_seconds, "sent", event))
        return self.appended({**event, AUDIO_FIELDS[event["type"]]: ""}, pcm, at_seconds)

    def appended(self, event: Event | str, pcm: bytes, at_seconds: float) -> Entry:
        """Keep a client event whose audio is at hand decoded; of `input_audio_buffer.append` its id is enough."""
        # Thousands of these make up a long recording: the event is put together when somebody looks.
        start = self.heard.write(pcm)
        read = partial(self.heard.read, start, start + len(pcm))
        return self._add(Entry(at_seconds, "sent", event, len(pcm), read))

    def received(self, event: Event, at_seconds: float) -> Entry:
        """Keep a server event. Audio that is no base64 is kept as it came."""
        if (pcm := _decoded(event)) is None:
            return self._add(Entry(at_seconds, "received", event))
        # In place: the event is nobody else's yet, and the base64 must not stay alive.
        event[AUDIO_FIELDS[event["type"]]] = ""
        return self._add(Entry(at_seconds, "received", event, len(pcm), lambda: pcm))

    @checks_call
    def of(self, pattern: str) -> "Log":
        """Return the events of one type, or of several by a pattern such as `"response.*"`, in their order.

        Raises:
            InputError: If `pattern` is no text.
        """
        return self._with(entry for entry in self if fnmatchcase(entry.type, pattern))

    def part(self, begin: int, end: int | None) -> "Log":
        """Return the events from place `begin` on, up to `end`; None: all that follow."""
        return self._with(self[begin:end])

    def _with(self, entries: Iterable[Entry]) -> "Log":
        log = Log.__new__(Log)
        log.heard = self.heard
        log.extend(entries)
        return log

    def _add(self, entry: Entry) -> Entry:
        self.append(entry)
        return entry

    def _repr_html_(self) -> str:
        return event_table(self)

    def __repr__(self) -> str:
        sent = sum(entry.direction == "sent" for entry in self)
        return say("Log({sent} events sent, {received} received)", sent=sent, received=len(self) - sent)


def _decoded(event: Event) -> bytes | None:
    """Return the audio of an event; None where it has none, or none that can be decoded."""
    field = AUDIO_FIELDS.get(event["type"])
    try:
        return decode_audio(event[field]) if field and isinstance(event.get(field), str) else None
    except ValueError:
        return None
