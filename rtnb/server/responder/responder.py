"""Responder of the practice server: offline, by rules, pure and deterministic.

It does what it is asked as far as rules can (summarise, repeat, count, remember, spell, add up, call tools), answers
from the conversation so far, and says plainly what only a model could do. `Remote` is a real LLM behind any
OpenAI-compatible chat endpoint, of the same shape.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from rtnb.server.languages import closed, gap, together
from rtnb.server.protocol.requests import Call, Request, Text
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder import intents, names, numbers, slot_filling
from rtnb.server.responder.answers import ANSWERS, find_said, heard_sentence
from rtnb.server.responder.dialogue import Dialogue, Limits, limits_of, read_dialogue
from rtnb.server.responder.facts import about_fact, fact
from rtnb.server.responder.lexicon import cue, extract, having
from rtnb.server.responder.text_extraction import keywords, sentences, words
from rtnb.server.responder.tool_results import about_output, about_pictures, plain
from rtnb.server.responder.tool_selection import Match, choose


def think(request: Request) -> Iterator[Text | Call]:
    """Answer offline, by rules: no network, no clock, no chance; the same request gets the same answer.

    Args:
        request: What to answer.

    Yields:
        `Text` for each sentence of the answer, or `Call` for each function to call; at least one of either.
    """
    dialogue = read_dialogue(request)
    matches = _matches(dialogue)
    if calls := [call for match in matches for call in match.calls]:
        # Recorded on 2.1: it speaks before its call, in the same response; from 1.x the session leaves this out.
        yield from [Text(dialogue.say("before_call"))] if request.tool_choice == "auto" else []
        yield from calls
        return
    limits = limits_of(dialogue, whole=_whole_intent(dialogue) in having("as_said"))
    said = _fit(_answer(dialogue, matches), limits) or [dialogue.say("wrote_nothing")]
    yield from map(Text, [*_introduction(dialogue, limits), *said])


def _fit(said: Sequence[str], limits: Limits) -> list[str]:
    """Cut and frame the sentences of an answer."""
    # A quotation inside a sentence of ours is kept whole unless it is long.
    parts = [part for text in said for part in ([text] if len(text) <= 160 else sentences(text) or [text])]
    parts = parts[: limits.sentences]
    if limits.words is not None:
        parts = _first_words(parts, limits.words)
    return [part for part in (closed(limits.prefix), *parts, closed(limits.suffix)) if part.strip()]


def _first_words(parts: Sequence[str], left: int) -> list[str]:
    """Keep so many words of an answer's sentences, characters of a Chinese or Japanese one."""
    kept: list[str] = []
    for part in parts:
        tokens = part.split()
        if part and not part.isascii() and len(tokens) < 2 and len(part) > left:
            return [*kept, part[:left]]
        if len(tokens) > left:
            cut = " ".join(tokens[:left]).rstrip(',;:“”"')
            return [*kept, cut if cut[-1:] in ".!?" else f"{cut}."] if left else kept
        kept.append(part)
        left -= len(tokens)
    return kept


def _introduction(dialogue: Dialogue, limits: Limits) -> list[str]:
    """Say once, at the first answer of a conversation, who is speaking.

    Not where each word of the answer was asked for, by what it is or by how long it may be.
    """
    begun = dialogue.answers or dialogue.calls or dialogue.turn.outputs or dialogue.asked
    if begun or _whole_intent(dialogue) in having("exact") or limits.asked_now or limits.prefix:
        return []
    return dialogue.say_if("intro_as", extract("persona", dialogue.request.instructions), "intro")


def _matches(dialogue: Dialogue) -> list[Match]:
    """Choose the functions to call now, and those that lack an argument."""
    request, turn, choice = dialogue.request, dialogue.turn, dialogue.request.tool_choice
    tools = slot_filling.functions(request.tools)
    if not tools or choice == "none" or turn.outputs:
        # After a result the answer is the result, also where calls are required: rules have nothing to add by
        # calling again, and a client that answers every call would go round for ever.
        return []
    named = choice.get("name") or None if isinstance(choice, Mapping) else None
    insist = choice == "required" or named is not None
    text, typed = intents.brief(turn.text), intents.brief(" ".join(turn.typed))
    if typed and turn.heard and intents.is_command(typed):
        # "Summarise this" beside a recording: the recording is what it is about, and asks for nothing itself.
        text = typed
    asked = "" if dialogue.asked else intents.brief(together(intents.unconditional(request.asked)))
    if insist:
        text = text + gap(text, asked) + asked or intents.brief(next(reversed(dialogue.earlier), ""))
    elif not text and not asked:
        return []
    matches = choose(text, tools, insist=insist, named=named)
    if asked and not any(match.calls for match in matches):
        matches = [match for match in choose(asked, tools) if match.calls] or matches
    if not matches and not intents.is_command(text) and len(words(text)) <= 6:
        matches = _follow_up(dialogue, text, tools)
    return matches


