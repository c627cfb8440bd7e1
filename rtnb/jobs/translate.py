"""`rtnb.translate`: speech in one language, spoken in another while it comes.

A translation session (`/v1/realtime/translations`) has no turns and no questions: sound goes in, and translated sound
and words come out as they are ready (OpenAI SDK, `realtime_translation_*` types). It is billed by the minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtnb import html, keys, models
from rtnb import money as costs
from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import ConnectionFailed, InputError, RtnbError
from rtnb.jobs.audio_source import BYTES_PER_SECOND, Fed, Feed
from rtnb.opening import find_server
from rtnb.protocol import client_events, error_events, frames
from rtnb.protocol import conversation as c
from rtnb.session.reply import Delta
from rtnb.session.session import Closed, Session
from rtnb.transport import io_thread

if TYPE_CHECKING:
    from rtnb.audio import Clip

__all__ = ["Translation", "translate"]

MODEL = "gpt-realtime-translate"
_CHUNK_BYTES = BYTES_PER_SECOND // 5  # the server takes frames of 200 ms (SDK docstring)
_BUDGET_SECONDS = 10.0


class Translation(Fed["Translation", Delta]):
    """A recording, or sound that comes live, in another language; it has started already.

    `await` it or `.wait()` for all of it, or iterate over its pieces of words and sound as they come.

    Attributes:
        session: The session it runs on; `session.log` has every event.
        to: The language it is translated into.
    """

    def __init__(self, session: Session, feed: Feed, to: str, budget: costs.Budget | None = None) -> None:
        super().__init__(session, feed)
        self.to = to
        self._budget = budget
        self._sent_seconds = 0.0
        self._pieces: list[Delta | None] = []
        self._listeners: list[Any] = []
        self._over = asyncio.Event()
        self._asked = self._whole = False  # whether the end was asked for, and whether it came
        self._task = session.lifecycle.submit(self._run())

    def _turn(self, role: str) -> c.Turn | None:
        return self.session.conversation.turn(c.TRANSLATION_ITEMS[role])

    @property
    def text(self) -> str:
        """The translation's words so far."""
        turn = self._turn("assistant")
        return (turn.transcript or "").strip() if turn is not None else ""

    @property
    def audio(self) -> Clip | None:
        """The translation's sound so far, mono, 24 kHz. None where there is none yet."""
        turn = self._turn("assistant")
        return turn.audio if turn is not None else None

    @property
    def source_text(self) -> str:
        """What was said in the original, where `transcription` is on; "" otherwise."""
        turn = self._turn("user")
        return (turn.transcript or "").strip() if turn is not None else ""

    @property
    def model(self) -> str:
        """The model that translates."""
        return self.session.model

    @property
    def progress(self) -> tuple[float, float | None]:
        """`(seconds sent, seconds in all)`; the second is None while unknown."""
        return self._sent_seconds, self._feed.total_seconds

    @property
    def cost(self) -> costs.Cost:
        """What it has cost so far, in US dollars: by the minute of sound sent."""
        return costs.cost_of_minutes(self._sent_seconds, self.model)

    def save(self, path: str | Path) -> Path:
        """Save its sound, the format told by the ending; `.txt` and `.md` save the words.

        Returns:
            The path written.

        Raises:
            AudioError: If the format cannot be written.
            InputError: If there is no sound yet.
        """
        target = Path(path).expanduser()
        if target.suffix.lower() in (".txt", ".md"):
            target.write_text(self.text + "\n", encoding="utf-8")
            return target
        if (audio := self.audio) is None:
            raise InputError("The translation has no sound yet. Wait for it, or save its words to a .txt file.")
        return audio.save(target)

    def _feed_to(self, put: Callable[[Delta | None], object]) -> Callable[[], None]:
        # Lists only grow, so reading needs no lock.
        given = 0

        def catch_up() -> None:
            nonlocal given
            while given < len(self._pieces):
                given += 1
                put(self._pieces[given - 1])

        def on_loop() -> None:
            self._listeners.append(catch_up)
            catch_up()

        io_thread.io_loop().call_soon_threadsafe(on_loop)

        def end() -> None:
            if catch_up in self._listeners:
                self._listeners.remove(catch_up)

        return end

    def __repr__(self) -> str:
        text = self.text
        short = text if len(text) <= 80 else text[:79] + "…"
        state = "" if self.done else ", still going"
        return f"Translation({self._feed.name} → {self.to}, {self.source}{state}): {short}"

    def _repr_html_(self) -> str:
        audio = self.audio
        facts = [("original", self.source_text)] if self.source_text else []
        facts += [("translation", self.text or "–"), ("from", f"{self.model}, {self.source}"), ("cost", str(self.cost))]
        player = html.Safe(audio._repr_html_()) if audio is not None else ""
        return html.card(f"{self._feed.name} → {self.to}", facts, body=player)

    # --- on the I/O thread

    async def _run(self) -> None:
        try:
            await self.session.lifecycle.until_open()
            end = self.session.subscribe(self._hear)
            try:
                await self._send_all()
                self._asked = True
                self.session.lifecycle.channel.put({"type": "session.close", "event_id": client_events.new_event_id()})
                await self._over.wait()
            finally:
                end()
            if not self._whole:
                raise self._stopped()
        except BaseException as error:
            self._fail(error if isinstance(error, Exception) else self._stopped())
            if not isinstance(error, RtnbError):
                raise
        else:
            self._finish(self)
        finally:
            self._add(None)
            self.session.close()

    def _stopped(self) -> BaseException:
        told = "You closed the translation before it was whole. What came until then is kept in .text and .audio."
        return self.session.error or ConnectionFailed(told, url=self.session.url)

    async def _send_all(self) -> None:
        line, rest, checked = self.session.lifecycle.channel, b"", 0.0
        async for block in self._feed.blocks():
            rest += block
            while len(rest) >= _CHUNK_BYTES:
                if self._budget is not None and self._sent_seconds >= checked:
                    self._budget.check_before(costs.cost_of_minutes(_BUDGET_SECONDS, self.model))
                    checked += _BUDGET_SECONDS
                self._append(rest[:_CHUNK_BYTES])
                rest = rest[_CHUNK_BYTES:]
                try:
                    await line.flushed()
                except ConnectionFailed:  # the session's own end, which is next, knows why
                    await self.session.lifecycle.until_ended()
                if self.session.state == "closed":
                    raise self._stopped()
        if rest:
            self._append(rest + bytes(_CHUNK_BYTES - len(rest)))

    def _append(self, pcm: bytes) -> None:
        self._sent_seconds += len(pcm) / BYTES_PER_SECOND
        if self._budget is not None:
            self._budget.add(costs.cost_of_minutes(len(pcm) / BYTES_PER_SECOND, self.model))
        audio = frames.encode_audio(pcm)
        event = {"type": "session.input_audio_buffer.append", "event_id": client_events.new_event_id(), "audio": audio}
        self.session.lifecycle.channel.put(event)

    def _hear(self, update: Any) -> None:
        if isinstance(update, c.TextDelta):
            self._add(Delta(text=update.piece, whole=update.whole))
        elif isinstance(update, c.AudioDelta) and len(update.pcm) >= 2:
            from rtnb.audio import Clip

            self._add(Delta(audio=Clip.from_pcm(update.pcm, rate_hz=RATE_HZ, name="piece")))
        elif isinstance(update, Closed):
            self._over.set()
        elif update.event["type"] == "session.closed":
            # The only orderly end, and only once it was asked for: then nothing is left to be said (SDK docstring).
            if self._asked:
                self._whole = self.session.lifecycle.closing = True  # however the socket is closed now
                self._over.set()
            else:
                self.session.lifecycle.hang_up()
        elif isinstance(update, c.Errored) and update.error.get("code") == error_events.NOT_RECORDED:
            self.session.lifecycle.error = error_events.error_from(update.event, "the translation")
            self._over.set()

    def _add(self, piece: Delta | None) -> None:
        self._pieces.append(piece)
        for listener in list(self._listeners):
            listener()


