"""Selection of the tool that a request asks for, by rule.

A tool is known by the words of its name, its description and its parameters. A call that lacks a required argument is
not made unless the client insists on one.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from rtnb.server.nlu import lexicon, numbers
from rtnb.server.nlu.slot_filling import WEAK, Schema, fill, parameters, split_name
from rtnb.server.nlu.text_extraction import content, roots, stem
from rtnb.server.protocol.requests import Call

# Words that mean a tool without being in its name.
_ALIKE = [frozenset(map(stem, line.split())) for line in lexicon.entries("alike").values()]
_TOOL_WORDS = {re.compile(said): stem(word) for said, word in lexicon.entries("tool_words").items()}
_CALCULATES = {"calculat", "calculator", "math", "evaluat", "add", "sum", "multiply", "comput"}
_LEAST = 2.0  # a word of the name, or two of the description


class Match(NamedTuple):
    """Tool that a request seems to ask for.

    Attributes:
        tool: Its definition.
        score: How strongly.
        calls: The calls to make, one or several; none where a required argument is missing.
        missing: Names of required arguments the request does not give.
    """

    tool: Schema
    score: float
    calls: tuple[Call, ...]
    missing: tuple[str, ...] = ()


def _score(tool: Schema, request: str) -> float:
    own = f"{tool['name']} {tool.get('description')}"
    asks, acts, undoes, undo = (lexicon.cue(key) for key in ("only_asks", "acts", "undoes", "undo"))
    if (undoes.search(request) and not undo.search(own)) or (acts.search(own) and asks.search(request)):
        return 0
    request = lexicon.cue("no_order").sub(" ", request)
    asked = {*roots(request), *(word for said, word in _TOOL_WORDS.items() if said.search(request.casefold()))}
    wide = asked.union(*(group for group in _ALIKE if group & asked))
    title = tool["name"].casefold()
    name = [root for root in map(stem, split_name(tool["name"])) if root not in lexicon.bag("small")]
    strong = [root for root in name if root not in WEAK or root == "call"] or name
    points = sum(2.5 if root in asked else 2.0 if root in wide else 0.0 for root in strong)
    points += 4 * any(one in request.casefold() for one in (title, title.replace("_", " ")))
    points += 0.5 * sum(root in asked for root in name if root not in strong)
    described = {root for root in content(str(tool.get("description") or "")) if root not in WEAK}
    points += sum(1.0 if root in asked else 0.6 for root in described & wide if root not in strong)
    for parameter in parameters(tool.get("parameters")):
        points += 0.7 * len((parameter.stems - WEAK) & asked)
        points += 0.8 * bool("enum" in parameter.schema and parameter.mentioned(request))
    # A sum in the request speaks for a tool that wants one.
    return points + 1.5 * bool(_CALCULATES & {*strong, *described} and numbers.arithmetic(request))


def choose(request: str, tools: Sequence[Schema], *, insist: bool = False, named: str | None = None) -> list[Match]:
    """Find the tools a request asks for.

    Args:
        request: The user's words.
        tools: Definitions of functions as in `session.tools`.
        insist: The client requires a call: take the likeliest tool even if nothing points to it, and fill what is
            missing as well as can be.
        named: The client requires this tool.

    Returns:
        One match for each tool asked for, in the order of the request; empty where none is.
    """
    request = request if insist else lexicon.cue("forbidden").sub(" ", request)
    candidates = [tool for tool in tools if named in (None, tool["name"])]
    if named is None and len(several := _by_clause(request, candidates)) > 1:
        return several
    force = insist or named is not None
    scores = [(_score(tool, request), tool) for tool in candidates]
    matches = [_match(tool, score, request, insist=force) for score, tool in scores if force or score >= _LEAST]
    # A tool for which everything was said beats one that a word more speaks for. The first listed wins a tie.
    best = max(matches, key=lambda match: match.score + (1.5 if match.calls else 0), default=None)
    return [best] if best else []


def _by_clause(request: str, tools: Sequence[Schema]) -> list[Match]:
    """Match clause by clause: "the weather in Oslo and the time in Paris"."""
    groups: list[tuple[Schema, float, list[str]]] = []
    for clause in filter(str.strip, lexicon.cue("clause_end").split(request)):
        score, tool = max(((_score(tool, clause), tool) for tool in tools), key=lambda entry: entry[0])
        same = groups and groups[-1][0]["name"] == tool["name"]
        # "Two coffees, then one tea": each clause is a call of its own.
        whole = same and all(_match(tool, score, part).calls for part in (clause, " and ".join(groups[-1][2])))
        if score >= _LEAST and (whole or not same):
            groups.append((tool, score, [clause]))
        elif groups:  # "… in Oslo | and Paris": a clause without a tool of its own belongs to the one before it
            groups[-1][2].append(clause)
    found = [_match(tool, score, " and ".join(parts)) for tool, score, parts in groups]
    # "the weather and the time in Paris": what one clause lacks, the whole sentence may have.
    found = [match if match.calls else _match(match.tool, match.score, request) for match in found]
    return found if all(match.calls for match in found) else []


def follow_up(text: str, earlier: Sequence[str], tools: Sequence[Schema]) -> list[Match]:
    """Take a few words for what a request before them lacked, or for another value of it.

    "What's the weather?" – "Which city?" – "Oslo." – "And in Bergen?"; "Two coffees." – "Actually, make it three."
    """
    found = ((back, choose(earlier[-back], tools)) for back in range(1, min(3, len(earlier)) + 1))
    back, before = next(((back, matches) for back, matches in found if matches), (0, []))
    goes_on = lexicon.cue("follow_up").search(text) or lexicon.cue("corrects").search(text)
    if not before or (before[0].calls and (back > 1 or not goes_on)):
        return []
    tool, thing = before[0].tool, re.sub(r"(?i)^\W*(?:and|what about|how about|or)\s+", "", text)
    said = (words for words in (thing, f"in {thing}") if fill(tool.get("parameters"), words, insist=False)[0])
    again = next(said, None)
    return [_match(tool, before[0].score, *earlier[-back:], again)] if again else []


def _match(tool: Schema, score: float, *texts: str, insist: bool = False) -> Match:
    """Fill the arguments of a tool from a request and what is said after it, the last word on each counting."""
    schema, name, request = tool.get("parameters"), tool["name"], texts[-1]
    parts = [part for text in texts for part in lexicon.cue("corrects").split(text) if part.strip()]
    said = [fill(schema, part, insist=insist) for part in parts or texts]
    arguments = {key: value for values, _ in said for key, value in values.items()}
    missing = [name for name in said[0][1] if name not in arguments]
    parameter, values = _listed(schema, request)
    if values and not any(other != parameter for other in missing):
        return Match(tool, score, tuple(Call(name, {**arguments, parameter: value}) for value in values))
    return Match(tool, score, () if missing else (Call(name, arguments),), tuple(missing))


def _listed(schema: Any, request: str) -> tuple[str, list[Any]]:
    """Find a parameter that takes one value where the request names several: "Oslo and Paris"."""
    known = parameters(schema)
    for one in (one for one in known if one.kind == "string"):
        alike = sum(other.is_place if one.is_place else other.is_person for other in known)
        values = one.named(request) if one.options or alike == 1 else []
        if len(values) < 2:
            continue
        first, second, last = (re.escape(str(values[index])) for index in (0, 1, -1))
        between = r"[^.;]*?" if one.options else r"(?:\s*,\s*[^,.;]+)*"
        row = rf"{first}{between}\s*,?\s*{lexicon.source('joins_names')}.*{last}"
        if re.search(row, request, re.IGNORECASE):
            # "Paris, France" is one place.
            pair = len(values) == 2 and re.search(rf"{first},\s*{second}", request)
            return ("", []) if pair else (one.name, values)
    return "", []
