"""Check the exercises of notebook 5, under the hood."""

from typing import Any

from rtnb.course.checkers.evidence import Exercises, Reply, Session, Wrong, require
from rtnb.texts.language import say


def bytes_by_hand(reply: Reply, pcm: Any) -> str:
    """Check the answer's PCM as the learner decoded and joined it."""
    if reply.audio is None:
        raise Wrong("This reply has no sound. Take a spoken one.")
    require(not isinstance(pcm, str), "That is text, so it is still base64. Decode each delta, then join the bytes.")
    sentence = "That is of type {kind}. Hand over the sound as bytes."
    require(isinstance(pcm, bytes | bytearray), sentence, kind=type(pcm).__name__)
    wanted = reply.audio.pcm
    if bytes(pcm) == wanted:
        return say("Right: all {wanted} bytes agree with what rtnb decoded.", wanted=len(wanted))
    if len(pcm) < len(wanted) and wanted.startswith(bytes(pcm)):
        sentence = "It begins well and stops after {given} of {wanted} bytes: some deltas are missing at the end."
    else:
        sentence = (
            "You have {given} bytes, rtnb has {wanted}, and they differ. "
            "Take only response.output_audio.delta, in order."
        )
    raise Wrong(sentence, given=len(pcm), wanted=len(wanted))


def last_event(reply: Reply, name: Any) -> str:
    """Check the name of the event that ends a turn."""
    types = [event["type"] for event in reply.events]
    sentence = "rate_limits.updated comes after the end, late or not at all; who waits for it may wait for ever."
    require(name != "rate_limits.updated", sentence)
    sentence = "{name!r} is not among the events of this reply. Look at the types in reply.events."
    require(name in types, sentence, name=name)
    sentence = "{name} is there, but more of the response came after it: {after}, for one."
    require(name == "response.done", sentence, name=name, after=types[min(types.index(name) + 1, len(types) - 1)])
    return say("Right: response.done ends the turn; it carries the status and the usage.")


def refused_event(session: Session) -> str:
    """Check that the server refused an event and completed a response after it."""
    events = [entry.silent for entry in session.log if entry.direction == "received"]
    errors = [n for n, event in enumerate(events) if event["type"] == "error"]
    require(errors, "The server has not complained yet: the log has no error event. Send something it cannot take.")
    error = events[errors[-1]]["error"]
    done = [event["response"] for event in events[errors[-1] :] if event["type"] == "response.done"]
    sentence = "There is the error ({code}). Now show that the session lives on: ask it something."
    require(any(response.get("status") == "completed" for response in done), sentence, code=error.get("code"))
    sentence = "Right: {code} at {param} was refused, and the next answer came all the same."
    return say(sentence, code=error.get("code"), param=error.get("param") or say("the event"))


EXERCISES: Exercises = {"05.1": bytes_by_hand, "05.2": last_event, "05.3": refused_event}
