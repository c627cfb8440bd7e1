"""Check the exercises of notebook 4, tools and pictures."""

from rtnb.course.checkers.evidence import Exercises, Reply, events, recordings, require, tool_outputs
from rtnb.texts.language import say


def tool_called(reply: Reply) -> str:
    """Check that the model called the learner's function, that it returned, and that an answer followed."""
    tools = list(reply.session.tools)
    require(tools, "The model had no tools. Hand your function over: tools=[my_function].")
    sentence = (
        "The model knew {names} and did not call it. "
        "Use words of its name or docstring in your question, or say tool_choice='required'."
    )
    require(reply.tool_calls, sentence, names=", ".join(str(getattr(tool, "name", tool)) for tool in tools))
    call = reply.tool_calls[-1]
    require(call.error is None, "{name} was called and failed: {error}", name=call.name, error=call.error)
    require(reply.text, "The function was called, but the model said nothing after it.")
    return say("Right: {call!r}, and the answer was made with it.", call=call)


def tool_failed(reply: Reply) -> str:
    """Check that the learner's function raised and the model answered all the same."""
    require(reply.tool_calls, "No tool was called in this reply. First have the model call your function.")
    sentence = "{call!r} went well. For this exercise the function has to raise."
    require(not all(call.error is None for call in reply.tool_calls), sentence, call=reply.tool_calls[-1])
    sentence = "Right: your exception did not end the talk. The model was told {output!r} and could answer."
    return say(sentence, output=tool_outputs(reply.session)[-1])


def picture(reply: Reply) -> str:
    """Check that a picture was sent together with a question."""
    items = [event.get("item") or {} for event in events(reply.session, "sent", "conversation.item.create")]
    kinds = {part.get("type") for item in items for part in item.get("content") or []}
    sentence = "No picture was sent: no item of the log has an input_image part. Hand the Image to ask."
    require("input_image" in kinds, sentence)
    sentence = "The picture went out without a question. Add words, or a recording, to the same ask."
    require("input_text" in kinds or recordings(reply.session), sentence)
    tokens = reply.usage.input_image_tokens
    if not tokens:
        return say("Right: picture and question went out together. (This server counts no image tokens.)")
    return say("Right: the model saw the picture, {tokens} tokens of it.", tokens=tokens)


EXERCISES: Exercises = {"04.1": tool_called, "04.2": tool_failed, "04.3": picture}
