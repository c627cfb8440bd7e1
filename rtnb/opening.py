"""The other end: who answers. OpenAI, another server, the practice server on this computer, or a saved session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtnb import keys, models
from rtnb.texts.language import say
from rtnb.transport import endpoint as addresses

__all__ = ["find_server", "say_no_key"]


def find_server(
    model: str | None,
    *,
    key: str | keys.Key | None = None,
    url: str | None = None,
    provider: str | None = None,
    practice: bool = False,
    replay: str | Path | None = None,
    replay_speed: float = 1.0,
    door: str = "",
) -> addresses.Address:
    """Decide who answers. With a key it is never silently the practice server.

    Args:
        model: The model to ask for in the address. None where the address names none.
        key: As in `connect`, and so the next five.
        url: Another server.
        provider: Its kind.
        practice: Whether it is the practice server.
        replay: A saved session.
        replay_speed: How fast it is played back.
        door: What stands behind `/v1/realtime` for other kinds of session: `"?intent=transcription"` or
            `"/translations"`.

    Raises:
        InputError: If the address is none.
        KeyMissing: If a key is needed and none is found.
        ReplayError: If the saved session cannot be read.
    """
    key = keys.hold(key)
    if replay is not None:
        from rtnb.recording import recording

        local = recording.serve(replay, replay_speed) + door
        return addresses.resolve(local, model, source="replay", provider="practice")
    if practice:
        local = _practice_url() + door
        return addresses.resolve(local, model, key="practice", source="practice", provider="practice")
    if url is not None and url != "":
        url = addresses.parse(url).geturl()
        kind = models.provider(provider) if provider else models.provider_of(url)
        # OpenAI's key is for OpenAI: an address nobody knows gets a key only where one was given for it.
        found = keys.lookup(key, provider=kind.name) if kind.name != "other" or key is not None else None
        if found is None and kind.needs_key:
            found = keys.find_key(provider=kind.name)  # raises, telling where it looked
        where = addresses.resolve(url, model, key=found.reveal if found else "", provider=kind.name)
        if found is None and where.local:
            # Servers on this computer need no key, and some want to see any word in its place.
            return addresses.resolve(url, model, key="none", provider=kind.name)
        return where
    found = keys.lookup(key)
    if found is None:
        say_no_key()
        return find_server(model, practice=True, door=door)
    return addresses.resolve(addresses.OPENAI + door, model, key=found.reveal, provider=provider)


_NO_KEY = (
    "No API key found, so rtnb's practice server answers: a local stand-in by rules, no language model, no cost. "
    "For OpenAI set the secret or variable OPENAI_API_KEY."
)
_no_key_said = False


def say_no_key() -> None:
    """Say that no key was found and who answers instead; once a kernel, for each reply says its source."""
    global _no_key_said
    if not _no_key_said:
        print(say(_NO_KEY))
    _no_key_said = True


_practice: Any = None


def _practice_url() -> str:
    """Start the one practice server of this process, on the first call."""
    global _practice
    if _practice is None:
        # The two ends know nothing of each other but the address: imported here and nowhere else.
        from rtnb.server import server

        _practice = server.start()
    return _practice.url
