"""Check the exercises of notebook 2, the conversation."""

from typing import Any

from rtnb.course.checkers.evidence import Exercises, Session, events, recordings, require
from rtnb.texts.language import say


def three_and_a_question(session: Session) -> str:
    """Check three recordings and, after them, a typed question with an answer."""
    spoken = recordings(session)
    sentence = "This session heard {recordings} recording(s); the exercise wants three, in one session."
    require(spoken >= 3, sentence, recordings=spoken)
    typed = [bool(turn.text) for turn in session.turns if turn.role == "user"]
    require(any(typed), "All three recordings are there. Now ask about them in words, in the same session.")
    sentence = "The typed question came before the third recording, so it could not be about all three. Ask it last."
    require(any(typed[3:]), sentence)
    sentence = "The question has no answer yet. Await every ask inside the async with block."
    require(session.turns[-1].role == "assistant", sentence)
    sentence = "Right: {recordings} recordings and then a question, answered with all of them in mind."
    return say(sentence, recordings=spoken)


def own_voice(session: Session) -> str:
    """Check instructions and a voice of the learner's own, in force and spoken with."""
    sentence = "This session runs on the server's own instructions. Give yours: rtnb.connect(instructions='…')."
    require(session.settings.get("instructions"), sentence)
    voice = ((session.conversation.session.get("audio") or {}).get("output") or {}).get("voice")
    sentence = "The voice in force is {voice!r}. Choose another when you connect: voice='cedar', for example."
    require(voice not in (None, "marin"), sentence, voice=voice)
    sentence = "Instructions and voice are set, but nothing was spoken yet. Ask something, with sound."
    require(any(turn.role == "assistant" and turn.audio_ms for turn in session.turns), sentence)
    sentence = "Right: session.updated confirms your instructions and the voice {voice}, and it has spoken."
    return say(sentence, voice=voice)


def forgotten(session: Session, secret: Any) -> str:
    """Check that a word was in the conversation, is deleted from it everywhere, and was asked for once more."""
    require(isinstance(secret, str) and secret.strip(), "The secret should be the word itself, as text.")
    word = secret.casefold()
    created = events(session, "sent", "conversation.item.create")
    sentence = "Nobody ever told this session {secret!r}: it is in no conversation.item.create of the log."
    require(any(word in str(event).casefold() for event in created), sentence, secret=secret)
    sentence = "Nothing was deleted: the log has no conversation.item.deleted. Use await session.delete(turn.item_id)."
    require(events(session, "received", "conversation.item.deleted"), sentence)
    left = [turn.role for turn in session.turns if word in turn.words.casefold()]
    sentence = (
        "The word is still in the conversation, in an item of: {roles}. "
        "What the model said counts too; delete every item that holds it, then ask."
    )
    require(not left, sentence, roles=", ".join(left))
    types = [entry.type for entry in session.log]
    deleted_at = max(n for n, type_ in enumerate(types) if type_ == "conversation.item.deleted")
    require("response.done" in types[deleted_at:], "It is deleted. Now prove it: ask for the secret once more.")
    return say("Right: every item with the word is gone, and the answer after that does not know it.")


EXERCISES: Exercises = {"02.1": three_and_a_question, "02.2": own_voice, "02.3": forgotten}
