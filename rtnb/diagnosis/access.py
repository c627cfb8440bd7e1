"""Check the key, the model it opens, that model's end, and what is going to be paid."""

import contextlib
import re
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial

from rtnb import keys, models, money
from rtnb.diagnosis.report import Finding, State, one_line
from rtnb.errors import ConnectionFailed, InputError, KeyMissing, KeyRefused, RtnbError, RtnbWarning, ServerError
from rtnb.texts.language import say, translate

_error = partial(Finding, "model", "error")


def check_key(find: Callable[[], keys.Key | None]) -> tuple[keys.Key | None, list[Finding]]:
    """Check that there is a key, and where; never what it is.

    Args:
        find: Returns the key, or None, or raises `KeyMissing`, or `InputError` for one that cannot be a key.

    Returns:
        The key, or None, and what was found.
    """
    try:
        key = find()
    except KeyMissing as error:
        if error.obstacle:
            cause = "The practice server answers instead."
            return None, [Finding("key", "warning", f"none read: {error.obstacle}", cause, error.remedy)]
        key = None
    except InputError as error:
        first, last, *_ = [*re.split(r"\. |。", str(error), maxsplit=1), ""]
        return None, [Finding("key", "error", first, "", last or "Copy it again.")]
    if key is None:
        cause = "Looked in Colab's secrets, the environment and .env; the practice server answers instead."
        remedy = "For OpenAI set OPENAI_API_KEY; rtnb.find_key() tells where it looked."
        return None, [Finding("key", "note", "none found", cause, remedy)]
    if key.kind == "ephemeral":
        symptom = f"an ephemeral one, from {key.source}"
        return key, [Finding("key", "note", symptom, "It lives for minutes, two hours at most.")]
    return key, [Finding("key", "ok", say("from {source}", source=translate(key.source)))]


def open_session(model: str, url: str | None, key: keys.Key | None, timeout: float) -> None:
    """Open a session and close it again: no turn, no cost."""
    from rtnb import opening

    # The model's end is a finding of its own.
    with warnings.catch_warnings(action="ignore", category=RtnbWarning):
        opened = opening.connect(model=model, url=url, key=key)
    with contextlib.closing(opened):
        opened.wait(timeout)


def check_access(open_session: Callable[[], None], model: str, kind: models.Provider) -> list[Finding]:
    """Check that the server lets this key use the model.

    Args:
        open_session: Opens a session and closes it, or raises what `Session.wait` raises.
        model: The model's name.
        kind: The server's kind.
    """
    try:
        open_session()
    except KeyRefused as error:
        symptom = f"refused by {kind.title}" + (f" ({error.code})" if error.code else "")
        remedy = "Check that it belongs to this server."
        if kind.listed:
            remedy = "Make a new key at https://platform.openai.com/api-keys."
        untried = Finding("model", "unknown", f"{model} not tried: the key was refused")
        return [Finding("key", "error", symptom, one_line(str(error)), remedy), untried]
    except (ConnectionFailed, ServerError) as error:
        if isinstance(error, ConnectionFailed) and error.code is None:  # it is not the model's fault
            return [_error(f"{model} not tried: no session came about", one_line(str(error)))]
        symptom = f"{model} cannot be used ({getattr(error, 'code', None) or type(error).__name__})"
        remedy = "Choose another with model=; rtnb.prices() lists them. An account without credit cannot use any."
        return [_error(symptom, one_line(str(error)), remedy)]
    except TimeoutError:
        symptom, cause = f"{model}: the server opens no session in time", "The network is slow, or the server is."
        return [_error(symptom, cause, "Try again; then look at https://status.openai.com.")]
    except RtnbError as error:
        return [_error(f"{model} cannot be used", one_line(str(error)), "Read the cause.")]
    return [Finding("model", "ok", f"{model} opens a session at {kind.title}")]


def check_shutdown(model: str, today: date) -> list[Finding]:
    """Check that the model's end is neither near nor past.

    Args:
        model: The model's name.
        today: The day to judge from.
    """
    if (notice := models.shutdown_notice(model, today)) is None:
        return []
    what, _, remedy = notice.partition(" Use ")
    state: State = "error" if models.get(model).is_gone(today) else "warning"
    return [Finding("model", state, what.rstrip("."), "", f"Use {remedy}" if remedy else "Choose another model.")]


def check_price(talk: money.Estimate, learners: int = 1) -> list[Finding]:
    """Estimate what the lesson ahead will cost.

    Args:
        talk: What is planned.
        learners: How many people will do it, at least 1.
    """
    low, high = talk.low.usd, talk.high.usd
    if low is None or high is None:
        symptom = f"no price is known of {talk.model}"
        return [Finding("price", "unknown", symptom, "", "Look at the server's own prices.")]
    symptom = f"{talk.turns} turns on {talk.model}: {money.money(low)} to {money.money(high)}"
    if learners > 1:
        symptom += f"; for {learners} people {money.money(low * learners)} to {money.money(high * learners)}"
    return [Finding("price", "note", symptom, "", "Set a limit with budget=0.25.")]


def check_facts(today: date) -> list[Finding]:
    """Check how old the facts of models and prices are that this version of rtnb has.

    Args:
        today: The day to judge from.
    """
    notice = models.stale_notice(today)
    return [Finding("facts", "warning" if notice else "note", models.age(today), "", notice or "")]
