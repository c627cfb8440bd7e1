"""Scripted answers of a practice server: what it is asked, and what it then says, calls, or fails with."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rtnb.errors import InputError
from rtnb.server.protocol.api_errors import FAILURES
from rtnb.server.protocol.requests import Answer, Call, Cut, Fail, Request, Responder, Text
from rtnb.server.responder.dialogue import read_dialogue

Step = Mapping[str, Any]
"""Step of a script: what `rtnb.practice` says of `script`."""

_KINDS: Mapping[str, type] = {"when": str, "say": str, "call": str, "with": Mapping, "fail": str}
_CUTS: tuple[Any, ...] = ("content_filter", "max_output_tokens")  # after these the response is incomplete, not failed
_EXAMPLE = "[{'when': 'weather', 'call': 'get_weather', 'with': {'city': 'Oslo'}}, {'say': 'Sunny'}]"


def read_script(script: Sequence[Step]) -> tuple[Step, ...]:
    """Check a script.

    Args:
        script: Its steps.

    Returns:
        The steps.

    Raises:
        InputError: For the first step that makes no sense.
    """
    if isinstance(script, str | Mapping) or not script:
        raise InputError(f"Your script has no steps. Give a list such as {_EXAMPLE}.")
    for number, step in enumerate(script, 1):
        _check(f"Step {number} of your script", step)
    return tuple(script)


def _check(which: str, step: Any) -> None:
    if not isinstance(step, Mapping):
        raise InputError(f"{which} is of type {type(step).__name__}. Give a dict, as in {_EXAMPLE}.")
    for name, value in step.items():
        if name not in _KINDS:
            raise InputError(f"{which} has {name!r}, which no step takes. A step takes: {', '.join(_KINDS)}.")
        if not isinstance(value, _KINDS[name]) or (isinstance(value, str) and not _plain(value)):
            kind = "a dict" if name == "with" else "a text with words in it"
            raise InputError(f"{which} has {value!r} as {name!r}. Give {kind}.")
    if not step.keys() & {"say", "call", "fail"}:
        raise InputError(f"{which} does nothing. Give it 'say', 'call' or 'fail'.")
    if "with" in step and "call" not in step:
        raise InputError(f"{which} has 'with' and no 'call'. Name the function that it is for.")
    if (failure := step.get("fail", _CUTS[0])) not in (known := (*FAILURES, *_CUTS)):
        raise InputError(f"{which} fails with {failure!r}, which is no failure. These exist: {', '.join(known)}.")
    try:
        json.dumps(step.get("with", {}))
    except (TypeError, ValueError) as error:
        problem = f"{which} has arguments that JSON cannot carry. Give texts, numbers, lists and dicts."
        raise InputError(problem) from error


def _plain(text: str) -> str:
    """Return the words of a text as they are compared: without case and marks, which speech has not."""
    return " ".join(re.findall(r"\w+", text.casefold()))


class ScriptedResponder:
    """Responder of one session that follows a script, and leaves all else to another.

    Args:
        script: As `read_script` returns it.
        otherwise: Answers where no step fits.

    Attributes:
        pool: Threads of the other responder's own, or None.
    """

    def __init__(self, script: Sequence[Step], otherwise: Responder) -> None:
        self.pool = getattr(otherwise, "pool", None)
        self._script, self._otherwise = script, otherwise
        # The step whose turn it is, in the conversation and (True) among asides; none where a question decides.
        self._following = {} if "when" in script[0] else {False: 0}

    def __call__(self, request: Request) -> Iterator[Answer]:
        """Answer by the step that fits, or as the other responder does."""
        step = self._step(request)
        return self._otherwise(request) if step is None else _perform(step, request)

    def _step(self, request: Request) -> Step | None:
        turn = read_dialogue(request).turn
        said = _plain(request.asked if request.aside and request.asked else f"{turn.text} {request.asked}")
        asked = [] if turn.outputs else self._script  # what follows a function's result was not asked for
        fits = (at for at, step in enumerate(asked) if "when" in step and _plain(step["when"]) in said)
        if (at := self._following.pop(request.aside, next(fits, None))) is None:
            return None
        if at + 1 < len(self._script) and "when" not in self._script[at + 1]:
            self._following[request.aside] = at + 1
        return self._script[at]


def _perform(step: Step, request: Request) -> Iterator[Answer]:
    names = [str(tool["name"]) for tool in request.tools if "name" in tool]
    name, failure = step.get("call"), step.get("fail")
    if name is not None and name not in names:
        raise InputError(f"Your script calls {name}, and the session has the tools {', '.join(names) or '(none)'}.")
    if "say" in step:
        yield Text(step["say"])
    if name is not None:
        yield Call(name, dict(step.get("with", {})))
    if failure is not None:
        yield Cut(failure) if failure in _CUTS else Fail(FAILURES[failure])
