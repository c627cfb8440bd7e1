"""Errors of opening and of the end, put into words: who is to blame, what happened, what to do.

Servers refuse in two ways: with an HTTP status instead of the upgrade (Azure, proxies), or, as OpenAI does today, by
accepting the socket and saying no inside it, with an `error` event and a close code (both recorded).
"""

import copy
from collections.abc import Mapping
from typing import Any

import websockets

from rtnb.errors import ConnectionFailed, KeyRefused, RtnbError, mask_secrets
from rtnb.texts.language import Said, joined, say, translate
from rtnb.texts.shortening import shortened, with_full_stop
from rtnb.transport.endpoint import Address
from rtnb.transport.route import proxies_for, proxy_for, route_to, target_of, why_closed

OPEN_TIMEOUT_SECONDS, PING_SECONDS = 15.0, 20.0

_KEPT = "What came until then is kept in .turns and .log of the session;"
_ANEW = "open a new session, or connect with reconnect=True to have that done for you."
_AGAIN = "ask again: the talk goes on in a new session."
# What a server did, by the code with which this side closes then (RFC 6455, 7.4.1).
_FOULS = {1007: "sent text that is no UTF-8", 1009: "sent a frame that is too large"}


def ended(code: int | None, reason: str, ours: bool = False, *, url: str, expired: bool = False) -> ConnectionFailed:
    """Make the error of an end that nobody asked for; a clean close by the server can still be the end of the hour.

    Args:
        code: The close code. None where there was none.
        reason: The server's words; "" for none.
        ours: Whether it was this side that closed, because of what the server did.
        url: The address.
        expired: Whether an `error` event said so beforehand.
    """
    words = "" if ours else Said(_said(reason).strip())
    if expired or (code == 1001 and "maximum duration" in reason):
        sentence = "The server ended the session: it reached its longest duration."
    elif code in (None, 1005, 1006):
        sentence = "The connection dropped without a word."
    elif ours and code == 1011:
        sentence = f"The network went silent: no answer to pings for {PING_SECONDS:g} s."
    elif ours:
        foul, why = _FOULS.get(code, "broke the WebSocket protocol"), f": {reason}" if reason else ""
        sentence = f"rtnb closed the connection, as the server {foul} (code {code}{why})."
    elif code == 1000:
        sentence = "The server hung up."
    else:
        sentence = f"The server closed the connection (code {code})."
    told = joined(*map(translate, (sentence, words, _KEPT, _ANEW)))
    return ConnectionFailed(told, code=code, reason=reason, url=url)


def of_reply(error: BaseException | None, reply: Any, remedy: str = _ANEW) -> BaseException | None:
    """Let an error that ended a reply, or a job of its own, carry it, with all that came.

    Args:
        error: The error. None where there is none.
        reply: What it ended.
        remedy: What to do where the connection is gone.
    """
    if isinstance(error, ConnectionFailed):  # one end of a connection ends many, and each has its own
        error = copy.copy(error)
        in_reply = translate("What came until then is kept in error.reply;")
        error.args = (str(error).replace(translate(_KEPT), in_reply).replace(translate(_ANEW), translate(remedy)),)
    if isinstance(error, RtnbError) and error.reply is None:
        error.reply = reply
    return error


def goes_on(error: ConnectionFailed) -> ConnectionFailed:
    """Make the same error for a turn that it ended, where a new session takes over: it has another remedy."""
    sentence = Said(str(error).replace(translate(_ANEW), translate(_AGAIN)))
    return ConnectionFailed(sentence, code=error.code, reason=error.reason, url=error.url)


def mute(silence: str, url: str) -> ConnectionFailed:
    """Make the error of a server that takes the connection and opens no session, from a sentence on its silence."""
    remedy = "Check that url= leads to a Realtime API, try again, or wait longer with timeout=."
    return ConnectionFailed(f"{silence.partition(',')[0]}, so no session came about. {remedy}", url=url)


SPEND_LIMIT = "Your project has reached its spend limit: raise it at platform.openai.com, or wait for the next month."


