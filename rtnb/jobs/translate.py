"""`rtnb.translate`: speech in one language, spoken in another while it comes.

A translation session (`/v1/realtime/translations`) has no turns and no questions: audio goes in, and translated audio
and words come out as they are ready (OpenAI SDK, `realtime_translation_*` types). It is billed by the minute.
"""

from pathlib import Path
from typing import Any, Unpack

from rtnb import html, models
from rtnb.audio import Clip, pcm
from rtnb.errors import ConnectionFailed, InputError
from rtnb.jobs.audio_job import AudioJob, recording_of
from rtnb.money import Cost, cost_of_minutes
from rtnb.opening import ServerOptions, find_server, open_session, takes_options
from rtnb.protocol import client_events, error_events
from rtnb.protocol.items import TRANSLATION_ITEMS
from rtnb.protocol.updates import Errored
from rtnb.session.parts import Recording
from rtnb.session.reply import Delta
from rtnb.session.session import Session
from rtnb.texts.files import save_file
from rtnb.texts.language import say
from rtnb.texts.shortening import shortened
from rtnb.transport import connection_errors

MODEL = "gpt-realtime-translate"
ORIGINAL = "gpt-realtime-whisper"  # a session without turns has none at whose end another model could write
_CHUNK_BYTES = pcm.byte_count(0.2)  # the server takes frames of 200 ms (SDK docstring)


class Translation(AudioJob["Translation", Delta]):
    """Recording, or audio that comes live, in another language; it has started already.

    `await` it or `.wait()` for all of it, or iterate over its pieces of words and audio as they come.

    Attributes:
        session: The session it runs on; `session.log` has every event.
        source: Answering side: `"openai"`, `"practice"`, `"replay"` or the host's name.
        warnings: Plain sentences about what was odd but stopped nothing.
        to: The language it is translated into.
        model: Name of the model that translates.

    Examples:
        >>> spoken = rtnb.translate(rtnb.samples()["question"], to="es", practice=True).wait()
        >>> spoken.to, spoken.model, spoken.audio.rate_hz
        ('es', 'gpt-realtime-translate', 24000)
    """

    def __init__(self, session: Session, recording: Recording | None, to: str) -> None:
        self.to, self.model = to, session.model
        self._sent_seconds = 0.0
        self._asked = self._whole = False  # whether the end was asked for, and whether it came
        super().__init__(session, recording)

    def _words(self, role: str) -> str:
        turn = self.session.conversation.turn(TRANSLATION_ITEMS[role])
        return (turn.transcript or "").strip() if turn is not None else ""

    @property
    def text(self) -> str:
        """Words of the translation so far."""
        return self._so_far("text", self._words("assistant"))

    @property
    def audio(self) -> Clip | None:
        """Audio of the translation so far, mono, 24 kHz. None where there is none yet."""
        turn = self.session.conversation.turn(TRANSLATION_ITEMS["assistant"])
        return self._so_far("audio", turn.audio if turn is not None else None)

    @property
    def source_text(self) -> str:
        """Words of the original, where `transcription` is on; "" otherwise."""
        return self._words("user")

    @property
    def progress(self) -> tuple[float, float | None]:
        """`(seconds sent, seconds in all)`; the second is None while unknown."""
        return self._sent_seconds, self._total_seconds

    @property
    def cost(self) -> Cost:
        """Cost so far, in US dollars: by the minute of audio sent; writing down the original is billed apart."""
        return cost_of_minutes(self._sent_seconds, self.model)

    def save(self, path: str | Path) -> Path:
        """Save its audio, in the format the ending names; `.txt` and `.md` save the words.

        Returns:
            The path written.

        Raises:
            AudioError: If the format cannot be written.
            InputError: If there is no audio, or the place cannot be written to.
        """
        if Path(path).suffix.lower() in (".txt", ".md"):
            return save_file(path, self._to_save("text", self.text) + "\n")
        if (audio := self._to_save("audio", self.audio)) is None:
            raise InputError("The translation has no sound. Save its words to a .txt file.")
        return audio.save(path)

    def __repr__(self) -> str:
        state = "" if self.done else say(", still going")
        return f"Translation({self._name} → {self.to}, {self.source}{state}): {shortened(self.text)}"

    def _repr_html_(self) -> str:
        audio = self.audio
        facts = [("original", self.source_text)] if self.source_text else []
        facts += [("translation", self.text or "–"), ("from", f"{self.model}, {self.source}"), ("cost", str(self.cost))]
        player = html.Safe(audio._repr_html_()) if audio is not None else ""
        return html.card(f"{self._name} → {self.to}", facts, body=player)

    # --- on the I/O thread

    def _missing(self) -> BaseException | None:
        if self._whole:
            return None
        closed = "You closed the translation before it was whole. What came until then is kept in .text and .audio."
        return self.session.error or ConnectionFailed(closed, url=self.session.url)

    async def _await_rest(self) -> None:
        self._asked = True
        self.session.send({"type": "session.close"})
        await self._until(lambda: self._whole)

    async def _send_all(self) -> None:
        rest = b""
        async for block in self._blocks():
            rest += block
            while len(rest) >= _CHUNK_BYTES:
                await self._append(rest[:_CHUNK_BYTES])
                rest = rest[_CHUNK_BYTES:]
        if rest:
            await self._append(rest.ljust(_CHUNK_BYTES, b"\0"))

    async def _append(self, piece: bytes) -> None:
        channel = self.session.lifecycle.channel
        channel.put({**client_events.append(piece), "type": "session.input_audio_buffer.append"})
        self._sent_seconds += pcm.seconds(len(piece))
        await channel.flushed()

    def _take(self, update: Any) -> None:
        if (piece := Delta.of(update)) is not None:
            self._pieces.tell(piece)
        elif update.event["type"] == "session.closed":
            # The only orderly end, and only once it was asked for: then nothing is left to come (SDK docstring).
            self._whole = self._asked
            if self._whole:
                self.session.close()  # however the socket is closed now
            else:
                self.session.lifecycle.end_with(connection_errors.ended(1000, "", url=self.session.url))
        elif isinstance(update, Errored) and update.error.get("code") == error_events.NOT_RECORDED:
            self.session.lifecycle.end_with(error_events.error_from(update.event, "the translation"))
        self._news.set()


