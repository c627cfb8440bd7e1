"""Check the exercises of notebook 7, the learner's own assistant."""

from rtnb import money as costs
from rtnb.course.checkers import evidence
from rtnb.course.checkers.evidence import Exercises, Reply, Session, completed, recordings, require, tool_outputs
from rtnb.texts.language import say


def own_assistant(session: Session) -> str:
    """Check a session with instructions, a tool that worked, and three turns of which one is a recording."""
    sentence = "Your assistant has no instructions of its own. Tell it who it is when you connect."
    require(session.settings.get("instructions"), sentence)
    calls = sum(not str(output).startswith("Error:") for output in tool_outputs(session))
    require(calls, "No tool of yours gave a result in this session. Have it call one.")
    spoken, turns = recordings(session), sum(turn.role == "user" for turn in session.turns)
    sentence = "So far {turns} turn(s) of yours, {spoken} of them spoken. Have at least three, one of them a recording."
    require(spoken and turns >= 3, sentence, turns=turns, spoken=spoken)
    sentence = "Right: {turns} turns, {calls} tool call(s), {cost} at OpenAI's prices."
    return say(sentence, turns=turns, calls=calls, cost=costs.money(session.cost.usd))


def replayed(made: object) -> str:
    """Check that a replay answered."""
    session = made.session if isinstance(made, Reply) else evidence.session_of(made)
    sentence = "This was answered by {source}, not by a recording. Save a session, then rtnb.connect(replay=path)."
    require(session.source == "replay", sentence, source=session.source)
    sentence = "The replay is open, but nothing was asked of it. Ask what was asked when it was recorded."
    require(completed(session), sentence)
    return say("Right: the same words and the same sound again, with no key and at no cost.")


def out_of_band(session: Session, reply: Reply) -> str:
    """Check a note about a conversation that did not become a part of it."""
    require(reply.session is session, "The note comes from another session. Ask for it with .side(…) on the same one.")
    sentence = "That was an ordinary turn: it has become part of the conversation. Use .side(…)."
    require(not any(response.conversation_id is not None for response in reply.responses), sentence)
    sentence = "There is no talk yet for the note to be about. Ask something first."
    require(any(turn.role == "assistant" for turn in session.turns), sentence)
    return say("Right: the answer is there, and the conversation does not remember that you asked.")


EXERCISES: Exercises = {"07.1": own_assistant, "07.2": replayed, "07.3": out_of_band}
