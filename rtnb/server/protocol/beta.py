"""Beta interface of 2024 and 2025: a session whose events are translated both ways.

The article this package grew out of was written against it: other event names, a flat session object, `modalities`
of text and audio together. OpenAI removed it on 12 May 2026 (OpenAI docs: deprecations).
"""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

from rtnb.protocol.event_types import BETA_CONTENT, BETA_FORMATS, BETA_NAMES
from rtnb.server.protocol import api_errors
from rtnb.server.protocol.effects import Effect, Send
from rtnb.server.protocol.realtime import RealtimeSession
from rtnb.server.protocol.settings import BETA_MODELS, filled_format
from rtnb.server.protocol.shapes import number

_NOT_IN_BETA = {"conversation.item.done", "input_audio_buffer.timeout_triggered"}
_FORMATS = {name: filled_format(format) for format, name in BETA_FORMATS.items()}
# Beta field → where GA has it. The Beta shows them in this order; GA has no temperature, so it is kept here.
_SESSION_FIELDS = {
    "modalities": "output_modalities",
    "instructions": "instructions",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "turn_detection": "audio.input.turn_detection",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "tool_choice": "tool_choice",
    "temperature": "temperature",
    "max_response_output_tokens": "max_output_tokens",
    "tools": "tools",
    "tracing": "tracing",
}
_SESSION_ALONE = ("audio.input.", "audio.output.speed", "temperature", "tracing")
# `response.create` has the output side only.
_RESPONSE_FIELDS = {name: name for name in ("conversation", "metadata", "input", "max_output_tokens")}
_RESPONSE_FIELDS |= {name: place for name, place in _SESSION_FIELDS.items() if not place.startswith(_SESSION_ALONE)}
# What a session of the Beta begins with in the two fields that GA does not have.
OWN: Mapping[str, Any] = {"modalities": ["text", "audio"], "temperature": 0.8}
_CONTENT_TO_BETA = {ga: beta for beta, ga in BETA_CONTENT.items()}


class BetaSession(RealtimeSession):
    """Realtime session that speaks the Beta interface. Arguments and methods as `RealtimeSession`'s."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self._own = {**OWN, "modalities": _beta_modalities(self.settings)}

    def open(self, now: float) -> list[Effect]:
        """Begin: the socket is open. Return session.created and the Beta's conversation.created."""
        created = super().open(now)
        conversation = {"id": self.conversation.id, "object": "realtime.conversation"}
        event = {"type": "conversation.created", "event_id": self.ids.new("event"), "conversation": conversation}
        return [*created, Send(now, event)]

    def take(self, now: float, act: Callable[..., None] | None = None, *args: Any) -> list[Effect]:
        """Let the timers act that are due, then an input; return the effects of both, translated."""
        return [
            Send(effect.at, self._event(effect.event)) if isinstance(effect, Send) else effect
            for effect in super().take(now, act, *args)
            if not (isinstance(effect, Send) and effect.event["type"] in _NOT_IN_BETA)
        ]

    # ------------------------------------------------------------------ client → GA

    def act(self, event: Any) -> None:
        """Act on a client event of the Beta interface.

        Raises:
            ApiError: For the first thing wrong in it.
        """
        type = event.get("type") if isinstance(event, dict) else None
        if type == "session.update" and isinstance(event.get("session"), dict):
            session, self._own = nested(event["session"], self._own)
            event = event | {"session": session}
        elif type == "response.create" and isinstance(event.get("response"), dict):
            response = dict(event["response"])
            _read_own(response, "response", self._own)
            if isinstance(response.get("input"), list):
                response["input"] = [_item_to_ga(item) for item in response["input"]]
            event = event | {"response": _moved(response, _RESPONSE_FIELDS, "response")}
        elif type == "conversation.item.create":
            event = event | {"item": _item_to_ga(event.get("item"))}
        super().act(event)

    # ------------------------------------------------------------------ GA → client

    def _event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        translations: dict[str, Callable[[Any], Any]] = {
            "type": lambda type: BETA_NAMES.get(type, type),
            "session": lambda session: flat(session, self._own),
            "item": _item_to_beta,
            "response": self._response,
            "error": lambda error: {**error, "param": _param_to_beta(error["param"])},
        }
        kept = {name: value for name, value in event.items() if name not in ("obfuscation", "name")}
        return {name: translations[name](value) if name in translations else value for name, value in kept.items()}

    def _response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        output = response["audio"]["output"]
        kept = ("object", "id", "status", "status_details", "conversation_id", "usage", "metadata")
        return {
            **{name: response[name] for name in kept},
            "usage": response["usage"] and _without_images(response["usage"]),
            "output": [_item_to_beta(item) for item in response["output"]],
            "modalities": _beta_modalities(response),
            "voice": output["voice"],
            "output_audio_format": BETA_FORMATS[output["format"]["type"]],
            "temperature": self._own["temperature"],
            "max_output_tokens": response["max_output_tokens"],
        }


