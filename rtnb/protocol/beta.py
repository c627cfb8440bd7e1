"""Translate between the GA interface, which rtnb uses, and the Beta interface of 2024 and 2025."""

import contextlib
from collections.abc import Mapping
from typing import Any

from rtnb.protocol.event_types import BETA_CONTENT, BETA_FORMATS, GA_NAMES
from rtnb.protocol.frames import Event


def to_ga(event: Event) -> Event:
    """Return a server event under its GA name and in its GA form; one that has them already is returned unchanged."""
    name = GA_NAMES.get(event["type"])
    return _with_content({**event, "type": name}, BETA_CONTENT) if name else event


def to_beta(event: Event) -> Event:
    """Return a client event as a server of the Beta interface reads it; one in no form of the API's is unchanged."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):  # the server says what is wrong
        if event["type"] == "session.update":
            return {**event, "session": _flat(event["session"])}
        if event["type"] == "response.create" and "response" in event:
            return {**event, "response": _flat(event["response"])}
        if event["type"] == "conversation.item.create":
            return _with_content(event, {ga: beta for beta, ga in BETA_CONTENT.items()})
    return event


def _with_content(event: Event, names: Mapping[str, str]) -> Event:
    """Rename the content types of an assistant's item."""
    item = event.get("item")
    if not isinstance(item, dict) or item.get("role") != "assistant":
        return event
    content = [{**part, "type": names.get(part.get("type"), part.get("type"))} for part in item.get("content") or ()]
    return {**event, "item": {**item, "content": content}}


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a GA session or response object: audio settings moved one level down in GA, some were renamed."""
    flat = {k: v for k, v in settings.items() if k not in ("type", "audio", "output_modalities", "max_output_tokens")}
    if "output_modalities" in settings:
        flat["modalities"] = ["text", "audio"] if "audio" in settings["output_modalities"] else ["text"]
    if "max_output_tokens" in settings:
        flat["max_response_output_tokens"] = settings["max_output_tokens"]
    renamed = {"transcription": "input_audio_transcription", "noise_reduction": "input_audio_noise_reduction"}
    for side in ("input", "output"):
        fields: dict[str, Any] = dict((settings.get("audio") or {}).get(side) or {})
        if "format" in fields:
            flat[f"{side}_audio_format"] = BETA_FORMATS.get(fields.pop("format")["type"], "pcm16")
        flat |= {renamed.get(k, k): v for k, v in fields.items()}
    return flat
