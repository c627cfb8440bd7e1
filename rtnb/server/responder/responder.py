"""Responder of the practice server: offline, by rules, pure and deterministic.

It does what it is asked as far as rules can (summarise, repeat, count, remember, spell, add up, call tools), answers
from the conversation so far, and says plainly what only a model could do. `Remote` is a real LLM behind any
OpenAI-compatible chat endpoint, of the same shape.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rtnb.server.languages import closed, gap, together
from rtnb.server.nlu import intents, names, numbers
from rtnb.server.nlu.lexicon import cue, extract, having
from rtnb.server.nlu.text_extraction import first_words, sentences, words
from rtnb.server.nlu.tool_selection import Match, choose, follow_up
from rtnb.server.protocol.requests import Call, Request, Text
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder import knowledge, personas
from rtnb.server.responder.answers import ANSWERS, find_said, judge
from rtnb.server.responder.dialogue import Dialogue, Limits, limits_of, read_dialogue
from rtnb.server.responder.facts import about_fact, fact
from rtnb.server.responder.tool_results import about_output, about_pictures, label, plain

_MANNERS = (("faster", "slower"), ("louder", "quieter"))


class _Asked(NamedTuple):
    """Request of one turn.

    Attributes:
        own: The user's words without what stands before the request.
        ways: Intents and the words that have them, in the order in which they are tried.
    """

    own: str
    ways: list[tuple[str | None, str]]


def think(request: Request) -> Iterator[Text | Call]:
    """Answer offline, by rules: no network, no chance, and no clock but where the time is asked for.

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
    asked, role = _asked(dialogue), _role(dialogue)
    intent = asked.ways[0][0]
    exact, whole = intent in having("exact"), intent in having("as_said")
    limits = limits_of(dialogue, whole=whole)
    answer = _answer(dialogue, asked, matches, role)
    if role and not (exact or intent in ("i_said", "bye", "thanks") or limits.asked_now or limits.words):
        answer = _in_role(dialogue, role, answer, greeted=intent in ("greet", "can"))
    said = _fit(dialogue, answer, limits, whole=whole) or [dialogue.say("wrote_nothing")]
    begun = len(dialogue.turns) > 1 or dialogue.turn.outputs or dialogue.asked
    if not (begun or exact or limits.asked_now or limits.prefix):
        # Who speaks is said once a conversation, and not where each word of the answer was asked for.
        said = dialogue.say_if("intro_as", extract("persona", request.instructions), "intro") + said
    pace, gain = _manner(dialogue)
    yield from (Text(one, pace, gain) for one in said)


def _manner(dialogue: Dialogue) -> tuple[float, float]:
    """Return how fast and how loud to speak, by all that the user has asked for."""
    asked = [one for one in map(intents.brief, dialogue.messages) if cue("pace").search(one)]
    steps = [sum(bool(cue(more).search(one)) - bool(cue(less).search(one)) for one in asked) for more, less in _MANNERS]
    return min(max(1.25 ** steps[0], 0.5), 1.5), min(max(1.6 ** steps[1], 0.3), 2.5)


def _fit(dialogue: Dialogue, said: Sequence[str], limits: Limits, *, whole: bool) -> list[str]:
    """Cut and frame the sentences of an answer; where a few words are to be enough, say the right ones or none."""
    parts: list[str] = []
    for text in said:
        # A quotation inside a sentence of ours is kept whole unless it is long.
        kept = len(text) <= 160 and (limits.sentences is None or "“" in text)
        parts += [text] if kept else sentences(text) or [text]
    parts = parts[: limits.sentences]
    if limits.words is not None and len(words(together(parts))) > limits.words:
        if whole and not dialogue.word:  # the user's words, as they are
            parts = [closed(first_words(together(parts), limits.words))]
        elif len(words(parts[0])) > limits.words:
            short = (dialogue.word or dialogue.say("too_long")).rstrip(".。") + dialogue.say("stop")
            parts = _refusals(dialogue, parts) or [short]
        parts = parts[:1]
    return [part for part in (closed(limits.prefix), *parts, closed(limits.suffix)) if part.strip()]


def _refusals(dialogue: Dialogue, answer: Sequence[str]) -> list[str]:
    """List the sentences of an answer that say that there is none."""
    return [no for no in map(dialogue.say, ("no_answer", "no_doing")) if no in answer]


def _matches(dialogue: Dialogue) -> list[Match]:
    """Choose the functions to call now, and those that lack an argument."""
    request, turn, choice = dialogue.request, dialogue.turn, dialogue.request.tool_choice
    tools = request.functions
    own = intents.brief(turn.request)
    told = cue("statement").search(own) and not (intents.is_question(own) or cue("wish").search(own))
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
    if cue("anew").search(text) and dialogue.earlier:
        text = intents.brief(dialogue.earlier[-1])  # "Again": the same function once more
    asked = "" if dialogue.asked else intents.brief(together(intents.unconditional(request.asked)))
    if insist:
        text = text + gap(text, asked) + asked or intents.brief(next(reversed(dialogue.earlier), ""))
    elif not text and not asked:
        return []
    matches = choose(text, tools, insist=insist, named=named)
    if asked and not any(match.calls for match in matches):
        matches = [match for match in choose(asked, tools) if match.calls] or matches
    if not matches and not intents.is_command(text) and len(words(text)) <= 8:
        matches = follow_up(text, [*map(intents.brief, dialogue.earlier)], tools)
    return [match for match in matches if match.calls or not told]  # "I like the light here" asks for no detail


