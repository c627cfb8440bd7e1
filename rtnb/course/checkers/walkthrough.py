"""Check the exercises of notebook 1, the walkthrough."""

import base64

from rtnb.audio import pcm
from rtnb.course.checkers.evidence import Exercises, Reply, Session, completed, recordings, require
from rtnb.texts.language import say


def _audio_deltas(reply: Reply) -> list[str]:
    """Return the audio of a reply as it came, in base64."""
    return [event["delta"] for event in reply.events if event["type"] == "response.output_audio.delta"]


def text_only(reply: Reply) -> str:
    """Check that a recording was answered with text and no audio."""
    sentence = "No recording was sent, only words. Hand ask the clip rtnb.samples()['weather'] as well."
    require(recordings(reply.session), sentence)
    sentence = (
        "The answer came with sound: there are response.output_audio.delta events in it. "
        "Ask for text with modalities='text'."
    )
    require(not _audio_deltas(reply), sentence)
    return say(
        "Right: the events carry response.output_text.delta and no sound; text is the cheapest way to be answered."
    )


def first_delta(reply: Reply, count: object) -> str:
    """Check the number of bytes of PCM in the first delta."""
    deltas = _audio_deltas(reply)
    require(deltas, "This reply has no sound. Take one that was asked for without modalities='text'.")
    size = len(base64.b64decode(deltas[0]))
    sentence = "{count} is the number of base64 characters. Decode the delta first, then count its bytes."
    require(count != len(deltas[0]), sentence, count=count)
    sentence = "{count} is the number of samples. Each of them has two bytes."
    require(count != size // pcm.BYTES_PER_SAMPLE, sentence, count=count)
    sentence = "{count!r} is not it. Take the first event of type response.output_audio.delta and decode its delta."
    require(count == size, sentence, count=count)
    sentence = "Right: {size} bytes, two a sample, 24,000 samples a second: {milliseconds:.0f} ms of speech."
    return say(sentence, size=size, milliseconds=pcm.milliseconds(size))


def own_conversation(session: Session) -> str:
    """Check a session with two recordings and a typed question, all answered."""
    spoken, answers = recordings(session), completed(session)
    typed = sum(turn.role == "user" and bool(turn.text) for turn in session.turns)
    sentence = (
        "The session's log shows {recordings} recording(s). Send at least two, each with its own await mine.ask(clip)."
    )
    require(spoken >= 2, sentence, recordings=spoken)
    require(typed, "There are recordings but no typed question. Add await mine.ask('…') with words.")
    sentence = "Only {answers} answer(s) ended well. Await every ask inside the async with block."
    require(answers >= 2, sentence, answers=answers)
    sentence = (
        "Right: {recordings} recordings, {typed} typed, {answers} answers, all on one connection with one memory."
    )
    return say(sentence, recordings=spoken, typed=typed, answers=answers)


EXERCISES: Exercises = {"01.1": text_only, "01.2": first_delta, "01.3": own_conversation}
