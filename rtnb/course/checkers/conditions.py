"""Judge an exercise by its conditions, which are data: the sentence comes from the condition that failed.

A file per notebook, `NN.toml`, has its exercises by their numbers:

- `made`: by the name of each variable that is handed over, its kind, which `readers` knows.
- `hand_in`: a sentence that says how to hand it in.
- `ended`: what to do where the learner's cell ended with an exception and hands that over, if that can be.
- `right`: the sentence for a right answer.
- `signs`, if the exercise asks for the fault of the server that is handed over first: by their names, how faults show.
- `conditions`: what must hold, in this order. Each has a sentence, `say`: what to do. It is one of
  - `need`: a type of event that must be there, behind what the condition before found (`beside = true`: behind the same
    place as that one), `times` over; `with` says what its fields must be (a dot leads inwards);
  - `most`: a type of event that may be there `times` at most (0 without), of those that `with` describes;
  - `holds`: a measure, which must be what `is` says; true without;
  - `figure`: a measure that the number handed over last must be, up to a `share` of it; `slips` are other figures, each
    a `measure` or so many `times` the right one, with a `say` of its own.

What a field or a measure must be is a value, `true` for anything but nothing, `false` for nothing, or one of `{any}`
(one of these words is in it), `{begins}` (it begins with one of these), `{least}`, `{near, share}` and `{not}`, which
takes any of these.

A measure is a variable and a path from it, each step an attribute, a key or a function of `measures`, as in
`reply.usage.input_tokens`; or a function of `measures` that takes all that was handed over. `values` beside a sentence
says which measures its braces stand for.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rtnb.course.checkers import measures
from rtnb.course.checkers.evidence import Fact, facts
from rtnb.course.checkers.readers import Patient, Wrong, read
from rtnb.session.reply import Reply
from rtnb.session.session import Session
from rtnb.texts.language import joined, say
from rtnb.texts.shortening import in_one_line

Condition = Mapping[str, Any]


@cache
def exercises() -> dict[str, dict[str, Any]]:
    """Return all exercises by their numbers, in the order of the course."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return {number: one for file in files for number, one in tomllib.loads(file.read_text("utf-8")).items()}


def judge(exercise: Mapping[str, Any], handed: Sequence[Any]) -> str:
    """Return the sentence for a right answer.

    Args:
        exercise: One of `exercises()`.
        handed: What was handed over, in the order of the exercise.

    Raises:
        Wrong: If one of the things is of another kind, or a condition is not met.
    """
    how = {"ended": exercise["ended"]} if "ended" in exercise else {}
    kinds = zip(exercise["made"].items(), handed, strict=True)
    made = {name: read(kind, thing, **how) for (name, kind), thing in kinds}
    first = next((thing for thing in made.values() if isinstance(thing, Reply | Session)), None)
    known = facts(first) if first is not None else []
    begin = behind = 0
    for condition in exercise["conditions"]:
        begin = begin if condition.get("beside") else behind
        if "need" in condition:
            behind = max(behind, _need(condition, known, begin))
        elif "most" in condition:
            _most(condition, known)
        elif "holds" in condition:
            if not fits(_measure(condition["holds"], made), condition.get("is", True)):
                raise Wrong(_filled(condition["say"], condition, made))
        else:
            _figure(condition, made)
    sign = _sign(exercise["signs"], *made.values()) if "signs" in exercise else ""
    return joined(_filled(exercise["right"], exercise, made), sign)


def _need(condition: Condition, known: Sequence[Fact], begin: int) -> int:
    """Return the place in the log behind the events that are needed, or blame what is nearest to them."""
    type_, times, wanted = condition["need"], condition.get("times", 1), condition.get("with", {})
    there = [fact for fact in known if fact["type"] == type_]
    right = [fact for fact in there if not misfits(fact, wanted)]
    late = [fact["at"] for fact in right if fact["at"] >= begin]
    if len(late) >= times:
        return int(late[times - 1]) + 1
    if not there:
        blame = say("There is no {type}.", type=type_)
    elif len(right) >= times:
        blame = say("{type} is there, but too early.", type=type_)
    elif right:
        blame = say("Of {type}, {count} fit and {times} are wanted.", type=type_, count=len(right), times=times)
    else:
        # Of several that do not fit, the last one that says something where it does not.
        wrong = [next(iter(misfits(fact, wanted).items())) for fact in reversed(there)]
        name, found = next((each for each in wrong if each[1]), wrong[0])
        shown = in_one_line(repr(found), 60)
        blame = say("{type} is there, but with {name} = {found}.", type=type_, name=name, found=shown)
    raise Wrong(joined(blame, say(condition["say"])))


