"""Check the exercises of notebook 3, live voice."""

from typing import Any

from rtnb.course.checkers.evidence import Exercises, Session, completed, events, recordings, require
from rtnb.texts.language import say


def _turn_detection(session: Session) -> dict[str, Any]:
    """Return the turn detection in force; {} where there is none."""
    return ((session.conversation.session.get("audio") or {}).get("input") or {}).get("turn_detection") or {}


def push_to_talk(session: Session) -> str:
    """Check a turn that the learner appended, committed and had answered, without turn detection."""
    detection = _turn_detection(session)
    sentence = "The server still listens for the end of a turn ({type}). Push to talk is turn_detection=None."
    require(not detection, sentence, type=detection.get("type"))
    sentence = "No sound was appended. Feed the clip in pieces: session.append(piece)."
    require(events(session, "sent", "input_audio_buffer.append"), sentence)
    sentence = "The sound lies in the input buffer and nobody ended the turn. Say so: await session.commit()."
    require(recordings(session), sentence)
    sentence = (
        "The turn is committed, and nobody asked for an answer. Without detection that is yours to do: respond()."
    )
    require(completed(session), sentence)
    return say("Right: append, commit, respond. You said when the turn ended, and the log has no speech_stopped.")


def patient(session: Session) -> str:
    """Check that server VAD waited long enough to keep a pause inside one turn."""
    detection = _turn_detection(session)
    sentence = "This exercise is about the server's own ear: connect with a turn_detection of type 'server_vad'."
    require(detection.get("type") == "server_vad", sentence)
    stops = len(events(session, "received", "input_audio_buffer.speech_stopped"))
    silence_ms = detection.get("silence_duration_ms")
    require(stops, "The server never heard an end of speech. Feed the whole clip and enough silence after it.")
    sentence = (
        "The server heard {stops} turns: it took the pause for the end. "
        "Raise silence_duration_ms, which is {silence_ms} now."
    )
    require(stops <= 1, sentence, stops=stops, silence_ms=silence_ms)
    require(completed(session), "One turn, as wanted; wait for its answer before you close the session.")
    return say("Right: with {silence_ms} ms of patience the pause stayed inside one turn.", silence_ms=silence_ms)


def interrupted(session: Session) -> str:
    """Check that an answer was truncated, after its beginning and before its end."""
    spoken = [turn for turn in session.turns if turn.role == "assistant" and turn.audio_ms]
    require(spoken, "Nothing was spoken in this session yet, so there is nothing to cut.")
    cut = [(turn.audio_ms, turn.truncated_ms) for turn in spoken if turn.truncated_ms is not None]
    sentence = (
        "No answer was truncated: the log has no conversation.item.truncated. "
        "Use await session.truncate(turn.item_id, milliseconds)."
    )
    require(cut, sentence)
    audio_ms, cut_ms = cut[-1]
    require(cut_ms, "It was cut to 0 ms, as if nobody had heard anything. Cut it to what was heard, in milliseconds.")
    sentence = "It was cut at {cut_ms} ms, which is all of its {audio_ms:.0f} ms. Cut earlier."
    require(cut_ms < int(audio_ms), sentence, cut_ms=cut_ms, audio_ms=audio_ms)
    sentence = "Right: of {audio_ms:.0f} ms the server now believes you heard {cut_ms}."
    return say(sentence, audio_ms=audio_ms, cut_ms=cut_ms)


EXERCISES: Exercises = {"03.1": push_to_talk, "03.2": patient, "03.3": interrupted}
