"""Words of a recording, with their times, as text or subtitles; live as well.

A transcription session (`?intent=transcription`) names no model in its address and answers nothing; with
gpt-live-transcribe and gpt-realtime-whisper the client ends each stretch of speech itself, for turn detection must be
null there (OpenAI docs, guide realtime-transcription). So the audio is cut at its pauses here, on the way out. That
gives every stretch its times, keeps an hour's recording from being one item, and leaves silence out, which would be
billed and makes recognisers invent words.
"""

import asyncio
import functools
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtnb import html, models
from rtnb.errors import ConnectionFailed, InputError, RtnbError, ServerError
from rtnb.jobs.audio_job import AudioJob
from rtnb.jobs.cutting import Cutter
from rtnb.jobs.subtitles import Segment, short_clock, srt, vtt
from rtnb.money import Cost, cost_of_transcription
from rtnb.protocol import client_events
from rtnb.protocol.error_events import reason_in
from rtnb.protocol.updates import Committed, InputTranscript, InputTranscriptFailed, Other
from rtnb.session.exchanges import is_type
from rtnb.session.parts import Recording
from rtnb.session.session import Session
from rtnb.texts.files import save_file
from rtnb.texts.language import say
from rtnb.texts.shortening import shortened
from rtnb.transport import connection_errors
from rtnb.transport.channel import NO_ANSWER


def _refusal(answer: asyncio.Future[Any]) -> RtnbError | None:
    """Return with what the server refused a commit; the end of the connection says nothing of it, nor does silence."""
    error = answer.exception() if answer.done() and not answer.cancelled() else None
    silent = isinstance(error, ConnectionFailed) or getattr(error, "code", None) == NO_ANSWER
    return error if isinstance(error, RtnbError) and not silent else None


