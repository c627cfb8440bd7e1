"""Check the exercises of notebook 7, the learner's own assistant."""

from rtnb import money as costs
from rtnb.course.checkers import evidence
from rtnb.course.checkers.evidence import Exercises, Reply, Session, Wrong, completed, recordings, tool_outputs
from rtnb.texts.language import say


def own_assistant(session: Session) -> str:
    """Check a session with instructions, a tool that worked, and three turns of which one is a recording."""
    if not session.settings.get("instructions"):
        raise Wrong("Your assistant has no instructions of its own. Tell it who it is when you connect.")
    calls = sum(not str(output).startswith("Error:") for output in tool_outputs(session))
    if not calls:
        raise Wrong("No tool of yours gave a result in this session. Have it call one.")
    spoken, turns = recordings(session), sum(turn.role == "user" for turn in session.turns)
    if not spoken or turns < 3:
        raise Wrong(
            "So far {turns} turn(s) of yours, {spoken} of them spoken. Have at least three, one of them a recording.",
            turns=turns,
            spoken=spoken,
        )
    sentence = "Right: {turns} turns, {calls} tool call(s), {cost} at OpenAI's prices."
    return say(sentence, turns=turns, calls=calls, cost=costs.money(session.cost.usd))


def replayed(made: object) -> str:
    """Check that a replay answered."""
    session = made.session if isinstance(made, Reply) else evidence.session_of(made)
    if session.source != "replay":
        sentence = "This was answered by {source}, not by a recording. Save a session, then rtnb.connect(replay=path)."
        raise Wrong(sentence, source=session.source)
    if not completed(session):
        raise Wrong("The replay is open, but nothing was asked of it. Ask what was asked when it was recorded.")
    return say("Right: the same words and the same sound again, with no key and at no cost.")


def out_of_band(session: Session, reply: Reply) -> str:
    """Check a note about a conversation that did not become a part of it."""
    if reply.session is not session:
        raise Wrong("The note comes from another session. Ask for it with .side(…) on the same one.")
    if any(response.conversation_id is not None for response in reply.responses):
        raise Wrong("That was an ordinary turn: it has become part of the conversation. Use .side(…).")
    if not any(turn.role == "assistant" for turn in session.turns):
        raise Wrong("There is no talk yet for the note to be about. Ask something first.")
    return say("Right: the answer is there, and the conversation does not remember that you asked.")


EXERCISES: Exercises = {"07.1": own_assistant, "07.2": replayed, "07.3": out_of_band}