def _lacking(dialogue: Dialogue, matches: list[Match]) -> list[str]:
    """Ask for the arguments that a function lacks."""
    for match in (match for match in matches if match.missing and match.score >= 2.5):
        tool = plain(re.sub(r"^(?:get|fetch)_", "", match.tool["name"]))
        return [dialogue.say("need", tool=tool, x=dialogue.join([*map(plain, match.missing)]))]
    return []


def _follow_up(dialogue: Dialogue, text: str, tools: list[slot_filling.Schema]) -> list[Match]:
    """Take a few words for what the request before them lacked.

    "What's the weather?" – "For weather I need: city." – "Oslo.", or "And in Bergen?"
    """
    before = choose(intents.brief(dialogue.earlier[-1]), tools) if dialogue.earlier else []
    if not before or (before[0].calls and not cue("follow_up").search(text)):
        return []
    again = "in " + re.sub(r"(?i)^\W*(?:and|what about|how about|or)\s+", "", text)
    given, _ = slot_filling.fill(before[0].tool.get("parameters"), again, insist=False)
    return choose(again, tools, named=before[0].tool["name"]) if given else []


def _wish(dialogue: Dialogue, intent: str | None) -> tuple[str | None, str]:
    """Return the intent of the instructions and its sentence, where it goes before the user's own intent."""
    wish = intents.standing([dialogue.request.instructions, *reversed(dialogue.system)])
    return (
        wish
        if wish and (intent is None or (intent in ("greet", "fine", "thanks") and wish[0] != "greet"))
        else (intent, "")
    )


def _whole_intent(dialogue: Dialogue) -> str | None:
    """Return the intent of the user's request, or else of the instructions."""
    return _wish(dialogue, intents.intent_of(intents.command_and_rest(dialogue.turn.request)[0]))[0]


def _answer(dialogue: Dialogue, matches: list[Match]) -> list[str]:
    turn = dialogue.turn
    if turn.outputs:
        return [about_output(dialogue, *output) for output in turn.outputs]
    said = about_pictures(dialogue)
    # The typed words may leave the request to the recording: "Answer the question in the recording".
    if turn.heard and cue("answer_what_is_heard").search(intents.brief(together(turn.typed))):
        turn.typed = []
    own = turn.request
    command = intents.brief(intents.command_and_rest(own)[0])
    elsewhere = dialogue.request.instructions != INSTRUCTIONS or bool(turn.typed and turn.heard)
    if asked := fact(intents.brief(own), role=elsewhere):
        return [*said, about_fact(asked, dialogue.language)]
    if found := _by_intent(dialogue, command) or _lacking(dialogue, matches):
        return [*said, *found]
    if sum_ := numbers.arithmetic(intents.brief(own)):
        return [*said, dialogue.say("equals", sum=_read_out(dialogue, sum_[0]), x=numbers.spoken_number(sum_[1]))]
    if own:
        return [*said, *_to_statement(dialogue, own, command, seen=bool(said))]
    if turn.clips:
        return [*said, dialogue.say("heard_nothing")]
    return said or [dialogue.say("wrote_nothing" if dialogue.answers else "greet")]


def _by_intent(dialogue: Dialogue, command: str) -> list[str]:
    """Answer by the rule of the instructions' intent where the user only talks, else by that of the user's."""
    turn, intent = dialogue.turn, intents.intent_of(command)
    wanted, sentence = _wish(dialogue, intent)
    greeted = wanted == "greet" and turn.request and dialogue.answers
    wordless = wanted in having("about_words") and not turn.text
    if wanted and sentence and not (greeted or wordless) and (found := ANSWERS[wanted](dialogue, sentence)):
        return found
    return ANSWERS[intent](dialogue, command) if intent is not None else []


def _to_statement(dialogue: Dialogue, own: str, command: str, *, seen: bool) -> list[str]:
    """Answer words that no intent is known of: a question, a name, or anything else."""
    if intents.is_question(intents.brief(own)):
        unknown = [*heard_sentence(dialogue), *([] if seen else [dialogue.say("no_answer")])]
        return dialogue.say_if("said", find_said(dialogue, own)) or unknown
    if dialogue.asked:  # a note of any kind: rules can say what was said
        return ANSWERS["summarise"](dialogue, command)
    if name := names.last_name([intents.brief(own)]):
        return [dialogue.say("nice", x=name)]
    heard = dialogue.turn.heard
    topics = keywords(own, 1) if not (heard and dialogue.turn.typed) else []
    said = dialogue.say_if("heard", heard) or [dialogue.say("said", x=own)]
    return [*said, *dialogue.say_if("question_about", "".join(topics))]


def _read_out(dialogue: Dialogue, sum_: str) -> str:
    """Write a sum with its powers and roots in words."""
    sum_ = re.sub(r"sqrt (\S+)", lambda root: dialogue.say("root", x=root[1]), sum_)
    while power := re.search(r"(\S+) \*\* (\S+)", sum_):
        sum_ = sum_.replace(power[0], dialogue.say("power", x=power[1], y=power[2]))
    return sum_.replace("*", "×")
