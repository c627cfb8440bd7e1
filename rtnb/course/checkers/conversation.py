"""Check the exercises of notebook 2, the conversation."""

from rtnb.course.checkers.evidence import Exercises, Session, Wrong, events, recordings
from rtnb.texts.language import say


def three_and_a_question(session: Session) -> str:
    """Check three recordings and, after them, a typed question with an answer."""
    spoken = recordings(session)
    if spoken < 3:
        sentence = "This session heard {recordings} recording(s); the exercise wants three, in one session."
        raise Wrong(sentence, recordings=spoken)
    typed = [bool(turn.text) for turn in session.turns if turn.role == "user"]
    if not any(typed):
        raise Wrong("All three recordings are there. Now ask about them in words, in the same session.")
    if not any(typed[3:]):
        raise Wrong(
            "The typed question came before the third recording, so it could not be about all three. Ask it last."
        )
    if session.turns[-1].role != "assistant":
        raise Wrong("The question has no answer yet. Await every ask inside the async with block.")
    sentence = "Right: {recordings} recordings and then a question, answered with all of them in mind."
    return say(sentence, recordings=spoken)


def own_voice(session: Session) -> str:
    """Check instructions and a voice of the learner's own, in force and spoken with."""
    if not session.settings.get("instructions"):
        raise Wrong("This session runs on the server's own instructions. Give yours: rtnb.connect(instructions='…').")
    voice = ((session.conversation.session.get("audio") or {}).get("output") or {}).get("voice")
    if voice in (None, "marin"):
        sentence = "The voice in force is {voice!r}. Choose another when you connect: voice='cedar', for example."
        raise Wrong(sentence, voice=voice)
    if not any(turn.role == "assistant" and turn.audio_ms for turn in session.turns):
        raise Wrong("Instructions and voice are set, but nothing was spoken yet. Ask something, with sound.")
    sentence = "Right: session.updated confirms your instructions and the voice {voice}, and it has spoken."
    return say(sentence, voice=voice)


def forgotten(session: Session, secret: object) -> str:
    """Check that a word was in the conversation, is deleted from it everywhere, and was asked for once more."""
    if not isinstance(secret, str) or not secret.strip():
        raise Wrong("The secret should be the word itself, as text.")
    word = secret.casefold()
    if not any(word in str(event).casefold() for event in events(session, "sent", "conversation.item.create")):
        sentence = "Nobody ever told this session {secret!r}: it is in no conversation.item.create of the log."
        raise Wrong(sentence, secret=secret)
    if not events(session, "received", "conversation.item.deleted"):
        raise Wrong(
            "Nothing was deleted: the log has no conversation.item.deleted. Use await session.delete(turn.item_id)."
        )
    left = [turn.role for turn in session.turns if word in turn.words.casefold()]
    if left:
        raise Wrong(
            "The word is still in the conversation, in an item of: {roles}. "
            "What the model said counts too; delete every item that holds it, then ask.",
            roles=", ".join(left),
        )
    types = [entry.type for entry in session.log]
    deleted_at = max(n for n, type_ in enumerate(types) if type_ == "conversation.item.deleted")
    if "response.done" not in types[deleted_at:]:
        raise Wrong("It is deleted. Now prove it: ask for the secret once more.")
    return say("Right: every item with the word is gone, and the answer after that does not know it.")


EXERCISES: Exercises = {"02.1": three_and_a_question, "02.2": own_voice, "02.3": forgotten}