@takes_options(ServerOptions)
def translate(
    source: Any = None,
    *,
    to: str,
    model: str = MODEL,
    transcription: bool | str = False,
    **connection: Unpack[ServerOptions],
) -> Translation:
    """Say a recording in another language.

    ```python
    spoken = await rtnb.translate("talk.m4a", to="es")
    spoken.audio.save("talk_es.mp3")
    ```

    Args:
        source: A recording: a clip, a path, the bytes of a file. None: add audio with `append()` as it comes, and call
            `finish()`.
        to: The language to translate into, as `"es"`.
        model: The translation model.
        transcription: Whether to write down the original too, and with which model; billed separately. True: by
            gpt-realtime-whisper at $0.017 a minute.
        **connection: As described.

    Returns:
        A `Translation` that has started.

    Raises:
        InputError: If the source is no single recording, or `to` is empty.
        KeyMissing: If `url` names a server that needs a key and none is found.
        ReplayError: If `replay` cannot be read.

    Examples:
        >>> spoken = rtnb.translate(rtnb.samples()["question"], to="es", practice=True).wait()
        >>> spoken.to, spoken.audio.rate_hz
        ('es', 24000)
    """
    if not to or not isinstance(to, str):
        raise InputError("Your translation needs a language to go to. Give for example to='es'.", to=to)
    if models.get(model).kind not in ("translation", "unknown"):
        raise InputError(f"Your model {model} does not translate sessions. Give model={MODEL!r}.", model=model)
    recording = recording_of(source)
    audio: dict[str, Any] = {"output": {"language": to}}
    if transcription:
        original = transcription if isinstance(transcription, str) else ORIGINAL
        audio["input"] = {"transcription": {"model": original}}
    where = find_server(model, connection, "/translations")
    return Translation(open_session(where, model, {"audio": audio}, connection), recording, to)