def at_handshake(refused: websockets.InvalidStatus, url: str) -> RtnbError:
    """Make the error of an HTTP status in place of the upgrade: `KeyRefused` for 401, else `ConnectionFailed`."""
    if 300 <= (status := refused.response.status_code) < 400:
        to = mask_secrets(" ".join(refused.response.headers.get_all("Location")))
        where = say("to {address}", address=shortened(to, 200)) if to else "and does not say where"
        sentence = (
            f"The server redirects (HTTP {status}) {where}. Your key goes to the address you gave alone: nothing was "
            "sent there. A sign-in page may answer in the server's place; if that address is right, give it as url=."
        )
        return ConnectionFailed(sentence, code=status, reason=to, url=url)
    said = mask_secrets(bytes(refused.response.body or b"").decode("utf-8", "replace").strip())[:300]
    words = _said(said)
    if status == 401:
        check = say("Check that it is whole, still valid and meant for this server.")
        return KeyRefused(say("Your key was refused (HTTP 401).{words} {check}", words=words, check=check), code="401")
    remedies = {
        403: "Your account or network may not use it: check the model's access, your country, and a proxy in between.",
        404: "There is no such deployment or path at this address: check url= and model=.",
        429: "You are calling too often: wait a little, or look at your limits.",
    }
    if "project_spend_limit_exceeded" in said:
        remedies[429] = SPEND_LIMIT
    if "call_id_not_found" in said:
        remedies[404] = "That call is over, or never was: join one while it lasts, with a standard key."
    remedy = remedies.get(status, "Check url=, or try again later.")
    refusal = "The server refused the connection (HTTP {status}).{words} {remedy}"
    sentence = say(refusal, status=status, words=words, remedy=say(remedy))
    return ConnectionFailed(sentence, code=status, reason=said, url=url)


def in_session(event: Mapping[str, Any], code: int | None, reason: str, url: str) -> RtnbError:
    """Make the error of a refusal after the upgrade: an `error`, and a close with 3000 or 4000 (recorded of OpenAI).

    Args:
        event: The `error` event.
        code: The close code. None where there was none.
        reason: The close reason; "" for none.
        url: The address.

    Returns:
        `KeyRefused` where it is about the key, `ConnectionFailed` otherwise.
    """
    error = event.get("error") or {}
    said, error_code = with_full_stop(error.get("message") or reason), error.get("code")
    if code == 3000 or error_code in ("invalid_api_key", "missing_api_key", "account_deactivated"):
        sentence = say("Your key was refused. The server said: {said} Check it and set a valid one.", said=said)
        return KeyRefused(sentence, code=error_code)
    of_model = "model" in str(error_code)
    remedy = "Choose another model: rtnb.prices() lists them." if of_model else "Change what it names."
    sentence = say("The server refused the session. It said: {said} {remedy}", said=said, remedy=say(remedy))
    return ConnectionFailed(sentence, code=code, reason=reason, url=url)


def unreachable(broken: BaseException, where: Address, seconds: float) -> ConnectionFailed:
    """Make the error of a failure below the protocol: names, certificates, refused or silent addresses, proxies.

    Args:
        broken: What was raised on the way.
        where: The server.
        seconds: How long it had to answer.
    """
    target = target_of(where.url)
    symptom, cause, remedy = why_closed(broken, route_to(target, proxy_for(target, proxies_for(target))))
    if isinstance(broken, TimeoutError) and symptom.endswith(ending := " does not answer"):
        symptom = f"{symptom.removesuffix(ending)} did not answer within {seconds:g} s"
    failed = f"The connection could not be opened: {symptom}. {cause} {remedy}"
    further = "rtnb.doctor() looks further, and practice=True works with no network."
    further = "rtnb.doctor() looks further." if "practice=True" in remedy else further
    return ConnectionFailed(f"{failed} {further}", reason=str(broken), url=where.url)


def _said(words: str) -> str:
    return " " + say("It said: {said}", said=with_full_stop(words)) if words else ""
