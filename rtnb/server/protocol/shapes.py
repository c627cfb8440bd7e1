"""Shapes of client events, of the session object and of its parts (SDK types), and the checks that compose into them.

A check takes a value and its dotted path, and returns the value or raises `ApiError` in the API's wording. All are pure
and know nothing of sessions.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from rtnb import models
from rtnb.audio.pcm import RATE_HZ
from rtnb.server.protocol import api_errors

_LIMITS = models.limits()

Check = Callable[[Any, str], Any]
Shape = Check | Mapping[str, Check]


def anything(value: Any, path: str) -> Any:
    """Take every JSON value as it is."""
    return value


def _of(kinds: tuple[type, ...], expected: str, value: Any, path: str) -> Any:
    if type(value) not in kinds:
        raise api_errors.wrong_type(path, expected, value)
    return value


boolean: Check = functools.partial(_of, (bool,), "a boolean")
"""Takes true or false."""
mapping: Check = functools.partial(_of, (dict,), "an object")
"""Takes an object of any fields."""


# No limit is documented here; it is the one that OpenAI's chat API has for a text.
def string(maximum: float = 1_048_576) -> Check:
    """Take text of at most `maximum` characters."""

    def check(value: Any, path: str) -> Any:
        if len(_of((str,), "a string", value, path)) > maximum:
            raise api_errors.too_long(path, int(maximum), len(value))
        return value

    return check


def NAME(value: Any, path: str) -> Any:
    """Take the name of a function (SDK: letters, digits, underscores and dashes, at most 64)."""
    if not re.fullmatch("[a-zA-Z0-9_-]+", string(64)(value, path)):
        expected = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."  # as in OpenAI's other APIs
        message = f"Invalid '{path}': string does not match pattern. {expected}"
        raise api_errors.ApiError(message, code="invalid_value", param=path)
    return value


def integer(minimum: float, maximum: float = float("inf")) -> Check:
    """Take a whole number within its bounds; a decimal number is refused even when it is whole."""
    return _number((int,), "an integer", "integer", minimum, maximum)


def number(minimum: float, maximum: float) -> Check:
    """Take a number within its bounds."""
    return _number((int, float), "a decimal number", "decimal", minimum, maximum)


def _number(kinds: Any, expected: str, noun: str, minimum: float, maximum: float) -> Check:
    def check(value: Any, path: str) -> Any:
        if not minimum <= _of(kinds, expected, value, path) <= maximum:
            raise api_errors.out_of_bounds(path, minimum if value < minimum else maximum, value, noun=noun)
        return value

    return check


def choice(*values: str) -> Check:
    """Take one of the given strings."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in values:
            raise api_errors.invalid_value(value, values, path)
        return value

    return check


def unless(inner: Check, *constants: Any) -> Check:
    """Take one of the constants, or whatever `inner` takes."""
    return lambda value, path: value if value in constants else inner(value, path)


def nullable(inner: Check) -> Check:
    """Take null, or whatever `inner` takes."""
    return unless(inner, None)


def where(kind: type, then: Check, otherwise: Check) -> Check:
    """Take a value of that Python type by the first check, every other by the second."""
    return lambda value, path: (then if isinstance(value, kind) else otherwise)(value, path)


def array(inner: Check, maximum: float = float("inf")) -> Check:
    """Take a list whose every element `inner` takes."""

    def check(value: Any, path: str) -> Any:
        if len(_of((list,), "an array of objects", value, path)) > maximum:
            raise api_errors.too_long(path, int(maximum), len(value), noun="array")
        return [inner(element, f"{path}[{index}]") for index, element in enumerate(value)]

    return check


class Required(functools.partial[Any]):
    """Check of a field that must be there: takes what the check in it takes."""


def record(**fields: Check) -> Check:
    """Take an object with these fields and no others (recorded: an unknown key is refused by its dotted path)."""
    required = [name for name, inner in fields.items() if isinstance(inner, Required)]

    def check(value: Any, path: str) -> Any:
        mapping(value, path)
        dot = f"{path}." if path else ""
        if absent := [name for name in required if name not in value]:
            raise api_errors.missing(dot + absent[0])
        if foreign := [name for name in value if name not in fields]:
            raise api_errors.unknown(dot + foreign[0])
        return {name: fields[name](inner, dot + name) for name, inner in value.items()}

    return check