class Transcription(AudioJob["Transcription", Segment]):
    """Words of a recording, or of audio that comes live; it has started already.

    `await` it or `.wait()` for all of it, or iterate over its segments as they come, in their order.

    Attributes:
        session: The session it runs on; `session.log` has every event.
        source: Answering side: `"openai"`, `"practice"`, `"replay"` or the host's name.
        warnings: Plain sentences about what was odd but stopped nothing.

    Examples:
        >>> words = rtnb.transcribe(rtnb.samples()["question"], practice=True).wait()
        >>> print(words.srt())
        1
        00:00:00,000 --> 00:00:01,...
        What is the capital of Norway?
        <BLANKLINE>
    """

    def __init__(self, session: Session, recording: Recording | None) -> None:
        self._cuts: list[Segment] = []  # stretches without their words, in the order they were committed
        self._uncommitted: deque[tuple[int, asyncio.Future[Any]]] = deque()  # with the answers to their commits
        self._items: dict[str, int] = {}  # item id → number of its stretch
        self._parts: dict[int, list[Segment]] = {}  # what the model told apart inside a stretch
        self._done: dict[int, list[Segment]] = {}
        self._passed_on = 0  # how many stretches, in their order, who iterates has
        super().__init__(session, recording)

    # --- what there is

    @property
    def segments(self) -> list[Segment]:
        """Stretches of speech whose words have come, in their order."""
        return [segment for number in sorted(self._done) for segment in self._done[number]]

    @property
    def text(self) -> str:
        """All words so far."""
        return self._so_far("text", " ".join(segment.text for segment in self.segments if segment.text))

    @property
    def partial(self) -> str:
        """Words that may still change: those of the stretches under way."""
        waiting = [item_id for item_id, number in self._items.items() if number not in self._done]
        turns = [self.session.conversation.turn(item_id) for item_id in waiting]
        return " ".join(turn.transcript for turn in turns if turn is not None and turn.transcript)

    @property
    def model(self) -> str:
        """Name of the model that transcribes."""
        return self.session.settings["audio"]["input"]["transcription"]["model"]

    @property
    def seconds(self) -> float:
        """Duration of the audio read so far."""
        return self._read_seconds

    @property
    def progress(self) -> tuple[float, float | None]:
        """`(seconds read, seconds in all)`; the second is None while unknown."""
        return self._read_seconds, self._total_seconds

    @property
    def cost(self) -> Cost:
        """Cost so far, in US dollars."""
        used = self.session.conversation.transcribed
        return sum((cost_of_transcription(usage, self.model) for _, usage in used), Cost())

    # --- written down

    def srt(self) -> str:
        """Write subtitles as SubRip, cut to readable lengths."""
        return srt(self.segments)

    def vtt(self) -> str:
        """Write subtitles as WebVTT, cut to readable lengths."""
        return vtt(self.segments)

    def save(self, path: str | Path) -> Path:
        """Write it to a file: `.srt`, `.vtt`, or the words alone as `.txt` or `.md`.

        Returns:
            The path written.

        Raises:
            InputError: If the ending is another, or the place cannot be written to.
        """
        target, words = Path(path), self._to_save("text", self.text) + "\n"
        written = {".srt": self.srt(), ".vtt": self.vtt(), ".txt": words, ".md": words}
        if (ending := target.suffix.lower()) not in written:
            raise InputError(f"Your file {target.name} has an ending that means no subtitles. Use .srt, .vtt or .txt.")
        return save_file(target, written[ending])

    def __repr__(self) -> str:
        state = "" if self.done else say(", still going")
        return f"Transcription({self._name}, {self.seconds:.1f} s, {self.source}{state}): {shortened(self.text)}"

    def _repr_html_(self) -> str:
        segments = self.segments
        rows = [[short_clock(s.start_seconds), *filter(None, [s.speaker]), s.text or "–"] for s in segments]
        caption = f"{self._name}, {self.model}, {self.source}, {self.cost}"
        who = ["who"] if any(segment.speaker for segment in segments) else []
        return html.table(["at", *who, "words"], rows, caption=caption)

    # --- on the I/O thread

    def _missing(self) -> BaseException | None:
        if self._all_sent and len(self._done) == len(self._cuts):
            return None
        return self.session.error or connection_errors.ended(None, "", url=self.session.url)

    async def _await_rest(self) -> None:
        await self._until(lambda: len(self._done) == len(self._cuts))
        if self._all_sent and (errors := [segment.error for segment in self.segments]) and all(errors):
            said = errors[0]
            raise ServerError(f"The server could not transcribe any of it. It said: {said} Check model= and language=.")

    async def _send_all(self) -> None:
        # A model that tells speakers apart compares the voices within a stretch, so it gets whole passages of a talk.
        cutter = Cutter(45.0 if models.get(self.model).speakers else 0.0)
        async for block in self._blocks():
            for piece in cutter.feed(block):
                await self._send(piece)
        for piece in cutter.end():
            await self._send(piece)
        if not self._cuts:
            self.warnings.append("No speech was found in this recording: it is silent, or very quiet.")

    async def _send(self, piece: bytes | Segment) -> None:
        if isinstance(piece, bytes):
            await self._append(piece)
            return
        number = len(self._cuts)
        self._cuts.append(piece)
        committed, channel = is_type("input_audio_buffer.committed"), self.session.lifecycle.channel
        answer = channel.expect(client_events.commit(), committed, "to commit the sound")
        self._uncommitted.append((number, answer))
        answer.add_done_callback(functools.partial(self._committed, number))
        await self._until(lambda: len(self._cuts) - len(self._done) <= 8)  # whose words are still to come

    async def _append(self, piece: bytes) -> None:
        """Send audio, never far ahead of the socket."""
        await asyncio.sleep(0)  # the session sends in the order of calls, from the next turn of the loop on
        self.session.lifecycle.channel.append(piece)
        await self.session.lifecycle.channel.drained(256 << 10)

    def _committed(self, number: int, answer: asyncio.Future[Any]) -> None:
        if (refused := _refusal(answer)) is not None:
            self._settle(number, "", str(refused))

    def _number_of(self, item_id: str) -> int | None:
        """Return the stretch of an item: one that is new, or has no id, is of the next stretch (recorded order)."""
        number = self._items.get(item_id)
        while self._uncommitted and (number is None or (not item_id and number in self._done)):
            following, answer = self._uncommitted.popleft()
            if _refusal(answer) is None:
                number = self._items[item_id] = following
        return number

    def _take(self, update: Any) -> None:
        item_id = update.event.get("item_id") or ""
        begins = (InputTranscript, InputTranscriptFailed, *([Committed] if item_id else []))
        number = self._number_of(item_id) if isinstance(update, begins) else self._items.get(item_id)
        if number is None:
            return
        if isinstance(update, Other) and update.event["type"].endswith("input_audio_transcription.segment"):
            # One speaker's part of a stretch, with times from the stretch's beginning.
            event, begin = update.event, self._cuts[number].start_seconds
            start, end = (begin + float(event.get(name) or 0) for name in ("start", "end"))
            part = Segment(start, end, (event.get("text") or "").strip(), event.get("speaker"))
            self._parts.setdefault(number, []).append(part)
        elif isinstance(update, InputTranscript) and update.final:
            self._settle(number, update.whole)
        elif isinstance(update, InputTranscriptFailed):
            self._settle(number, "", reason_in(update.error))
        self._news.set()

    def _settle(self, number: int, text: str, error: str | None = None) -> None:
        whole = replace(self._cuts[number], text=text.strip(), error=error)
        self._done[number] = self._parts.get(number) or [whole]
        while self._passed_on in self._done:
            for segment in self._done[self._passed_on]:
                self._pieces.tell(segment)
            self._passed_on += 1
        if error:
            self.warnings.append(f"{short_clock(whole.start_seconds)} could not be transcribed: {error}")
        self._news.set()