def _asked(dialogue: Dialogue) -> _Asked:
    """Find what is asked: what the instructions ask of every answer goes first where the user only talks."""
    turn = dialogue.turn
    # The typed words may leave the request to the recording: "Answer the question in the recording".
    if turn.heard and cue("answer_what_is_heard").search(intents.brief(together(turn.typed))):
        turn.typed = []
    lead = intents.without_lead(turn.request)
    refused = intents.intent_of(lead) == "will_not"  # and nothing else is asked for
    own = lead if refused else cue("forbids").sub("", lead).lstrip(" ,，") or lead
    command = intents.brief(intents.command_and_rest(own)[0])
    intent = intents.intent_of(command)
    wish = intents.standing([dialogue.request.instructions, *reversed(dialogue.system)])
    greeted = wish and wish[0] == "greet" and turn.request and (dialogue.answers or intent)
    wordless = wish and wish[0] in having("about_words") and not turn.text
    first = wish and not (greeted or wordless) and intent in (None, "greet", "fine", "thanks")
    return _Asked(own, [*([wish] if wish and first else []), (intent, command)])


def _role(dialogue: Dialogue) -> str | None:
    """Return the role that the user or the instructions ask for."""
    asked = [words for words in reversed(dialogue.messages) if cue("play_a_role").search(intents.brief(words))]
    texts = [*asked, dialogue.request.instructions, *dialogue.system] if dialogue.language in knowledge.KNOWN else []
    return next(filter(None, map(personas.persona, texts)), None)


def _in_role(dialogue: Dialogue, role: str, answer: list[str], *, greeted: bool) -> list[str]:
    """Say an answer as the role does that is asked for; nothing is answered yet where the user only told something."""
    own = intents.brief(dialogue.turn.request)
    if cue("quiz_ends").search(own):
        return answer
    if not dialogue.turn.outputs and (greeted or not own or cue("play_a_role").search(own)):
        return [personas.greeting(role, dialogue.language)]
    if refused := _refusals(dialogue, answer):
        tools = [plain(tool["name"]) for tool in dialogue.request.functions]
        answer = [dialogue.say("no_role"), *dialogue.say_if("role_tools", dialogue.join(tools) if tools else "")]
    before, number = " ".join(dialogue.answers[-2:]), 0 if refused else len(dialogue.answers)
    asks = personas.in_role(role, dialogue.language, answer, own, before, number)
    return [*answer, *[one for one in asks[-1:] if one not in answer]] if refused else asks


def _answer(dialogue: Dialogue, asked: _Asked, matches: list[Match], role: str | None) -> list[str]:
    turn, own = dialogue.turn, intents.brief(asked.own)
    if turn.outputs:
        return [about_output(dialogue, *output) for output in turn.outputs]
    said = about_pictures(dialogue)
    judged = judge(dialogue, own)
    if judged and role == "quiz_master":
        return []  # the role itself judges
    # Politeness comes after everything else that a request may hold.
    if (
        found := judged
        or _several(dialogue, own, role)
        or _known(dialogue, own, asked, matches, role)
        or _by_intent(dialogue, asked, polite=True)
    ):
        return [*said, *found]
    if own:
        return [*said, *_to_other(dialogue, asked, bool(said), role)]
    if turn.clips:
        return [*said, dialogue.say("heard_nothing")]
    return said or [dialogue.say("wrote_nothing" if dialogue.answers else "greet")]


def _several(dialogue: Dialogue, own: str, role: str | None) -> list[str]:
    """Answer two requests of one turn, where one is known: "The capital of Peru, and what is 9 times 6?"."""
    parts = [intents.without_lead(part) for part in cue("requests_joined").split(own) if re.search(r"\w", part)]
    parts = [one for one in parts if re.search(r"\w", cue("accounted").sub("", one)) and not cue("pace").search(one)]
    asked = [_Asked(part, [(intents.intent_of(part), part)]) for part in parts]
    if not 2 <= len(parts) <= 3 or any(
        one.ways[0][0] in ("all_right", *having("polite")) or cue("statement").search(one.own) for one in asked
    ):
        return []
    each = [_known(dialogue, part, one, [], role) for part, one in zip(parts, asked, strict=True)]
    unknown = [part for part, found in zip(parts, each, strict=True) if not found]
    if any(cue("refers_back").search(part) or not intents.is_question(part) for part in unknown) or not any(each):
        return []
    return [sentence for found in each for sentence in found or [dialogue.say("no_answer")]]


