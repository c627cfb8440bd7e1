"""Check how a public function is called, before it begins: the names of arguments, with what was meant, and types."""

import difflib
import functools
import inspect
import math
import os
import re
import reprlib
import tomllib
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import orjson

from rtnb import errors
from rtnb.errors import ArgumentError, InputError, RtnbError, without_frames

T = TypeVar("T", bound=Callable[..., Any])


def _meant(name: str, takes: list[str], *, parts: bool) -> str:
    """Say what an argument is called that the function does not take by this name."""
    known = tomllib.loads(Path(__file__).with_name("arguments.toml").read_text("utf-8"))
    meanings = [one for names, whole in known.items() if name.lower() in names.split() for one in whole.split(" | ")]
    found = [re.sub(r"^\w+$", r"\g<0>=", one.replace("NAME", name)) for one in meanings if one.split("=")[0] in takes]
    if parts and "*parts" in meanings:
        found.insert(0, "a part (it has no name)")
    near = difflib.get_close_matches(name.lower(), takes, 1, 0.7) or [one for one in takes if one.startswith(name)]
    found = found or [f"{one}=" for one in near]
    if found:
        return f"Did you mean {' or '.join(found)}?"
    sentences = [one for one in meanings if one[0].isupper()]
    return sentences[0] if sentences else f"It takes: {', '.join(takes)}." if takes else "It takes none."


# Arguments that are refused by what takes them, in words of its own.
_REFUSED_ELSEWHERE = ("key", "url", "Budget.limit_usd", "function")
# Texts that are refused where they are written as JSON, by the name of their field, if JSON cannot carry them.
_WRITTEN = {"instructions", "prompt", "item_id", "previous_item_id", "response_id"}
_WORDS: dict[Any, str] = {str: "text", bool: "True or False", int: "a whole number", float: "a number"}
_WORDS |= {Awaitable: "what can be awaited, such as main() of an async def main()"}
_WORDS |= {types.NoneType: "None", Path: "a path", Mapping: "a dict"}
_WORDS |= {Sequence: "a list", Iterable: "a list", Callable: "a function"}


def _kinds(annotation: Any) -> list[Any]:
    """Return the types of an annotation, without what is in their brackets; of a `Literal`, that of its words."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(annotation) for kind in _kinds(one)]
    kind = typing.get_origin(annotation) or annotation
    return [str if kind is typing.Literal else kind]


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value may be of a type; it may where this cannot tell."""
    if kind is bool:
        return type(value).__name__ in ("bool", "bool_") or (isinstance(value, int) and value in (0, 1))
    if kind in (int, float):
        whole = isinstance(value, Integral) or (isinstance(value, float) and value % 1 == 0)
        return not isinstance(value, bool) and (whole or (kind is float and isinstance(value, Real)))
    if not isinstance(kind, type) or kind in (Any, inspect.Parameter.empty, bytes, bytearray, memoryview):
        return True
    if kind in (tuple, Sequence, Iterable):
        return isinstance(value, Iterable) or callable(value)  # a single function among them, which `tools` refuses
    return isinstance(value, os.PathLike if kind is Path else kind)


