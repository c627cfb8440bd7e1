"""The practice server's brain: offline, by rules, pure and deterministic.

It does what it was told as far as rules can (summarise, repeat, count, remember, spell, add up, call tools), answers
from the conversation so far, and says plainly what only a model could do. `Remote` is a real mind behind any
OpenAI-compatible chat endpoint, of the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from rtnb.server.languages import together
from rtnb.server.protocol.requests import Call, Request, Text
from rtnb.server.responder import text_extraction, tool_selection
from rtnb.server.responder.answers import (
    ANSWERS,
    about_outputs,
    about_pictures,
    find_said,
    heard_line,
    joined,
    persona,
    plain,
)
from rtnb.server.responder.dialogue import Dialogue, look
from rtnb.server.responder.intents import (
    ask_of,
    brief,
    command_and_rest,
    is_command,
    is_question,
    standing,
    unconditional,
)
from rtnb.server.responder.length_limits import Limits, fit, limits_of
from rtnb.server.responder.remote import Remote

__all__ = ["Call", "Remote", "Request", "Text", "think"]

# Asks whose answer is words as they were said, or a row that the ask itself counts: not to be cut.
_AS_IT_IS = text_extraction.bag(
    "exactly say repeat transcribe passage reverse spell count_to i_said said_first said_last which_language"
)


def think(request: Request) -> Iterator[Text | Call]:
    """Answer offline, by rules: no network, no clock, no chance; the same request gives the same answer.

    Args:
        request: What to answer.

    Yields:
        `Say` for each sentence of the answer, or `Call` for each function to call; at least one of either.
    """
    scene = look(request)
    calls, lacking = _calls(scene)
    if calls:
        yield from calls
        return
    limits = limits_of(scene, whole=_request_ask(scene) in _AS_IT_IS)
    if scene.turn.outputs:  # what was called for is told in full
        limits = replace(limits, words=None, sentences=None)
    said = fit(_answer(scene, lacking), limits) or [scene.say("wrote_nothing")]
    if not scene.answers and not scene.calls:
        said = [*_introduction(scene, limits), *said]
    for sentence in said:
        yield Text(sentence)


def _introduction(scene: Dialogue, limits: Limits) -> list[str]:
    """Say once, at the first answer of a conversation, who is speaking.

    Not where each word of the answer was asked for, by what it is or by how long it may be.
    """
    exact = ("exactly", "say", "repeat", "transcribe", "passage", "who", "classify", "spell", "count_to")
    if _request_ask(scene) in exact or scene.turn.outputs or scene.asked or limits.asked_now or limits.prefix:
        return []
    name = persona(scene)
    return [scene.say("intro_as", x=name) if name else scene.say("intro")]


def _calls(scene: Dialogue) -> tuple[list[Call], list[str]]:
    """The functions to call now; or, where an argument is missing, the sentence that asks for it."""
    request, turn = scene.request, scene.turn
    tools = tool_selection.functions(request.tools)
    choice = request.tool_choice or "auto"
    if not tools or choice == "none" or turn.outputs:
        # After a result the answer is the result, also where calls are required: rules have nothing to add by
        # calling again, and a client that answers every call would go round for ever.
        return [], []
    named = None
    if isinstance(choice, Mapping):
        named = str(choice.get("name") or (choice.get("function") or {}).get("name") or "") or None
    insist = choice == "required" or named is not None
    words = brief(turn.text)
    typed = brief(" ".join(turn.typed))
    if typed and turn.heard and is_command(typed):
        # "Summarise this" beside a recording: the recording is what it is about, and asks for nothing itself.
        words = typed
    asked = "" if scene.asked else brief(together(unconditional(request.asked)))
    if insist:
        words = together([words, asked])
    if insist and not words:
        words = brief(scene.earlier[-1]) if scene.earlier else ""
    if not words and not insist and not asked:
        return [], []
    matches = tool_selection.choose(words, tools, insist=insist, named=named)
    if asked and not any(match.calls for match in matches):
        matches = [match for match in tool_selection.choose(asked, tools) if match.calls] or matches
    if not matches and scene.earlier and not is_command(words) and len(text_extraction.words(words)) <= 6:
        before = tool_selection.choose(brief(scene.earlier[-1]), tools)
        if before and (not before[0].calls or re.match(r"(?i)\W*(?:and|what about|how about|or)\b|那", words)):
            again = re.sub(r"(?i)^\W*(?:and|what about|how about|or)\s+", "", words)
            # "What's the weather?" – "For weather I need: city." – "Oslo.", or "And in Bergen?"
            named_ = str(before[0].tool["name"])
            given, _ = tool_selection.fill(before[0].tool.get("parameters") or {}, f"in {again}", insist=False)
            matches = tool_selection.choose(f"in {again}", tools, named=named_) if given else []
    calls = [call for match in matches for call in match.calls]
    if calls:
        return calls, []
    for match in matches:
        if match.missing and match.score >= 2.5:
            tool = plain(re.sub(r"^(?:get|fetch)_", "", str(match.tool["name"])))
            missing = joined(scene, [plain(name) for name in match.missing])
            return [], [scene.say("need", tool=tool, x=missing)]
    return [], []


def _request_ask(scene: Dialogue) -> str | None:
    turn = scene.turn
    own = together(turn.typed) or together(turn.heard)
    ask = ask_of(command_and_rest(own)[0]) if own else None
    if ask in (None, "greet", "fine", "thanks") or (turn.empty and not own):
        wish = standing([scene.instructions, *reversed(scene.system)])
        if wish is not None and (ask is None or wish[0] != "greet"):
            return wish[0]
    return ask


def _answer(scene: Dialogue, lacking: list[str]) -> list[str]:
    turn = scene.turn
    if turn.outputs:
        return about_outputs(scene)
    said = about_pictures(scene)
    typed, heard = together(turn.typed), together(turn.heard)
    # "Answer the question in the recording": then the recording is the request.
    deferring = (
        turn.typed
        and heard
        and re.search(
            r"\b(?:answer|respond|reply|react|follow)\b.*\b(?:question|audio|recording|clip|speaker|this"
            r"|it|them|user|instructions?)\b|^\W*(?:answer|respond|reply)\W*$|回答",
            brief(typed),
            re.IGNORECASE,
        )
    )
    own = heard if deferring or not typed else typed
    if deferring:
        turn.typed = []
    command = brief(command_and_rest(own)[0]) if own else ""
    ask = ask_of(command) if command else None
    wish = standing([scene.instructions, *reversed(scene.system)])
    if wish is not None and (ask is None or (ask in ("greet", "fine", "thanks") and wish[0] != "greet")):
        found = [] if wish[0] == "greet" and own and scene.answers else _apply_standing(scene, *wish)
        if found:
            return [*said, *found]
    if ask is not None:
        found = ANSWERS[ask](scene, command)
        if found:
            return [*said, *found]
    if lacking:
        return [*said, *lacking]
    if own and (sum_ := text_extraction.arithmetic(brief(own))):
        return [*said, scene.say("equals", sum=_read_out(scene, sum_[0]), x=text_extraction.spoken_number(sum_[1]))]
    if not own:
        if turn.clips:
            return [*said, scene.say("heard_nothing")]
        return said or [scene.say("greet" if not scene.answers else "wrote_nothing")]
    introduced = text_extraction.last_name([brief(own)])
    if is_question(brief(own)):
        found_sentence = find_said(scene, own)
        if found_sentence:
            return [*said, scene.say("said", x=found_sentence)]
        return [*said, *heard_line(scene), *([] if said else [scene.say("no_answer")])]
    if scene.asked:  # a note of any kind: rules can tell what was said
        return [*said, *ANSWERS["summarise"](scene, command)]
    if introduced:
        return [*said, scene.say("nice", x=introduced)]
    if heard:
        topics = text_extraction.keywords(heard, 1)
        follow = [scene.say("question_about", x=topics[0])] if topics and not turn.typed else []
        return [*said, scene.say("heard", x=heard), *follow]
    topics = text_extraction.keywords(own, 1)
    return [*said, scene.say("said", x=own), *([scene.say("question_about", x=topics[0])] if topics else [])]


def _read_out(scene: Dialogue, sum_: str) -> str:
    """A sum with its powers and roots in words."""
    sum_ = re.sub(r"sqrt (\S+)", lambda root: scene.say("root", x=root[1]), sum_)
    while power := re.search(r"(\S+) \*\* (\S+)", sum_):
        sum_ = sum_.replace(power[0], scene.say("power", x=power[1], y=power[2]))
    return sum_.replace("*", "×")


def _apply_standing(scene: Dialogue, ask: str, sentence: str) -> list[str]:
    """Do to the user's words what the instructions say to do to them."""
    turn = scene.turn
    own = turn.text
    if ask in ("summarise", "transcribe", "repeat", "reverse", "translate", "classify", "spell", "count") and not own:
        return []
    return ANSWERS[ask](scene, sentence)
