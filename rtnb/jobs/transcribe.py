"""`rtnb.transcribe`: the words of a recording, with their times, as text or subtitles; live as well."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack

from rtnb import models
from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import InputError
from rtnb.jobs.audio_job import recording_of
from rtnb.jobs.plain_transcription import PlainTranscription
from rtnb.jobs.transcription import Transcription
from rtnb.opening import ServerOptions, find_server, open_session, takes_options

MODEL = "gpt-live-transcribe"


def _words(given: str | Sequence[str]) -> list[str]:
    """Return words as the API's list; a word alone is a list of one, and not of its letters."""
    return [given] if isinstance(given, str) else list(given)


@takes_options(ServerOptions)
def transcribe(
    source: Any = None,
    *,
    model: str = MODEL,
    language: str | None = None,
    languages: str | Sequence[str] = (),
    keywords: str | Sequence[str] = (),
    prompt: str | None = None,
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None,
    noise_reduction: Literal["near_field", "far_field"] | None = None,
    **connection: Unpack[ServerOptions],
) -> Transcription:
    """Write down the words of a recording.

    ```python
    words = await rtnb.transcribe("talk.m4a", language="en")
    words.save("talk.srt")
    ```

    Args:
        source: A recording: a clip, a path, the bytes of a file. None: add audio with `append()` as it comes, and call
            `finish()`.
        model: The transcription model. `"gpt-live-transcribe"` writes while audio comes, at $0.017 a minute;
            `"gpt-transcribe"` at the end of each stretch of speech, at $0.0045. `"gpt-4o-transcribe-diarize"` also
            tells speakers apart (`Segment.speaker`).
        language: The language spoken, as `"en"` or `"pt"`. None: the model finds out.
        languages: The languages that may be spoken, as `["en", "pt"]`, in the place of `language` (gpt-live-transcribe
            and gpt-transcribe).
        keywords: Names and terms to expect (gpt-live-transcribe and gpt-transcribe).
        prompt: Free text on what it is about; not every model takes it.
        delay: How long gpt-realtime-whisper may wait for more audio before it writes. None: its own.
        noise_reduction: Filter for a close or a distant microphone. None: none.
        **connection: As described.

    Returns:
        A `Transcription` that has started.

    Raises:
        InputError: If the source is no single recording, or both `language` and `languages` are given.
        KeyMissing: If `url` names a server that needs a key and none is found.
        ReplayError: If `replay` cannot be read.

    Examples:
        >>> words = rtnb.transcribe(rtnb.samples()["question"], practice=True).wait()
        >>> words.text
        'What is the capital of Norway?'
    """
    if models.get(model).kind == "realtime":
        wrong = f"Your model {model} talks and does not transcribe. Give for example model={MODEL!r}."
        raise InputError(wrong, model=model)
    recording = recording_of(source)
    if language and languages:
        raise InputError("Your transcription has both language= and languages=. Leave one of them out.")
    # The newer models take a list in the place of the one language (OpenAI cookbook, 2026-07-28).
    several = languages or (models.get(model).takes_languages and language)
    spoken = {"languages": _words(several)} if several else {"language": language}
    asked = {"model": model, **spoken, "prompt": prompt, "delay": delay, "keywords": _words(keywords)}
    listening: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": RATE_HZ},
        "transcription": {name: value for name, value in asked.items() if value},
        # Null: gpt-live-transcribe and gpt-realtime-whisper take no turn detection in these sessions (OpenAI docs).
        "turn_detection": None,
    }
    if noise_reduction:
        listening["noise_reduction"] = {"type": noise_reduction}
    where = find_server(None, connection, "?intent=transcription")
    session = open_session(where, model, {"type": "transcription", "audio": {"input": listening}}, connection)
    if not where.provider.responses:
        return PlainTranscription(session, recording, where.provider.input_rate_hz)
    return Transcription(session, recording)