def _unwritable(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return isinstance(value, float) and not math.isfinite(value)


def _problem(name: str, value: Any, kinds: list[Any], function: str) -> str:
    """Say why a function does not take a value as the argument of this name; "" where it does."""
    if isinstance(value, int) and abs(value) >> 1000:  # no float, and of more digits than Python may write
        return f"Your {name}= has more than 300 digits, which {function}() does not take. Give a smaller number."
    if name == "timeout" and isinstance(value, Real) and not value < 1e9:
        return f"Your timeout {value!r} is no number of seconds. Give for example 60; None is no limit."
    elsewhere = f"{function}.{name}".endswith(_REFUSED_ELSEWHERE) or (name in _WRITTEN and _unwritable(value))
    if elsewhere or any(_fits(value, kind) for kind in kinds):
        return ""
    each = dict.fromkeys(errors.translate(_WORDS.get(kind, "a {kind}")).format(kind=kind.__name__) for kind in kinds)
    words, shown = f" {errors.translate('or')} ".join(each), reprlib.repr(value)
    return f"Your {name}={shown} is of type {type(value).__name__}, which {function}() does not take. Give {words}."


_annotations = functools.cache(typing.get_type_hints)


def bind(
    function: Callable[..., Any], signature: inspect.Signature, args: tuple[Any, ...], given: dict[str, Any]
) -> inspect.BoundArguments | ArgumentError:
    """Bring the arguments of a call to their parameters.

    Returns:
        Them, or the error to raise where the function does not take them. It is not raised here, with a key in a frame.
    """
    # A method by the class that the user has, not by the one that it comes from; a class by its own name.
    parameters = signature.parameters
    owner = type(args[0]) if args and "self" in parameters else None
    own = {"start": "practice"}.get(function.__name__, function.__qualname__)
    name = f"{owner.__name__}.{function.__name__}".removesuffix(".__init__") if owner else own
    kinds = {parameter.kind for parameter in parameters.values()}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes = [one for one, its in parameters.items() if its.kind in by_name and one not in ("self", "cls", "_model")]
    unknown = next((one for one in given if one not in takes), None)
    if unknown is not None and inspect.Parameter.VAR_KEYWORD not in kinds:
        meant = _meant(unknown, takes, parts=inspect.Parameter.VAR_POSITIONAL in kinds)
        return ArgumentError(f"Your argument {unknown}= is none that {name}() takes. {meant}", argument=unknown)
    try:
        bound = signature.bind(*args, **given)
    except TypeError as misfit:
        remedy = f"Name its arguments: {', '.join(f'{one}=' for one in takes)}." if takes else "It takes none."
        made = vars(owner).items() if owner and function.__name__ == "__init__" else ()
        if makers := [f"{name}.{one}()" for one, its in made if isinstance(its, classmethod) and one != "of"]:
            remedy += f" Or make one with {' or '.join(makers)}."
        return ArgumentError(f"Your call of {name}() does not fit: {misfit}. {remedy}")
    for one, value in bound.arguments.items():
        its = parameters[one]
        allowed = _kinds(_annotations(function).get(one, Any) if isinstance(its.annotation, str) else its.annotation)
        each = value if its.kind is its.VAR_POSITIONAL else [value]
        if wrong := next(filter(None, (_problem(one, part, allowed, name) for part in each)), None):
            return ArgumentError(wrong, argument=one, **({one: value} if one in InputError.__annotations__ else {}))
        if int in allowed and float not in allowed and isinstance(value, float):
            bound.arguments[one] = int(value)
    return bound


def checks_call(target: T, *, frames: bool = False, signature: Any = None, hold: Any = None) -> T:
    """Let a function, or a class with each of its public methods, refuse a wrong call in words before it begins.

    Args:
        target: The function or class.
        frames: Whether errors keep the frames they were raised in, for these are the user's own.
        signature: What the function takes, where that is more than it says itself; it is called with all of it.
        hold: Wraps the argument `key`, so that the function's own frame shows none.
    """
    if isinstance(target, type):
        for name, member in [*vars(target).items()]:
            if name[0] != "_" and isinstance(member, classmethod):
                setattr(target, name, classmethod(checks_call(member.__func__)))
            elif (name[0] != "_" or name == "__init__") and inspect.isfunction(member):
                setattr(target, name, checks_call(member))
        return target
    takes = signature or inspect.signature(target)

    @functools.wraps(target)
    def called(*args: Any, **given: Any) -> Any:
        if hold is not None:
            given["key"] = hold(given.get("key"))
        held: list[Any] = [bind(target, takes, args, given)]  # and nothing else, so that this frame shows no key
        del args, given
        if isinstance(held[0], ArgumentError):
            raise held.pop()
        if signature is not None:
            held[0].apply_defaults()
        try:
            return target(*held[0].args, **held.pop().kwargs)
        except RtnbError as error:
            raise error if frames else without_frames(error)  # noqa: B904 - it is the same

    return typing.cast(T, called)
