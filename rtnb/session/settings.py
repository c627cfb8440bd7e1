"""Arguments of `connect` and `ask`, written as the API's session and response objects."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from rtnb import models
from rtnb.audio import pcm
from rtnb.errors import InputError
from rtnb.models import Provider
from rtnb.protocol import frames
from rtnb.session.tools import Toolbox

_Modalities = str | Sequence[str] | None


def of_session(options: Mapping[str, Any], tools: Toolbox, provider: Provider) -> dict[str, Any]:
    """Write the arguments of `connect` as the API's session object.

    Args:
        options: The arguments by name; of their `tools`, `tools` is taken.
        tools: The functions the model may call.
        provider: The kind of server that it is for.

    Raises:
        InputError: If one of them is not what the API takes.
    """
    voice, speed, turn_detection = options["voice"], options["speed"], options["turn_detection"]
    check_voice(voice, provider)
    modalities = modality(options["modalities"])
    if turn_detection is None and not provider.commit:
        turn_detection = "server_vad"  # nobody can end a turn by hand there
    if speed is not None and not 0.25 <= speed <= 1.5:
        raise InputError(f"Your speed={speed!r} is out of range. Give a number from 0.25 to 1.5.", speed=speed)
    if isinstance(turn_detection, str):
        if turn_detection not in ("server_vad", "semantic_vad"):
            wrong = f"Your turn_detection={turn_detection!r} is not one the API knows."
            remedy = "Give 'server_vad', 'semantic_vad', the API's own object as a dict, or None to end turns yourself."
            raise InputError(f"{wrong} {remedy}", turn_detection=turn_detection)
        turn_detection = {"type": turn_detection}
    pcm16 = {"type": "audio/pcm", "rate": pcm.RATE_HZ}
    heard: dict[str, Any] = {"format": pcm16, "turn_detection": turn_detection}
    if transcription := options["transcription"]:
        heard["transcription"] = of_transcription(transcription)
    of_voice = {"id": voice} if voice is not None and voice.startswith("voice_") else voice
    settings = _given(
        type="realtime",
        audio={"input": heard, "output": _given(format=pcm16, voice=of_voice, speed=speed)},
        output_modalities=[modalities] if modalities else None,
        instructions=options["instructions"],
        tools=tools.definitions() or None,
    )
    merged = merge(settings, frames.plain(options["session"] or {}, "session"))
    for side in ("input", "output"):
        form = ((merged["audio"] or {}).get(side) or {}).get("format")
        if (kind := form.get("type", "audio/pcm") if isinstance(form, Mapping) else form) != "audio/pcm":
            asks = f"Your session asks for {kind} as {side} format; rtnb speaks audio/pcm at 24 kHz only."
            raise InputError(f"{asks} Leave the format out.")
    return merged


def of_transcription(given: bool | str | Mapping[str, Any]) -> dict[str, Any]:
    """Write `transcription` as the API's object; True is the model that writes after each turn, at the least cost."""
    model = models.CAPTIONS if given is True else given
    return dict(model) if isinstance(model, Mapping) else {"model": model}


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def output_modalities(given: str | Sequence[str]) -> list[str]:
    """Write `modalities` in the API's form, a list of one; what is a list already stays."""
    return list(given) if isinstance(given, list | tuple) else [str(given)]


def modality(given: _Modalities) -> str | None:
    """Return the one modality that was asked for, as a word or in the API's form. None for none.

    Raises:
        InputError: If it is not one, or several.
    """
    names = None if given is None else output_modalities(given)
    if names not in (None, ["audio"], ["text"]):
        wrong = f"Your modalities={given!r} is not one the API takes. Give 'audio' (with transcript) or 'text'."
        raise InputError(wrong, modalities=given)
    return names[0] if names else None


def check_voice(voice: Any, provider: Provider) -> None:
    """Refuse what is nearly the name of a voice; other names may be voices that the server has and we do not know.

    Raises:
        InputError: It is misspelt, and the server is one whose voices are known.
    """
    if not isinstance(voice, str) or voice in models.VOICES or not (provider.listed or provider.built_in):
        return
    if near := difflib.get_close_matches(voice.lower(), models.VOICES, 1, 0.75):
        raise InputError(f"Your voice={voice!r} is none there is. Did you mean {near[0]!r}?")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one object over another, dicts inside included."""
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def of_response(
    instructions: str | None, modalities: _Modalities, voice: str | None, extra: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Write the arguments of `ask` as the `response` of the API's `response.create`."""
    of_voice = None if voice is None else {"output": {"voice": voice}}
    wanted = None if modalities is None else [modality(modalities)]
    return {**_given(instructions=instructions, output_modalities=wanted, audio=of_voice), **(extra or {})}