def _known(dialogue: Dialogue, own: str, asked: _Asked, matches: list[Match], role: str | None) -> list[str]:
    """Do what is asked, or answer from what is known: the course, sums, units and facts."""
    elsewhere = dialogue.request.instructions != INSTRUCTIONS or bool(dialogue.turn.typed and dialogue.turn.heard)
    if asked.ways[-1][0] not in having("memory") and (name := fact(own, role=elsewhere)):
        return [about_fact(name, dialogue.language, own)]
    lacking = next((match for match in matches if match.missing and match.score >= 2.5), None)
    need = dialogue.join([label(dialogue, name, lacking.tool) for name in lacking.missing] if lacking else [])
    total = dialogue.say_if(
        "total", _total(dialogue, lacking.tool["name"]) if lacking and cue("total").search(own) else ""
    )
    if found := _by_intent(dialogue, asked, polite=False) or total or dialogue.say_if("need", need):
        return found
    before = next(reversed(dialogue.answers), "") if cue("sum_goes_on").search(own) else ""
    result = [one for one in numbers.numbers(before) if cue("equals").search(before)][-1:]
    if sum_ := numbers.arithmetic(f"{result[0].value} {own}" if result else own):
        return [dialogue.say("equals", sum=_read_out(dialogue, sum_[0]), x=numbers.spoken_number(sum_[1]))]
    if (name := names.last_name([own])) and asked.ways[-1][0] != "greet" and not intents.is_question(own):
        return [dialogue.say("nice", x=name)]
    follows = extract("followed_by", intents.brief(dialogue.turn.request))
    before = intents.brief(dialogue.earlier[-1]) if follows and dialogue.earlier else ""
    known = knowledge.know(own, dialogue.language) or knowledge.know_instead(before, follows, dialogue.language)
    if known and not (role and cue("out_of_role").search(known.text)):
        dialogue.word = known.word
        supposed = known.supposed and cue("supposes").search(own)
        agreed = dialogue.say("yes" if known.word.casefold() in own.casefold() else "no") if supposed else ""
        return [*filter(None, [agreed]), known.text]
    return []


def _total(dialogue: Dialogue, tool: str) -> str:
    """Add up what a tool has said of several things, each with its unit; "" for nothing."""
    ours = {call_id for call_id, (name, _) in dialogue.calls.items() if name == tool}
    outputs = dict.fromkeys(said for turn in dialogue.turns for call_id, said in turn.outputs if call_id in ours)
    figures = [(output, found[-1]) for output in outputs if (found := numbers.numbers(output))]
    units = {output[figure.end :].strip(" .。") for output, figure in figures}
    sum_ = numbers.spoken_number(sum(figure.value for _, figure in figures))
    return f"{sum_} {units.pop()}" if len(units) == 1 else ""


def _by_intent(dialogue: Dialogue, asked: _Asked, *, polite: bool) -> list[str]:
    """Answer by the rule of the first intent that has an answer."""
    due = ((intent, words) for intent, words in asked.ways if intent and (intent in having("polite")) == polite)
    return next(filter(None, (ANSWERS[intent](dialogue, words) for intent, words in due)), [])


def _to_other(dialogue: Dialogue, asked: _Asked, seen: bool, role: str | None) -> list[str]:
    """Answer words that no rule knows: a question, something to do, a name, or anything else."""
    own, text, heard = asked.own, intents.brief(asked.own), dialogue.turn.heard
    bidden, broken = cue("bidding").search(text), cue("unfinished").search(text)
    question = (intents.is_question(text) or cue("asks_inside").search(text)) and not bidden
    if dialogue.asked and not question:  # a note of any kind: rules can say what was said
        return ANSWERS["summarise"](dialogue, asked.ways[-1][1])
    if role and not question and (not bidden or cue("wish").search(text)):
        return []
    if cue("takes_back").search(text) and dialogue.earlier and not question:
        return [dialogue.say("all_right")]
    if question or bidden:
        no = [] if seen else [dialogue.say("unclear" if broken else "no_answer" if question else "no_doing")]
        asking = next((one for one in reversed(sentences(own)) if intents.is_question(one)), own)
        key = "heard" if heard and dialogue.turn.typed else "said"
        return dialogue.say_if(key, find_said(dialogue, asking)) or [*dialogue.say_if("heard", heard), *no]
    topic = "" if heard and dialogue.turn.typed else extract("told_about", own)
    tells = not broken and (cue("tells").search(text) or (heard and len(words(own)) > 4))
    if not (seen or topic or tells) and dialogue.language in intents.GATED:
        return [*dialogue.say_if("heard", heard), dialogue.say("unclear")]
    told = dialogue.say_if("heard", heard) or [dialogue.say("said", x=own)]
    return [*told, *dialogue.say_if("question_about", topic)]


def _read_out(dialogue: Dialogue, sum_: str) -> str:
    """Write a sum with its powers and roots in words."""
    sum_ = re.sub(r"sqrt (\S+)", lambda root: dialogue.say("root", x=root[1]), sum_)
    while power := re.search(r"(\S+) \*\* (\S+)", sum_):
        sum_ = sum_.replace(power[0], dialogue.say("power", x=power[1], y=power[2]))
    return sum_.replace("*", "×")