def _most(condition: Condition, known: Sequence[Fact]) -> None:
    type_, wanted = condition["most"], condition.get("with", {})
    count = sum(fact["type"] == type_ and not misfits(fact, wanted) for fact in known)
    if count > condition.get("times", 0):
        blame = say("{type} is there, {count} times.", type=type_, count=count)
        raise Wrong(joined(blame, say(condition["say"])))


def _figure(condition: Condition, made: Mapping[str, Any]) -> None:
    """Compare the number handed over last, and look for the slip that explains it."""
    wanted, share = _measure(condition["figure"], made), condition.get("share", 0.002)
    *_, given = made.values()
    if near(given, wanted, share):
        return
    for slip in condition.get("slips", ()):
        if near(given, _measure(slip.get("measure", condition["figure"]), made) * slip.get("times", 1), share):
            raise Wrong(say(slip["say"], given=f"{given:.6g}"))
    blame = say("{given} is too large." if given > wanted else "{given} is too small.", given=f"{given:.6g}")
    raise Wrong(joined(blame, say(condition["say"])))


def _sign(signs: Mapping[str, str], server: Patient, _: Session, name: str) -> str:
    """Return how a fault shows, if the server has it."""
    if name not in signs:
        sentence = "{name} is not among the faults of this level. Write one of these between quotes: {names}."
        raise Wrong(say(sentence, name=in_one_line(repr(name), 40), names=", ".join(signs)))
    if not any(map(server.has_fault, signs)):
        raise Wrong(say("This server has no fault of this level. Visit the one of this exercise."))
    if not server.has_fault(name):
        sentence = "It is not {name}. How that shows: {sign} Compare it with this session's log."
        raise Wrong(say(sentence, name=name, sign=say(signs[name])))
    return say(signs[name])


def misfits(fact: Fact, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an event that are not as they must be, and what they are."""
    found = {name: _walk(fact, name.split(".")) for name in wanted}
    return {name: value for name, value in found.items() if not fits(value, wanted[name])}


def fits(found: Any, wanted: Any) -> bool:
    """Return whether something is as it must be."""
    match wanted:
        case bool():
            return bool(found) is wanted
        case {"not": other}:
            return not fits(found, other)
        case {"any": words}:
            return any(word in str(found).casefold() for word in words)
        case {"begins": words}:
            return str(found).lstrip(" \"'*“").casefold().startswith(tuple(words))
        case {"least": least}:
            return found is not None and found >= least
        case {"near": figure, "share": share}:
            return found is not None and near(found, figure, share)
    return bool(found == wanted)


def near(one: float, other: float, share: float) -> bool:
    """Return whether a figure is another one, up to a share of it."""
    return abs(one - other) <= max(1e-9, share * abs(other))


def _measure(path: str, made: Mapping[str, Any]) -> Any:
    first, *steps = path.split(".")
    return _walk(made[first] if first in made else getattr(measures, first)(*made.values()), steps)


def _walk(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if step in vars(measures):
            value = vars(measures)[step](value)
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            value = getattr(value, step, None)
    return value


def _filled(english: str, beside: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    """Return a sentence in the user's language with what its braces stand for."""
    values = {name: _measure(path, made) for name, path in beside.get("values", {}).items()}
    return say(english, **{name: _shown(value) for name, value in values.items()})


def _shown(value: Any) -> Any:
    """Return a number as it is, and anything else as text in one line."""
    return value if isinstance(value, int | float) else in_one_line(str(value), 60)
