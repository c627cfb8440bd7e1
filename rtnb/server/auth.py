"""Keys: which one a request carries, whether it is right, and the ephemeral `ek_` secrets that stand for one."""

import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from rtnb.server.protocol.api_errors import ApiError

_KEY_PROTOCOL = "openai-insecure-api-key."


class Rejected(ApiError):
    """Refusal of a client: the socket opens, says why not, and closes with a code and a reason.

    Attributes:
        close_code: The code.
    """

    close_code = 4000

    @property
    def reason(self) -> str:
        """`error.type`, a dot and `error.code` where there is one (recorded)."""
        return ".".join(filter(None, [self.type, self.code]))


class KeyRejected(Rejected):
    """Refusal of a client without the right key."""

    close_code = 3000


def bearer(headers: Mapping[str, str], protocols: Iterable[str] = ()) -> str:
    """Return the key a request carries: a bearer header, Azure's `api-key`, or a browser's subprotocol; "" for none."""
    kind, _, key = headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() in ("bearer", "basic") and key.strip():
        return key.strip()
    if headers.get("api-key"):
        return headers["api-key"].strip()
    return next((name.removeprefix(_KEY_PROTOCOL) for name in protocols if name.startswith(_KEY_PROTOCOL)), "")


class Auth:
    """Keys that one server takes: its own, and the ephemeral secrets it has issued.

    Args:
        key: The server's own key; None takes any.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._issued: dict[str, tuple[float, dict[str, Any]]] = {}

    def issue(self, session: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Make an `ek_` secret that opens a session with these settings for so long; return it as the API shows it."""
        value, expires_at = "ek_" + secrets.token_hex(16), int(time.time() + seconds)
        self._issued[value] = (expires_at, session)
        if len(self._issued) > 10_000:
            del self._issued[next(iter(self._issued))]
        return {"value": value, "expires_at": expires_at}

    def check(self, key: str, *, refuse_all: bool = False) -> dict[str, Any] | None:
        """Check a key.

        Args:
            key: What `bearer` found.
            refuse_all: Whether every key but an ephemeral secret is wrong (the fault `invalid_key`).

        Returns:
            The settings of an `ek_` secret; None for an ordinary key.

        Raises:
            KeyRejected: There is no key, or it is not the right one.
        """
        if not key:
            raise KeyRejected("Missing bearer or basic authentication in header")
        wanted = "" if refuse_all else self._key
        expires_at, session = self._issued.get(key, (0.0, {}))
        if expires_at > time.time():
            return session
        right = hmac.compare_digest(key.encode(), wanted.encode()) if wanted is not None else not key.startswith("ek_")
        if not right:
            message = f"Incorrect API key provided: {_masked(key)}. "
            message += "You can find your API key at https://platform.openai.com/account/api-keys."
            raise KeyRejected(message, code="invalid_api_key")
        return None


def _masked(key: str) -> str:
    """Mask a key as the server does when it quotes it (recorded: a few characters, stars, the last four)."""
    return key if len(key) <= 8 else f"{key[:4]}{'*' * min(len(key) - 8, 20)}{key[-4:]}"
