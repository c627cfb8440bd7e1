"""`rtnb.transcribe`: what was said in a recording, with its times, as text or subtitles; live as well.

A transcription session (`?intent=transcription`) names no model in its address and answers nothing; with
gpt-live-transcribe and gpt-realtime-whisper the client ends each stretch of speech itself, for turn detection must be
null there (OpenAI docs, guide realtime-transcription). So the sound is cut at its pauses here, on the way out. That
gives every stretch its times, keeps an hour's recording from being one item, and leaves silence out, which would be
billed and makes recognisers invent words.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rtnb import html, keys, models
from rtnb import money as costs
from rtnb.errors import ConnectionFailed, InputError, RtnbError, ServerError
from rtnb.jobs.audio_source import BYTES_PER_SECOND, Fed, Feed
from rtnb.opening import find_server
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session.session import Closed, Session
from rtnb.transport import connection_errors, io_thread

__all__ = ["Segment", "Transcription", "transcribe"]

MODEL = "gpt-live-transcribe"
_AHEAD = 8  # stretches whose words are still to come
_AHEAD_BYTES = 256 << 10
# A model that tells speakers apart compares the voices within a stretch, so it gets whole passages of a talk.
_PASSAGE_SECONDS = 45.0


@dataclass(frozen=True)
class Segment:
    """A stretch of speech and its words.

    Attributes:
        start_seconds: Where it begins in the recording.
        end_seconds: Where it ends.
        text: What was said; "" where nothing was understood.
        speaker: Who, where the model tells speakers apart: a label that holds within a stretch of about a minute, for
            the server compares voices only there. None otherwise.
        error: Why there are no words. None where there are.
    """

    start_seconds: float
    end_seconds: float
    text: str
    speaker: str | None = None
    error: str | None = None

    @property
    def start(self) -> float:
        """The same as `start_seconds`."""
        return self.start_seconds

    @property
    def end(self) -> float:
        """The same as `end_seconds`."""
        return self.end_seconds

    def __str__(self) -> str:
        return self.text


# --- cutting ----------------------------------------------------------------------------------------------------------

_FRAME_SECONDS = 0.02
_FRAME_BYTES = int(_FRAME_SECONDS * BYTES_PER_SECOND)
_LEAD_SECONDS = 0.3  # what is kept from before speech is noticed: soft beginnings of words
_QUIET = 0.0018  # -55 dB of full scale: a quiet room
_LOUDER = 3.0  # speech is this much louder than the room
_LOUD = 0.03  # -30 dB: what is as loud as this is sent in any case, for losing words is worse than paying for noise
_STILL = 1.25  # a short pause is as quiet as the room: soft consonants, louder than that, are parts of words


@dataclass
class Cut:
    """Where a stretch of speech lies.

    Attributes:
        start_seconds: Where it begins.
        end_seconds: Where it ends.
    """

    start_seconds: float
    end_seconds: float


class Cutter:
    """Cuts sound at its pauses while it comes; gives speech through and leaves silence out.

    The longer a stretch is already, the shorter a pause is enough to end it, so that sentences stay whole and a speech
    without a pause is still cut.

    Args:
        least_seconds: No stretch ends before it is this long.
    """

    def __init__(self, least_seconds: float = 0.0) -> None:
        self._least_seconds = least_seconds
        self._rest = b""
        self._at = 0  # frames seen
        self._lead: list[bytes] = []
        self._floor: list[float] = []  # loudness of the last seconds
        self._begun: int | None = None  # the frame in which the stretch begins
        self._spoken = 0  # the last frame in which somebody spoke
        self._sounded = 0  # the last frame that was louder than the room

    def feed(self, pcm: bytes) -> Iterator[bytes | Cut]:
        """Take sound; gives what is to be sent, and a `Cut` where a stretch is over."""
        pcm = self._rest + pcm
        size = len(pcm) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = pcm[size:]
        if not size:
            return
        samples = np.frombuffer(pcm[:size], "<i2").astype(np.float32).reshape(-1, _FRAME_BYTES // 2) / 32_768
        levels = np.sqrt((samples**2).mean(axis=1)).tolist()
        sending: list[bytes] = []
        for number, level in enumerate(levels):
            frame = pcm[number * _FRAME_BYTES : (number + 1) * _FRAME_BYTES]
            room = self._room(level)
            speaks = level > max(_QUIET, min(_LOUDER * room, _LOUD))
            if level > max(_QUIET, _STILL * room):
                self._sounded = self._at
            if self._begun is None:
                self._lead.append(frame)
                if len(self._lead) > _LEAD_SECONDS / _FRAME_SECONDS:
                    self._lead.pop(0)
                if speaks:
                    self._begun = self._at - len(self._lead) + 1
                    self._spoken = self._at
                    sending += self._lead
                    self._lead = []
            else:
                sending.append(frame)
                if speaks:
                    self._spoken = self._at
                if self._enough():
                    yield b"".join(sending)
                    sending = []
                    yield self._cut()
            self._at += 1
        if sending:
            yield b"".join(sending)

    def end(self) -> Iterator[bytes | Cut]:
        """No more sound comes."""
        if self._begun is not None:
            yield self._rest[: len(self._rest) // 2 * 2] + bytes(_FRAME_BYTES * 5)  # a commit takes 100 ms at least
            self._at -= 1
            yield self._cut()

    def _room(self, level: float) -> float:
        """How loud the room is: what the quiet tenth of the last five seconds does not go below."""
        self._floor.append(level)
        if len(self._floor) > 250:
            self._floor.pop(0)
        if len(self._floor) < 25:  # nothing is known yet: only what is loud by itself counts
            return 0.0
        if self._at % 10 == 0 or not hasattr(self, "_known"):
            self._known = float(np.quantile(self._floor, 0.1))
        return self._known

    def _enough(self) -> bool:
        assert self._begun is not None
        length = (self._at - self._begun) * _FRAME_SECONDS - self._least_seconds
        # The closure before a consonant, as in "o'clock", lasts up to 0.1 s.
        wanted = 0.7 if length < 5 else 0.35 if length < 12 else 0.2 if length < 20 else 0.12
        silent = (self._at - (self._spoken if wanted > 0.2 else self._sounded)) * _FRAME_SECONDS
        return length >= 0 and (silent >= wanted or length > 28)

    def _cut(self) -> Cut:
        assert self._begun is not None
        end = min(self._spoken + 1 + round(0.1 / _FRAME_SECONDS), self._at + 1)
        cut = Cut(self._begun * _FRAME_SECONDS, end * _FRAME_SECONDS)
        self._begun = None
        return cut


# --- the transcription ------------------------------------------------------------------------------------------------


class Transcription(Fed["Transcription", Segment]):
    """The words of a recording, or of sound that comes live; it has started already.

    `await` it or `.wait()` for all of it, or iterate over its segments as they come, in their order.

    Attributes:
        session: The session it runs on; `session.log` has every event.
        warnings: Plain sentences about what was odd but stopped nothing.
    """

    def __init__(self, session: Session, feed: Feed, budget: costs.Budget | None = None) -> None:
        super().__init__(session, feed)
        self.warnings: list[str] = []
        self._budget = budget
        self._cuts: list[Cut] = []  # stretches in the order they were committed
        self._uncommitted: deque[int] = deque()
        self._items: dict[str, int] = {}  # item id → which stretch
        self._parts: dict[int, list[Segment]] = {}  # what the model told apart inside a stretch
        self._done: dict[int, list[Segment]] = {}
        self._news = asyncio.Event()
        self._listeners: list[Any] = []
        self._task = session.lifecycle.submit(self._run())

    # --- what it says

    @property
    def segments(self) -> list[Segment]:
        """The stretches of speech whose words have come, in their order."""
        return [segment for number in sorted(self._done) for segment in self._done[number]]

    @property
    def text(self) -> str:
        """All words so far."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def partial(self) -> str:
        """Words that may still change: those of the stretches under way."""
        waiting = [item_id for item_id, number in self._items.items() if number not in self._done]
        turns = [self.session.conversation.turn(item_id) for item_id in waiting]
        return " ".join(turn.transcript for turn in turns if turn is not None and turn.transcript)

    @property
    def model(self) -> str:
        """The model that transcribes."""
        return self.session.settings["audio"]["input"]["transcription"]["model"]

    @property
    def seconds(self) -> float:
        """How much sound was read so far."""
        return self._feed.seconds

    @property
    def progress(self) -> tuple[float, float | None]:
        """`(seconds read, seconds in all)`; the second is None while unknown."""
        return self._feed.seconds, self._feed.total_seconds

    @property
    def cost(self) -> costs.Cost:
        """What it has cost so far, in US dollars."""
        used = self.session.conversation.transcribed
        return sum((costs.cost_of_transcription(usage, self.model) for _, usage in used), costs.Cost())

    # --- giving it away

    def srt(self) -> str:
        """Subtitles as SubRip, cut to readable lengths."""
        blocks = [
            f"{number}\n{_clock(cue.start_seconds, ',')} --> {_clock(cue.end_seconds, ',')}\n{cue.text}\n"
            for number, cue in enumerate(_cues(self.segments), 1)
        ]
        return "\n".join(blocks)

    def vtt(self) -> str:
        """Subtitles as WebVTT, cut to readable lengths."""
        blocks = [
            f"{_clock(cue.start_seconds, '.')} --> {_clock(cue.end_seconds, '.')}\n{_vtt_text(cue)}\n"
            for cue in _cues(self.segments)
        ]
        return "\n".join(["WEBVTT\n", *blocks])

    def save(self, path: str | Path) -> Path:
        """Write it to a file: `.srt`, `.vtt`, or the words alone as `.txt` or `.md`.

        Returns:
            The path written.

        Raises:
            InputError: If the ending is another, or the place cannot be written to.
        """
        target = Path(path).expanduser()
        words = lambda: self.text + "\n"  # noqa: E731
        written = {".srt": self.srt, ".vtt": self.vtt, ".txt": words, ".md": words}
        if target.suffix.lower() not in written:
            raise InputError(f"Your file {target.name} has an ending that means no subtitles. Use .srt, .vtt or .txt.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(written[target.suffix.lower()](), encoding="utf-8")
        except OSError as error:
            raise InputError(f"The file {target} cannot be written: {error.strerror}. Choose another place.") from error
        return target

    def _feed_to(self, put: Callable[[Segment | None], object]) -> Callable[[], None]:
        given, over = 0, False

        def catch_up() -> None:
            nonlocal given, over
            ended = self.done
            for segment in self._ready_segments()[given:]:
                given += 1
                put(segment)
            if ended and not over:
                over = True
                put(None)

        def on_loop() -> None:
            self._listeners.append(catch_up)
            catch_up()

        io_thread.io_loop().call_soon_threadsafe(on_loop)
        return lambda: self._listeners.remove(catch_up) if catch_up in self._listeners else None

    def _ready_segments(self) -> list[Segment]:
        """Segments with none missing before them, so that they can be given away in their order."""
        ready: list[Segment] = []
        for number in range(len(self._cuts)):
            if number not in self._done:
                break
            ready += self._done[number]
        return ready

    def __repr__(self) -> str:
        text = self.text
        short = text if len(text) <= 80 else text[:79] + "…"
        state = "" if self.done else ", still going"
        return f"Transcription({self._feed.name}, {self.seconds:.1f} s, {self.source}{state}): {short}"

    def _repr_html_(self) -> str:
        rows = [
            [_short_clock(segment.start_seconds), *([segment.speaker] if segment.speaker else []), segment.text or "–"]
            for segment in self.segments
        ]
        told = f"{self._feed.name}, {self.model}, {self.source}, {self.cost}"
        wide = any(len(row) == 3 for row in rows)
        return html.table(["at", *(["who"] if wide else []), "words"], rows, caption=told)

    # --- on the I/O thread

    async def _run(self) -> None:
        try:
            await self.session.lifecycle.until_open()
            end = self.session.subscribe(self._hear)
            try:
                await self._send_all()
                while len(self._done) < len(self._cuts):
                    await self._next()
                    if self.session.state == "closed":
                        raise self.session.error or connection_errors.ended(None, "", self.session.url)
            finally:
                end()
            self._judge()
        except BaseException as error:
            self._over(error)
            if not isinstance(error, RtnbError):
                raise
        else:
            self._over(None)
        finally:
            self.session.close()

    def _over(self, error: BaseException | None) -> None:
        if error is None:
            self._finish(self)
        else:
            stopped = self.session.error or connection_errors.ended(None, "", self.session.url)
            self._fail(error if isinstance(error, Exception) else stopped)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        for listener in list(self._listeners):
            listener()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _send_all(self) -> None:
        cutter = Cutter(_PASSAGE_SECONDS if models.get(self.model).speakers else 0.0)
        async for block in self._feed.blocks():
            for piece in cutter.feed(block):
                await self._send(piece)
        for piece in cutter.end():
            await self._send(piece)
        if not self._cuts:
            self.warnings.append("No speech was found in this recording: it is silent, or very quiet.")

    async def _send(self, piece: bytes | Cut) -> None:
        line = self.session.lifecycle.channel
        if isinstance(piece, bytes):
            line.append(piece)
            await line.drained(_AHEAD_BYTES)
            return
        seconds = piece.end_seconds - piece.start_seconds
        if self._budget is not None:
            next_cost = costs.cost_of_transcription({"type": "duration", "seconds": seconds}, self.model)
            self._budget.check_before(next_cost)
        number = len(self._cuts)
        self._cuts.append(piece)
        self._uncommitted.append(number)
        answer = line.expect(client_events.commit(), _is_committed, "a stretch of speech")
        answer.add_done_callback(lambda future: self._refused(number, future))
        while len(self._cuts) - len(self._done) > _AHEAD:
            await self._next()

    def _refused(self, number: int, answer: asyncio.Future[dict[str, Any]]) -> None:
        error = None if answer.cancelled() else answer.exception()
        # A connection that broke says nothing of this stretch: without its words, the recording is not done.
        if error is not None and not isinstance(error, ConnectionFailed):
            self._uncommitted.remove(number)
            self._settle(number, "", str(error))

    def _hear(self, update: Any) -> None:
        if isinstance(update, Closed):
            self._tell()
            return
        if isinstance(update, c.Committed) and self._uncommitted:
            self._items[update.item_id] = self._uncommitted.popleft()  # in the order of the commits (recorded)
            return
        number = self._items.get(getattr(update, "item_id", "") or "")
        if isinstance(update, c.Other) and update.event["type"].endswith("input_audio_transcription.segment"):
            self._part(update.event)
        elif number is None:
            return
        elif isinstance(update, c.InputTranscript):
            if update.final:
                self._book(update.event.get("usage"))
                self._settle(number, update.whole)
            else:
                self._tell()
        elif isinstance(update, c.InputTranscriptFailed):
            self._settle(number, "", str(update.error.get("message") or update.error.get("code") or "no reason given"))

    def _part(self, event: dict[str, Any]) -> None:
        """A model that tells speakers apart gives a stretch in parts, with times from the stretch's beginning."""
        number = self._items.get(event.get("item_id") or "")
        if number is not None:
            begin = self._cuts[number].start_seconds
            start, end = (begin + float(event.get(name) or 0) for name in ("start", "end"))
            part = Segment(start, end, (event.get("text") or "").strip(), event.get("speaker"))
            self._parts.setdefault(number, []).append(part)

    def _book(self, usage: dict[str, Any] | None) -> None:
        if self._budget is not None:
            try:
                self._budget.add(costs.cost_of_transcription(usage, self.model))
            except RtnbError as over:
                self.warnings.append(str(over))  # the next stretch is refused

    def _settle(self, number: int, text: str, error: str | None = None) -> None:
        cut = self._cuts[number]
        whole = Segment(cut.start_seconds, cut.end_seconds, text.strip(), error=error)
        self._done[number] = self._parts.get(number) or [whole]
        if error:
            self.warnings.append(f"{_short_clock(cut.start_seconds)} could not be transcribed: {error}")
        self._tell()

    def _judge(self) -> None:
        """A recording of which nothing at all could be transcribed is a failure, and told as one."""
        segments = self.segments
        if segments and all(segment.error for segment in segments):
            raise ServerError(
                f"The server could not transcribe any of it. It said: {segments[0].error} Check model= and language=."
            )


def _is_committed(event: dict[str, Any]) -> bool:
    return event["type"] == "input_audio_buffer.committed"


def _clock(seconds: float, point: Literal[",", "."]) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


def _short_clock(seconds: float) -> str:
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:02d}:{whole % 60:02d}" if hours else f"{whole // 60}:{whole % 60:02d}"


_CUE_LETTERS = 84  # two lines of 42, what subtitle guides allow


def _cues(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments cut to what fits on a screen, their time shared out by letters."""
    for segment in segments:
        if not segment.text:
            continue
        count = math.ceil(len(segment.text) / _CUE_LETTERS)
        pieces = _split(segment.text, math.ceil(len(segment.text) / count) + 8) if count > 1 else [segment.text]
        letters = sum(map(len, pieces))
        start = segment.start_seconds
        for piece in pieces:
            end = start + (segment.end_seconds - segment.start_seconds) * len(piece) / letters
            yield replace(segment, start_seconds=start, end_seconds=end, text=piece)
            start = end


def _split(text: str, most: int) -> list[str]:
    """Break text at spaces; scripts without spaces at the length."""
    import textwrap

    return textwrap.wrap(text, min(most, _CUE_LETTERS), break_on_hyphens=False) or [text]


def _vtt_text(cue: Segment) -> str:
    text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<v {cue.speaker}>{text}" if cue.speaker else text


def transcribe(
    source: Any = None,
    *,
    model: str = MODEL,
    language: str | None = None,
    keywords: Sequence[str] = (),
    prompt: str | None = None,
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None,
    noise_reduction: Literal["near_field", "far_field"] | None = None,
    key: str | keys.Key | None = None,
    url: str | None = None,
    provider: str | None = None,
    practice: bool = False,
    replay: str | Path | None = None,
    replay_speed: float = 1.0,
    budget: float | costs.Budget | None = None,
    verbose: bool = False,
) -> Transcription:
    """Write down what was said.

    ```python
    words = await rtnb.transcribe("talk.m4a", language="en")
    words.save("talk.srt")
    ```

    Args:
        source: A recording: a clip, a path, the bytes of a file. None: give sound with `append()` as it comes, and call
            `finish()`.
        model: The transcription model. `"gpt-4o-transcribe-diarize"` also tells who speaks (`Segment.speaker`).
        language: The language spoken, as `"en"` or `"pt"`. None: the model finds out.
        keywords: Names and terms to expect (gpt-live-transcribe).
        prompt: Free text that sets the scene; not every model takes it.
        delay: How long gpt-realtime-whisper may wait for more sound before it writes. None: its own.
        noise_reduction: Filter for a close or a distant microphone. None: none.
        key: The API key. None: found as `rtnb.find_key` does.
        url: Another server, without `?intent=`. None: OpenAI, or the practice server where no key is found.
        provider: Its kind by its name in `models.toml`, where its address does not tell.
        practice: Use the practice server, whatever keys there are.
        replay: A saved session to play back (`transcription.session.save`).
        replay_speed: How many times faster than it was recorded.
        budget: US dollars it may cost, or a budget shared with others. None: no limit.
        verbose: Whether to print every event.

    Returns:
        A `Transcription` that has started.

    Raises:
        InputError: If the source is no single recording.
        KeyMissing: If `url` names a server that needs a key and none is found.
        ReplayError: If `replay` cannot be read.
    """
    key = keys.hold(key)
    about = models.get(model)
    if about.kind == "realtime":
        told = f"Your model {model} talks and does not transcribe. Give for example model={MODEL!r}."
        raise InputError(told, model=model)
    feed = Feed(source)
    heard: dict[str, Any] = {"model": model}
    for name, value in (("language", language), ("prompt", prompt), ("delay", delay), ("keywords", list(keywords))):
        if value:
            heard[name] = value
    listening: dict[str, Any] = {"format": {"type": "audio/pcm", "rate": 24_000}, "transcription": heard}
    # Null: gpt-live-transcribe and gpt-realtime-whisper take no turn detection in these sessions (OpenAI docs).
    listening["turn_detection"] = None
    if noise_reduction:
        listening["noise_reduction"] = {"type": noise_reduction}
    door = "?intent=transcription"
    where = find_server(
        None,
        key=key,
        url=None if url is None else f"{url}{'&' + door[1:] if '?' in str(url) else door}",
        provider=provider,
        practice=practice,
        replay=replay,
        replay_speed=replay_speed,
        door=door,
    )
    session = Session(where, model, {"type": "transcription", "audio": {"input": listening}}, verbose=verbose)
    return Transcription(session, feed, costs.Budget.of(budget))