def tagged(shapes: Mapping[str, Shape], tag: str = "type", *, default: str | None = None) -> Check:
    """Take an object whose `tag` field names its shape: its further fields, or a check of the whole."""
    checks = {name: shape if callable(shape) else record(**{tag: anything, **shape}) for name, shape in shapes.items()}

    def check(value: Any, path: str) -> Any:
        if tag not in mapping(value, path) and default is None:
            raise api_errors.missing(f"{path}.{tag}")
        name = value.get(tag, default)
        if not isinstance(name, str) or name not in shapes:
            raise api_errors.invalid_value(name, shapes, f"{path}.{tag}")
        return checks[name](value, path)

    return check


def too_deep(value: Any, levels: int = 100) -> bool:
    """Return whether a JSON value is nested so deeply that copying or serialising it would fail."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    # A tuple of kinds: `dict | list` would be made anew for every value.
    return any(levels == 1 or too_deep(part, levels - 1) for part in parts if isinstance(part, (dict, list)))


# ---------------------------------------------------------------------- the session

# Recorded: 16 kHz is refused with "Expected a value >= 24000". SDK: only 24000 is supported.
FORMAT: Check = tagged({"audio/pcm": {"rate": integer(RATE_HZ, RATE_HZ)}, "audio/pcmu": {}, "audio/pcma": {}})

_FUNCTION: dict[str, Check] = {"name": Required(NAME), "description": nullable(string()), "parameters": anything}
_MCP: dict[str, Check] = {"server_label": Required(string()), "defer_loading": nullable(boolean)}
_MCP |= dict.fromkeys(("server_url", "connector_id", "tunnel_id"), string())
_MCP |= dict.fromkeys(("authorization", "server_description"), nullable(string()))
_MCP |= dict.fromkeys(("headers", "allowed_tools", "require_approval", "allowed_callers"), anything)
TOOLS: Check = array(tagged({"function": _FUNCTION, "mcp": _MCP}), 128)
_CHOSEN_MCP: dict[str, Check] = {"server_label": Required(string()), "name": nullable(string())}
_CHOSEN: Check = tagged({"function": {"name": Required(NAME)}, "mcp": _CHOSEN_MCP})
TOOL_CHOICE: Check = where(str, choice("none", "auto", "required"), _CHOSEN)

MAX_OUTPUT_TOKENS: Check = unless(integer(1, 4096), "inf")  # SDK docstring, unchanged for 2.x

VOICE: Check = where(dict, record(id=Required(string())), choice(*models.VOICES))  # the object is a custom voice


def MODALITIES(value: Any, path: str) -> Any:
    """Take ["audio"] or ["text"], never both (SDK docstring)."""
    if _of((list,), "an array of strings", value, path) not in (["audio"], ["text"]):
        message = f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        raise api_errors.ApiError(message, code="invalid_value", param=path)
    return value


_RETENTION_RATIO = {"retention_ratio": number(0, 1), "token_limits": nullable(record(post_instructions=integer(0)))}
_EFFORT = choice("minimal", "low", "medium", "high", "xhigh")
REASONING: Check = record(effort=_EFFORT)  # 2.x only; there is no "none" (SDK)

_ANSWERING: dict[str, Check] = {"create_response": boolean, "interrupt_response": boolean}
_WINDOW: dict[str, Check] = {"prefix_padding_ms": integer(0, 10_000), "silence_duration_ms": integer(0, 60_000)}
_SERVER_VAD: dict[str, Check] = {"threshold": number(0, 1), **_WINDOW}
_SEMANTIC_VAD: dict[str, Check] = {"eagerness": choice("low", "medium", "high", "auto")}

_TRANSCRIPTION = record(
    model=choice(*(known.name for known in models.load().values() if known.kind == "transcription")),
    **dict.fromkeys(("language", "prompt"), nullable(string())),
    **dict.fromkeys(("languages", "keywords"), nullable(array(string()))),
    delay=nullable(_EFFORT),
)
_NOISE_REDUCTION = nullable(record(type=choice("near_field", "far_field"), strength=number(0, 10)))
_INCLUDE = nullable(array(choice("item.input_audio_transcription.logprobs")))


def _input(server_vad: dict[str, Check], semantic_vad: dict[str, Check]) -> Check:
    return record(
        format=FORMAT,
        transcription=nullable(_TRANSCRIPTION),
        noise_reduction=_NOISE_REDUCTION,
        turn_detection=nullable(tagged({"server_vad": server_vad, "semantic_vad": semantic_vad}, default="server_vad")),
    )


_IDLE = {"idle_timeout_ms": nullable(integer(*_LIMITS.idle_timeout_ms))}
_ANSWERING_INPUT = _input({**_SERVER_VAD, **_IDLE, **_ANSWERING}, {**_SEMANTIC_VAD, **_ANSWERING})
_TRANSLATED_INPUT = record(transcription=nullable(record(model=Required(string()))), noise_reduction=_NOISE_REDUCTION)
# What `session.update` may bring, by the kind of session.
SESSIONS: dict[str, Check] = {
    "realtime": record(
        type=anything,
        model=string(),
        output_modalities=MODALITIES,
        instructions=string(),
        tools=TOOLS,
        tool_choice=TOOL_CHOICE,
        parallel_tool_calls=nullable(boolean),
        reasoning=nullable(REASONING),
        max_output_tokens=MAX_OUTPUT_TOKENS,
        tracing=unless(record(workflow_name=string(), group_id=string(), metadata=anything), None, "auto"),
        truncation=where(str, choice("auto", "disabled"), tagged({"retention_ratio": _RETENTION_RATIO})),
        prompt=nullable(record(id=string(), version=nullable(string()), variables=anything)),
        audio=record(input=_ANSWERING_INPUT, output=record(format=FORMAT, voice=VOICE, speed=number(*_LIMITS.speed))),
        include=_INCLUDE,
    ),
    "transcription": record(type=anything, audio=record(input=_input(_SERVER_VAD, _SEMANTIC_VAD)), include=_INCLUDE),
    "translation": record(audio=record(input=_TRANSLATED_INPUT, output=record(language=nullable(string())))),
}

# ---------------------------------------------------------------------- client events

# The limit is a multiple of 3, so its base64 has no padding.
APPEND_CHARACTERS = _LIMITS.append_bytes // 3 * 4


def _metadata(value: Any, path: str) -> Any:
    if len(mapping(value, path)) > (most := _LIMITS.metadata_pairs):
        raise api_errors.too_long(path, most, len(value), noun="object")
    for name, text in value.items():
        if len(name) > 64:
            raise api_errors.too_long(f"{path}.{name[:20]}", 64, len(name))
        string(512)(text, f"{path}.{name}")
    return value


_RESPONSE = record(
    audio=record(output=record(format=FORMAT, voice=VOICE)),
    conversation=nullable(choice("auto", "none")),
    input=nullable(array(anything)),
    instructions=nullable(string()),
    max_output_tokens=nullable(MAX_OUTPUT_TOKENS),
    metadata=nullable(_metadata),
    output_modalities=nullable(MODALITIES),
    parallel_tool_calls=nullable(boolean),
    prompt=anything,
    reasoning=nullable(REASONING),
    tool_choice=nullable(TOOL_CHOICE),
    tools=nullable(TOOLS),
)
_event = functools.partial(record, type=anything, event_id=nullable(string(512)))
_UPDATE = _event(session=Required(anything))
APPEND = _event(audio=Required(string(APPEND_CHARACTERS)))
_ITEM_ID = Required(string())
_NUMBER = Required(integer(0))
EVENTS: Mapping[str, Check] = {
    "session.update": _UPDATE,
    "input_audio_buffer.append": APPEND,
    **dict.fromkeys(("input_audio_buffer.commit", "input_audio_buffer.clear"), _event()),
    "conversation.item.create": _event(previous_item_id=nullable(string()), item=Required(anything)),
    "conversation.item.truncate": _event(item_id=_ITEM_ID, content_index=_NUMBER, audio_end_ms=_NUMBER),
    **dict.fromkeys(("conversation.item.delete", "conversation.item.retrieve"), _event(item_id=_ITEM_ID)),
    "response.create": _event(response=nullable(_RESPONSE)),
    "response.cancel": _event(response_id=nullable(string())),
}
TRANSLATION_EVENTS: Mapping[str, Check] = {
    "session.update": _UPDATE,
    "session.input_audio_buffer.append": APPEND,
    "session.close": _event(),
}
