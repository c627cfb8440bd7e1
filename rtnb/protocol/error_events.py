"""Read `error` events as the exceptions they mean.

Also the refusal that both servers of this package write: a commit of too little audio.
"""

from collections.abc import Mapping
from typing import Any

from rtnb import models
from rtnb.errors import ReplayError, RtnbError, ServerError
from rtnb.texts.language import say, translate
from rtnb.texts.shortening import with_full_stop

NOT_RECORDED = "not_recorded"
"""Error code with which a replay says that its recording does not hold what was asked."""
COMMIT_EMPTY = "input_audio_buffer_commit_empty"  # the error code of that refusal


def commit_refusal(buffered_ms: float) -> str | None:
    """Return the sentence that refuses a commit of so much audio (recorded wording); None where it is enough."""
    if buffered_ms >= (least := models.limits().commit_ms):
        return None
    expected = f"Expected at least {least}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio."
    return f"Error committing input audio buffer: buffer too small. {expected}"


def reason_in(error: Mapping[str, Any]) -> str:
    """Return what the `error` of an event says, without its code."""
    return error.get("message") or error.get("code") or "no reason given"


def error_from(event: Mapping[str, Any], doing: str) -> RtnbError:
    """Turn an `error` event into the exception it means.

    Args:
        event: The event, its `error` as the API writes it.
        doing: What the server was asked to do, for the sentence "The server refused …".

    Returns:
        A `ReplayError` for what a recording does not hold, else a `ServerError`; to be raised by the caller.
    """
    error = event["error"]
    code, text = error.get("code"), error.get("message") or say("no reason given.")
    if code == NOT_RECORDED:
        return ReplayError(text, code=code, event=dict(event))
    field = error.get("param")
    what = say("{doing} (field {field})", doing=translate(doing), field=field) if field else translate(doing)
    said = with_full_stop(text) + (f" [{code}]" if code else "")
    text = f"The server refused {what}: {said} Nothing of it was applied. Change what it names and send it again."
    return ServerError(text, type=error.get("type") or "", code=code, param=error.get("param"), event=dict(event))