def flat(session: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session object in the Beta's shape, with the two fields that GA does not have."""
    known = {**session, **own}
    fields = {name: functools.reduce(operator.getitem, at.split("."), known) for name, at in _SESSION_FIELDS.items()}
    vad = fields["turn_detection"]
    return {
        **{name: session[name] for name in ("id", "object", "expires_at", "model")},
        **fields,
        **own,
        "turn_detection": vad and {name: value for name, value in vad.items() if name != "idle_timeout_ms"},
        **{name: BETA_FORMATS[fields[name]["type"]] for name in ("input_audio_format", "output_audio_format")},
    }


def _beta_modalities(settings: Mapping[str, Any]) -> list[str]:
    return ["text"] if settings["output_modalities"] == ["text"] else ["text", "audio"]


def nested(session: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a client's Beta session fields as a GA session.

    Args:
        session: The fields.
        own: The two fields that GA does not have, until now.

    Returns:
        The session, and those two fields.

    Raises:
        ApiError: For a field the Beta did not have, or a value it did not take.
    """
    fields = dict(session)
    own = _read_own(fields, "session", own)
    model = fields.pop("model", None)  # OpenAI's own examples of the time name it in session.update too
    if model is not None and str(model) not in BETA_MODELS:
        raise api_errors.invalid_value(model, BETA_MODELS, "session.model")
    return {"type": "realtime", **_moved(fields, _SESSION_FIELDS, "session")}, own


def _without_images(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return usage without pictures, which the Beta could not take."""
    kept = {name: count for name, count in usage.items() if name != "image_tokens"}
    return {name: _without_images(count) if isinstance(count, dict) else count for name, count in kept.items()}


def _read_own(fields: dict[str, Any], where: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Check the two fields that GA does not have, and take the temperature out: GA's modalities follow the Beta's."""
    temperature = fields.pop("temperature", own["temperature"])
    temperature = OWN["temperature"] if temperature is None else number(0.6, 1.2)(temperature, "session.temperature")
    wanted = own["modalities"] if fields.get("modalities") is None else fields["modalities"]
    if not isinstance(wanted, list) or sorted(map(str, wanted)) not in (["audio", "text"], ["text"]):
        message = f"Invalid modalities: {wanted}. Supported combinations are: ['text'] and ['audio', 'text']."
        raise api_errors.ApiError(message, code="invalid_value", param=f"{where}.modalities")
    return {"modalities": list(wanted), "temperature": float(temperature)}


def _moved(fields: Mapping[str, Any], places: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the Beta's flat fields in GA's places."""
    moved: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in places:
            raise api_errors.unknown(f"{where}.{name}")
        if value is None and name in ("voice", "modalities"):
            continue
        if name == "modalities":
            value = ["audio"] if "audio" in value else ["text"]
        if name.endswith("_audio_format") and isinstance(value, str):
            if value not in _FORMATS:
                raise api_errors.invalid_value(value, _FORMATS, f"{where}.{name}")
            value = _FORMATS[value]
        *parents, last = places[name].split(".")
        inner = moved
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return moved


def _item_to_ga(item: Any) -> Any:
    if isinstance(item, dict) and item.get("role") == "assistant" and isinstance(item.get("content"), list):
        return item | {"content": [_renamed(part, BETA_CONTENT) for part in item["content"]]}
    return item


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    return part | {"type": names.get(str(part.get("type")), part.get("type"))} if isinstance(part, dict) else part


def _item_to_beta(item: Mapping[str, Any]) -> dict[str, Any]:
    translated = {"id": item["id"], "object": "realtime.item", **item}
    translated.pop("phase", None)
    if "content" in translated:
        translated["content"] = [_renamed(part, _CONTENT_TO_BETA) for part in translated["content"]]
    return translated


def _param_to_beta(param: str | None) -> str | None:
    where, _, rest = (param or "").partition(".")
    for old, new in {**_RESPONSE_FIELDS, **_SESSION_FIELDS}.items():
        if rest == new or rest.startswith(new + "."):
            return f"{where}.{old}{rest[len(new) :]}"
    return param