def translate(
    source: Any = None,
    *,
    to: str,
    model: str = MODEL,
    transcription: bool | str = False,
    key: str | keys.Key | None = None,
    url: str | None = None,
    provider: str | None = None,
    practice: bool = False,
    replay: str | Path | None = None,
    replay_speed: float = 1.0,
    budget: float | costs.Budget | None = None,
    verbose: bool = False,
) -> Translation:
    """Say a recording in another language.

    ```python
    spoken = await rtnb.translate("talk.m4a", to="es")
    spoken.audio.save("talk_es.mp3")
    ```

    Args:
        source: A recording: a clip, a path, the bytes of a file. None: give sound with `append()` as it comes, and call
            `finish()`.
        to: The language to translate into, as `"es"`.
        model: The translation model.
        transcription: Whether to write down the original too, and with which model; billed apart.
        key: The API key. None: found as `rtnb.find_key` does.
        url: Another server's address. None: OpenAI, or the practice server where no key is found.
        provider: Its kind by its name in `models.toml`, where its address does not tell.
        practice: Use the practice server, whatever keys there are.
        replay: A saved session to play back (`translation.session.save`).
        replay_speed: How many times faster than it was recorded.
        budget: US dollars it may cost, or a budget shared with others. None: no limit.
        verbose: Whether to print every event.

    Returns:
        A `Translation` that has started.

    Raises:
        InputError: If the source is no single recording, or `to` is empty.
        KeyMissing: If `url` names a server that needs a key and none is found.
        ReplayError: If `replay` cannot be read.
    """
    key = keys.hold(key)
    if not to or not isinstance(to, str):
        raise InputError("Your translation needs a language to go to. Give for example to='es'.", to=to)
    if models.get(model).kind not in ("translation", "unknown"):
        raise InputError(f"Your model {model} does not translate sessions. Give model={MODEL!r}.", model=model)
    feed = Feed(source)
    audio: dict[str, Any] = {"output": {"language": to}}
    if transcription:
        audio["input"] = {"transcription": {"model": transcription if isinstance(transcription, str) else _ORIGINAL}}
    where = find_server(
        model,
        key=key,
        url=None if url is None else _door(url),
        provider=provider,
        practice=practice,
        replay=replay,
        replay_speed=replay_speed,
        door="/translations",
    )
    session = Session(where, model, {"audio": audio}, verbose=verbose)
    return Translation(session, feed, to, costs.Budget.of(budget))


def _door(url: str) -> str:
    """The translations' address beside a server's own."""
    path, mark, query = str(url).partition("?")
    path = path.rstrip("/")
    return (path if path.endswith("/translations") else path + "/translations") + mark + query


_ORIGINAL = "gpt-realtime-whisper"
