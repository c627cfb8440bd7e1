"""Read the evidence that checkers judge: the events of a log as facts, with what only the log as a whole tells."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rtnb.audio import Clip, pcm
from rtnb.audio.shipped import samples
from rtnb.protocol.input_audio import InputAudio
from rtnb.session.reply import Reply
from rtnb.session.session import Session

# Fields of a fact beside those of its event: `at` (its place in the log), and by type
#   input_audio_buffer.committed   clip, sent_in_seconds, appends
#   conversation.item.create       words, pictures
#   conversation.item.truncated    share: which part of the answer was kept as heard
#   response.done                  words, sound_ms, beside: whether it was out-of-band
Fact = dict[str, Any]
Numbers = np.ndarray[Any, np.dtype[np.float64]]

SILENCE = "silence"
_QUIET = 200  # of int16: about -44 dB of full scale; speech has peaks above, a quiet room has not
_STEP = 6  # samples that are one here: 4 kHz are enough to know speech by
_RATE_HZ = pcm.RATE_HZ // _STEP
_ALIKE = 0.9  # as much is left of a recording that was an mp3 or had another rate; a half of it has 0.7


def facts(made: Reply | Session) -> list[Fact]:
    """Return the events of a session, or of a reply's turn alone, in order; without those that the server refused.

    A recording stands where its commit was sent, for the server confirms it later than what was sent behind it.
    """
    session = made.session if isinstance(made, Reply) else made
    entries = list(session.log)
    refused = {(entry.silent.get("error") or {}).get("event_id") for entry in entries if entry.type == "error"}
    known, heard, commits, appends = list[Fact](), InputAudio(0), deque[int](), list[float]()
    for at, entry in enumerate(entries):
        fact = {**entry.silent, "at": at}
        if entry.direction == "sent" and fact.get("event_id") in refused:
            continue
        if entry.type == "input_audio_buffer.append":
            heard.appended_bytes += entry.sound_bytes
            appends.append(entry.at_seconds)
        elif entry.type == "input_audio_buffer.commit":
            commits.append(at)
        elif entry.type in ("session.created", "input_audio_buffer.cleared"):
            heard, appends = InputAudio(heard.appended_bytes), []
        elif entry.type.startswith("input_audio_buffer.speech_"):
            _detected(heard, fact)
        elif entry.type == "input_audio_buffer.committed":
            start, end = heard.committed(fact["item_id"])
            sent_in = appends[-1] - appends[0] if appends else 0.0
            fact |= {"clip": clip_name(session.log.heard.read(start, end)), "appends": len(appends)}
            fact |= {"sent_in_seconds": sent_in, "at": commits.popleft() if commits else at}
            appends = []
        if entry.direction == "sent":
            heard.sent(entry.type)
        known.append(fact | _more(session, fact))
    mine = {entry.line for entry in (made.log if isinstance(made, Reply) else entries)}
    return sorted((fact for fact in known if entries[fact["at"]].line in mine), key=lambda fact: fact["at"])


def _detected(heard: InputAudio, fact: Fact) -> None:
    if fact["type"].endswith("started"):
        heard.speech(fact["item_id"], fact.get("audio_start_ms"), None)
    else:
        heard.speech_stopped(fact["item_id"], fact.get("audio_end_ms") or 0)


def _more(session: Session, fact: Fact) -> Fact:
    """Return what an event of the conversation means, as far as the event alone does not tell."""
    if fact["type"] == "conversation.item.create":
        parts = (fact.get("item") or {}).get("content") or ()
        words = " ".join(part.get("text") or "" for part in parts).strip()
        return {"words": words, "pictures": sum(part.get("type") == "input_image" for part in parts)}
    if fact["type"] == "conversation.item.truncated":
        turn = session.conversation.turn(fact.get("item_id") or "")
        response = turn and session.conversation.response(turn.response_id or "")
        share = round(fact["audio_end_ms"] / turn.audio_ms, 3) if turn and turn.audio_ms else None
        return {"share_heard": share, "words": _words(response.output) if response else ""}
    if fact["type"] == "response.done" and (response := session.conversation.response(fact["response"].get("id"))):
        said = [turn for turn in response.turns if turn.type == "message"]
        # As it was when it was said: of an item that is cut later the server takes the words away.
        words = _words(fact["response"].get("output") or ()) or " ".join(turn.words for turn in said).strip()
        sound_ms = round(sum(turn.audio_ms for turn in said))
        return {"words": words, "sound_ms": sound_ms, "beside": response.conversation_id is None}
    return {}


def _words(output: Iterable[Mapping[str, Any]]) -> str:
    """Return what the items of a response say, as text or as a transcript."""
    parts = [part for item in output for part in item.get("content") or ()]
    return " ".join(part.get("text") or part.get("transcript") or "" for part in parts).strip()


def clip_name(audio: bytes) -> str:
    """Return which sample PCM16 is, whatever silence is around it; `SILENCE`, or its length where it is none."""
    if not len(_sound(audio)):
        return SILENCE
    known = (clip.name for clip in samples() if is_clip(audio, clip))
    return next(known, None) or f"{pcm.seconds(len(audio)):.1f} s"


def is_clip(audio: bytes, clip: Clip) -> bool:
    """Return whether PCM16 is a clip, whatever silence is around it: as long, and nearly all its energy the same."""
    one, other = _sound(audio), _sound(clip.pcm)
    if abs(len(one) - len(other)) > _RATE_HZ // 4:
        return False
    size = 1 << (len(one) + len(other)).bit_length()
    together = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)  # at every shift
    return bool(together.max() > _ALIKE * np.linalg.norm(one) * np.linalg.norm(other))


def _sound(audio: bytes) -> Numbers:
    """Return PCM16 at a low rate from its first sound to its last."""
    whole = np.frombuffer(audio[: len(audio) // (2 * _STEP) * 2 * _STEP], np.int16).astype(np.float64)
    (loud,) = np.nonzero(np.abs(low := whole.reshape(-1, _STEP).mean(axis=1)) > _QUIET)
    return low[loud[0] : loud[-1] + 1] if len(loud) else low[:0]
