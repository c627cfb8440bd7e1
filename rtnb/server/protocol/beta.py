"""The Beta interface of 2024 and 2025, spoken by translating both ways at the border of the state machine.

The article this package grew out of was written against it: other event names, a flat session object, `modalities`
of text and audio together. OpenAI removed it on 12 May 2026 (OpenAI docs: deprecations).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtnb.protocol.event_types import BETA_CONTENT, BETA_FORMATS, BETA_NAMES
from rtnb.server.protocol import api_errors
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.effects import Output, Send
from rtnb.server.protocol.script import Script, event_id_of, read_frame
from rtnb.server.protocol.settings import BETA_MODELS

__all__ = ["BetaScript", "flat", "nested"]

_NOT_IN_BETA = {"conversation.item.done", "input_audio_buffer.timeout_triggered"}
_FORMATS = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
# Beta field → where GA has it, for session.update; response.create has the output side only.
_SESSION_FIELDS = {
    "modalities": "output_modalities",
    "instructions": "instructions",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "tracing": "tracing",
    "max_response_output_tokens": "max_output_tokens",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "output_audio_format": "audio.output.format",
    "input_audio_format": "audio.input.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
}
_RESPONSE_FIELDS = {
    "modalities": "output_modalities",
    "instructions": "instructions",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "conversation": "conversation",
    "metadata": "metadata",
    "input": "input",
    "max_output_tokens": "max_output_tokens",
    "max_response_output_tokens": "max_output_tokens",
    "voice": "audio.output.voice",
    "output_audio_format": "audio.output.format",
}
_CONTENT_TO_BETA = {new: old for old, new in BETA_CONTENT.items()}


class BetaScript:
    """A state machine that is spoken to in the Beta interface.

    Args:
        script: The session itself.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._temperature = 0.8
        self._modalities = ["text"] if script.session["output_modalities"] == ["text"] else ["text", "audio"]

    @property
    def session(self) -> dict[str, Any]:
        """The session object, in its GA form."""
        return self._script.session

    @property
    def due(self) -> float | None:
        """When `advance` must be called next."""
        return self._script.due

    def open(self, now: float) -> list[Output]:
        """The socket is open: session.created, then the Beta's conversation.created."""
        first = self._outward(self._script.open(now))
        conversation = {"id": self._script.conversation_id, "object": "realtime.conversation"}
        event = {"type": "conversation.created", "event_id": self._script.ids.new("event")}
        return [*first, Send(now, event | {"conversation": conversation})]

    def receive(self, frame: str | bytes, now: float) -> list[Output]:
        """A frame came from the client."""
        event = None
        try:
            event = read_frame(frame)
            event = self._inward(event)
        except ApiError as problem:
            return self._outward(self._script.refuse(problem, event_id_of(event), now))
        return self._outward(self._script.handle(event, now))

    def __getattr__(self, name: str) -> Any:
        # advance, detected, heard, partly_heard, thought, spoke: the same, their outputs translated.
        method = getattr(self._script, name)
        return lambda *args: self._outward(method(*args))

    # ------------------------------------------------------------------ client → GA

    def _inward(self, event: Any) -> Any:
        if not isinstance(event, dict):
            return event
        kind = event.get("type")
        if kind == "session.update" and isinstance(event.get("session"), dict):
            session, self._modalities, self._temperature = nested(event["session"], self._modalities, self._temperature)
            return event | {"session": session}
        if kind == "response.create" and isinstance(event.get("response"), dict):
            response = dict(event["response"])
            _temperature(response.pop("temperature", self._temperature))
            _modalities(response, "response", self._modalities)
            if isinstance(response.get("input"), list):
                response["input"] = [_item_to_ga(item) for item in response["input"]]
            return event | {"response": _moved(response, _RESPONSE_FIELDS, "response")}
        if kind == "conversation.item.create":
            return event | {"item": _item_to_ga(event.get("item"))}
        return event

    # ------------------------------------------------------------------ GA → client

    def _outward(self, outputs: list[Output]) -> list[Output]:
        translated: list[Output] = []
        for output in outputs:
            if not isinstance(output, Send):
                translated.append(output)
            elif output.event["type"] not in _NOT_IN_BETA:
                translated.append(Send(output.at, self._event(output.event)))
        return translated

    def _event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        told = {**event, "type": BETA_NAMES.get(event["type"], event["type"])}
        told.pop("obfuscation", None)
        if told["type"] == "response.function_call_arguments.done":
            told.pop("name", None)
        if "session" in told:
            told["session"] = flat(told["session"], self._modalities, self._temperature)
        if "item" in told:
            told["item"] = _item_to_beta(told["item"])
        if "response" in told:
            told["response"] = self._response(told["response"])
        if told["type"] == "error":
            told["error"] = {**told["error"], "param": _param_to_beta(told["error"]["param"])}
        return told

    def _response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        spoken = response["audio"]["output"]
        kept = {
            name: response[name]
            for name in ("object", "id", "status", "status_details", "conversation_id", "usage", "metadata")
        }
        return {
            **kept,
            "usage": _usage_to_beta(response["usage"]),
            "output": [_item_to_beta(item) for item in response["output"]],
            "modalities": ["text"] if response["output_modalities"] == ["text"] else ["text", "audio"],
            "voice": spoken["voice"],
            "output_audio_format": BETA_FORMATS[spoken["format"]["type"]],
            "temperature": self._temperature,
            "max_output_tokens": response["max_output_tokens"],
        }


def flat(session: Mapping[str, Any], modalities: list[str], temperature: float) -> dict[str, Any]:
    """A session object in the Beta's shape, with the two fields that GA does not have."""
    heard, spoken = session["audio"]["input"], session["audio"]["output"]
    vad = heard["turn_detection"]
    return {
        "id": session["id"],
        "object": "realtime.session",
        "expires_at": session["expires_at"],
        "model": session["model"],
        "modalities": modalities,
        "instructions": session["instructions"],
        "voice": spoken["voice"],
        "speed": spoken["speed"],
        "turn_detection": vad and {name: value for name, value in vad.items() if name != "idle_timeout_ms"},
        "input_audio_format": BETA_FORMATS[heard["format"]["type"]],
        "output_audio_format": BETA_FORMATS[spoken["format"]["type"]],
        "input_audio_transcription": heard["transcription"],
        "input_audio_noise_reduction": heard["noise_reduction"],
        "tool_choice": session["tool_choice"],
        "temperature": temperature,
        "max_response_output_tokens": session["max_output_tokens"],
        "tools": session["tools"],
        "tracing": session["tracing"],
    }


def nested(
    session: Mapping[str, Any], modalities: list[str], temperature: float
) -> tuple[dict[str, Any], list[str], float]:
    """A client's Beta session fields as a GA session.

    Args:
        session: The fields.
        modalities: The modalities until now.
        temperature: The temperature until now.

    Returns:
        The session, and the two fields that GA does not have.

    Raises:
        Problem: For a field the Beta did not have, or a value it did not take.
    """
    fields = dict(session)
    temperature = _temperature(fields.pop("temperature", temperature))
    modalities = _modalities(fields, "session", modalities)
    model = fields.pop("model", None)  # OpenAI's own examples of the time name it in session.update too
    if model is not None and model not in BETA_MODELS:
        raise api_errors.invalid_value(model, BETA_MODELS, "session.model")
    return {"type": "realtime", **_moved(fields, _SESSION_FIELDS, "session")}, modalities, temperature


def _usage_to_beta(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Usage without pictures, which the Beta could not take."""
    if usage is None:
        return None
    read = {name: value for name, value in usage["input_token_details"].items() if name != "image_tokens"}
    cached = read.get("cached_tokens_details")
    if isinstance(cached, Mapping):
        read["cached_tokens_details"] = {name: value for name, value in cached.items() if name != "image_tokens"}
    return {**usage, "input_token_details": read}


def _temperature(value: Any) -> float:
    if value is None:
        return 0.8
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise api_errors.wrong_type("session.temperature", "a decimal number", value)
    if value < 0.6:
        raise api_errors.below_minimum("session.temperature", 0.6, value, noun="decimal")
    if value > 1.2:
        raise api_errors.above_maximum("session.temperature", 1.2, value, noun="decimal")
    return float(value)


def _modalities(fields: Mapping[str, Any], where: str, now: list[str]) -> list[str]:
    wanted = fields.get("modalities")
    if wanted is None:
        return now
    if not isinstance(wanted, list) or sorted(map(str, wanted)) not in (["audio", "text"], ["text"]):
        message = f"Invalid modalities: {wanted}. Supported combinations are: ['text'] and ['audio', 'text']."
        raise ApiError(message, code="invalid_value", param=f"{where}.modalities")
    return list(wanted)


def _moved(fields: Mapping[str, Any], places: Mapping[str, str], where: str) -> dict[str, Any]:
    """Beta's flat fields in GA's places."""
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
    if not isinstance(item, dict) or item.get("role") != "assistant" or not isinstance(item.get("content"), list):
        return item
    return item | {"content": [_renamed(part, BETA_CONTENT) for part in item["content"]]}


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(part, dict):
        return part
    return part | {"type": names.get(str(part.get("type")), part.get("type"))}


def _item_to_beta(item: Mapping[str, Any]) -> dict[str, Any]:
    told = {"id": item["id"], "object": "realtime.item", **item}
    told.pop("phase", None)
    if "content" in told:
        told["content"] = [_renamed(part, _CONTENT_TO_BETA) for part in told["content"]]
    return told


def _param_to_beta(param: str | None) -> str | None:
    if param is None:
        return None
    where, _, rest = param.partition(".")
    for old, new in {**_RESPONSE_FIELDS, **_SESSION_FIELDS}.items():
        if rest == new or rest.startswith(new + "."):
            return f"{where}.{old}{rest[len(new) :]}"
    return param
