"""Models, voices, prices and limits as data, read from `models.toml` beside this file.

Nothing here connects to a server. Every fact has its date and its source in the data file. A name that is not there is
not an error: servers may serve any model under any name.
"""

import re
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rtnb.errors import InputError, RtnbWarning
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import language, say

__all__ = ["CAPTIONS", "DEFAULT", "STALE_DAYS", "VOICES", "WARN_DAYS", "Limits", "Model", "Prices", "Rate"]
__all__ += ["age", "get", "known_on", "limits", "load", "price", "read"]
__all__ += ["shutdown_notice", "stale_notice", "warn_shutdown"]

WARN_DAYS = 90
"""How many days before its shutdown a model begins to warn."""

STALE_DAYS = 60
"""How many days after they were checked the facts are called old. OpenAI changed prices or models about every second
month in 2026."""


@checks_call
@dataclass(frozen=True)
class Rate:
    """US dollars per million tokens of one modality.

    Attributes:
        input: Input tokens. None where the modality cannot be sent, or the price is not known.
        cached: Input tokens the server had cached. None where there is no discount: they cost as input.
        output: Output tokens. None where the model does not produce the modality.
    """

    input: float | None = None
    cached: float | None = None
    output: float | None = None

    def __post_init__(self) -> None:
        if not all(usd is None or 0 <= usd < 1e9 for usd in vars(self).values()):
            raise InputError("Your price is no amount of money. Give US dollars of 0 or more: text=(0.60, 0.06, 2.40).")


@dataclass(frozen=True)
class Prices:
    """Prices of a model from a day on.

    Attributes:
        since: First day of these prices.
        text: US dollars per million text tokens.
        audio: US dollars per million audio tokens.
        image: US dollars per million image tokens.
        per_minute_usd: US dollars per minute of audio, for models billed by time. None: by tokens.
        standby_per_minute_usd: US dollars per minute in which a session waits for speech. None where there is no
            such price.
        source: Where the prices were read.
    """

    since: date
    text: Rate = Rate()
    audio: Rate = Rate()
    image: Rate = Rate()
    per_minute_usd: float | None = None
    standby_per_minute_usd: float | None = None
    source: str = ""

    @property
    def audio_in_per_minute_usd(self) -> float | None:
        """US dollars for a minute of speech sent (600 tokens), cached nowhere. None where unknown."""
        if self.per_minute_usd is not None or self.audio.input is None:
            return self.per_minute_usd
        return self.audio.input * limits().audio_in_tokens_per_minute / 1e6

    @property
    def audio_out_per_minute_usd(self) -> float | None:
        """US dollars for a minute of speech received (1,200 tokens). None where unknown or not spoken."""
        rate = self.audio.output
        return None if rate is None else rate * limits().audio_out_tokens_per_minute / 1e6


@dataclass(frozen=True)
class Model:
    """Facts about one model, as far as they are known.

    Attributes:
        name: The name to give as `model=`.
        kind: `"realtime"`, `"transcription"`, `"translation"`, `"other"` (not served here) or `"unknown"`.
        status: `"current"`, `"superseded"`, `"deprecated"`, `"gone"` or `"unknown"`, as of `known_on()`.
        context_tokens: Size of the context window. None where unknown.
        max_output_tokens: Longest answer. None where unknown.
        reasoning: Whether it reasons before it answers (`session.reasoning`). None where unknown.
        voice: The voice it speaks with when none is asked for. None where unknown.
        silence_duration_ms: Silence after which its server turn detection ends a turn. None where unknown.
        images: Whether it takes images. None where unknown.
        speakers: Whether it tells speakers apart, as a transcription model. None where unknown.
        rereads_audio: Whether its earlier answers are billed again as audio, or only as words. None where unknown.
        streams: Whether it writes while the user speaks, as a transcription model, and not only after each turn. None
            where unknown.
        takes_languages: Whether it takes several `languages`, and `keywords`, as a transcription model; the others take
            one `language`. None where unknown.
        since: First day it was served. None where unknown.
        shutdown: Day on which it stops being served. None where none is announced.
        successor: The model to move to. None where none is named.
        history: Its prices over time, oldest first. Empty where unknown.
        note: Sentence on what else a user should know; "" for nothing.
        source: Where these facts were read; "" for a name the data file does not know.

    Examples:
        >>> model = rtnb.models.get("gpt-realtime-2.1-mini")
        >>> model.known, model.kind, model.images
        (True, 'realtime', True)
    """

    name: str
    kind: str = "unknown"
    status: str = "unknown"
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    reasoning: bool | None = None
    voice: str | None = None
    silence_duration_ms: int | None = None
    images: bool | None = None
    speakers: bool | None = None
    rereads_audio: bool | None = None
    streams: bool | None = None
    takes_languages: bool | None = None
    since: date | None = None
    shutdown: date | None = None
    successor: str | None = None
    history: tuple[Prices, ...] = field(default=(), repr=False)
    note: str = field(default="", repr=False)
    source: str = field(default="", repr=False)

    @property
    def known(self) -> bool:
        """True if the data file knows this name."""
        return self.kind != "unknown"

    @property
    def prices(self) -> Prices | None:
        """Newest prices. None where no price is known."""
        return self.prices_on()

    def prices_on(self, day: date | None = None) -> Prices | None:
        """Return the prices in force on a day.

        Args:
            day: The day asked for. None means the newest prices.

        Returns:
            The prices, or None where none is known for that day.
        """
        return next((prices for prices in reversed(self.history) if day is None or prices.since <= day), None)

    def is_gone(self, today: date | None = None) -> bool:
        """Return whether the model has been shut down by `today` (None: the present day)."""
        return self.shutdown is not None and self.shutdown <= (today or date.today())


@dataclass(frozen=True)
class Limits:
    """Limits of the API, and the token arithmetic that estimates rest on.

    Attributes:
        session_minutes: Longest session.
        append_bytes: Largest `input_audio_buffer.append`.
        commit_ms: Shortest audio that can be committed.
        instructions_and_tools_tokens: Instructions and tools together.
        metadata_pairs: Pairs in `response.metadata`.
        idle_timeout_ms: Least and greatest `idle_timeout_ms`.
        speed: Least and greatest `audio.output.speed`.
        client_secret_seconds: Least and greatest life of an ephemeral secret.
        cached_tokens_step: Cached tokens come in multiples of this.
        ping_seconds: How often OpenAI's server pings.
        audio_in_tokens_per_minute: Tokens in a minute of speech sent.
        audio_out_tokens_per_minute: Tokens in a minute of speech received.
        text_out_tokens_per_turn: Text tokens billed for any answer, however short (measured).
        reasoning_tokens_per_turn: Text tokens a 2.x model spends on reasoning (measured, at its default effort).
        text_out_tokens_per_second_spoken: Text tokens billed beside a second of speech received (measured).
        text_in_tokens_per_turn: Text tokens a session carries before anything is said (measured).
        image_tokens: Tokens of a picture at most.

    Examples:
        >>> limits = rtnb.models.limits()
        >>> limits.append_bytes, limits.speed
        (15728640, (0.25, 1.5))
    """

    session_minutes: int
    append_bytes: int
    commit_ms: int
    instructions_and_tools_tokens: int
    metadata_pairs: int
    idle_timeout_ms: tuple[int, int]
    speed: tuple[float, float]
    client_secret_seconds: tuple[int, int]
    cached_tokens_step: int
    ping_seconds: float
    audio_in_tokens_per_minute: int
    audio_out_tokens_per_minute: int
    text_out_tokens_per_turn: int
    reasoning_tokens_per_turn: int
    text_out_tokens_per_second_spoken: float
    text_in_tokens_per_turn: int
    image_tokens: int


@cache
def read() -> dict[str, Any]:
    """Read the data file, once."""
    return tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))


def with_tuples(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with a tuple for each list, for TOML has no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def _prices(table: dict[str, Any]) -> Prices:
    # TOML has no null, so "none" stands for a price that does not exist.
    lists = {name: numbers for name, numbers in table.items() if isinstance(numbers, list)}
    rates = {name: Rate(*(None if n == "none" else float(n) for n in numbers)) for name, numbers in lists.items()}
    return Prices(**table | rates)


@cache
def load() -> dict[str, Model]:
    """Return the models of the data file.

    Returns:
        Every known model by name, snapshots of models among them, in the order of the data file: newest and
        recommended first.
    """
    data = read()
    models: dict[str, Model] = {}
    for table in data["model"]:
        history = tuple(map(_prices, table.get("prices", ())))
        about = {name: fact for name, fact in table.items() if name not in ("prices", "snapshots", "deprecated")}
        models[table["name"]] = model = Model(**about, history=history)
        for name, differs in table.get("snapshots", {}).items():
            shutdown = differs.get("shutdown", model.shutdown)
            dated = re.search(r"\d{4}-\d\d-\d\d$", name)
            # A dated snapshot is as old as the date in its name says.
            since = date.fromisoformat(dated[0]) if dated else None
            prices = history[:1] if differs.get("launch_prices_only") else history
            status = "gone" if shutdown and shutdown <= data["known_on"] else model.status
            models[name] = replace(model, name=name, since=since, history=prices, shutdown=shutdown, status=status)
    return models


def get(name: str) -> Model:
    """Return one model by name.

    Args:
        name: The model's name. A fine-tuned or unknown name is no error: any server may serve any name.

    Returns:
        The facts known of it; a `Model` with `known` False and `prices` None where nothing is.

    Examples:
        >>> rtnb.models.get("gpt-realtime-2.1-mini").kind
        'realtime'
        >>> rtnb.models.get("no-such-model").known
        False
    """
    return load().get(name) or Model(name)


_Rate = Rate | Sequence[float | None] | None


def _rate(kind: str, given: Rate | Sequence[float | None]) -> Rate:
    if isinstance(given, Rate):
        return given
    return Rate(given[0], output=given[1]) if len(given) == 2 and kind != "image" else Rate(*given)


@checks_call
def price(
    name: str,
    *,
    like: str | None = None,
    text: _Rate = None,
    audio: _Rate = None,
    image: _Rate = None,
    per_minute_usd: float | None = None,
) -> Model:
    """State what a model costs whose price is not known here, so that a budget can count it, until the kernel ends.

    ```python
    models.price("my-deployment", like="gpt-realtime-2.1-mini")
    models.price("my-model", text=(0.60, 0.06, 2.40), audio=(10.00, 0.30, 20.00))
    ```

    Args:
        name: The model's name.
        like: A model that costs the same. None: what it costs is stated by the others.
        text: US dollars per million text tokens, each 0 or more: in, cached in, out, None where there is no price.
            Of two, the second is out.
        audio: The same of audio tokens.
        image: The same of images, which have no price out.
        per_minute_usd: US dollars per minute of audio, where it is billed by time. None: by tokens.

    Returns:
        The model, with what is known of it now.

    Raises:
        InputError: If nothing is stated, nothing is known of `like`, or a price is no amount of money.

    Examples:
        >>> rtnb.models.price("my-own-model", like="gpt-realtime-2.1-mini").name
        'my-own-model'
    """
    history = get(like).history if like else ()
    given = {"text": text, "audio": audio, "image": image}
    rates: dict[str, Any] = {k: _rate(k, v) for k, v in given.items() if v is not None}
    if any(rate != Rate() for rate in rates.values()) or per_minute_usd is not None:
        history = (Prices(date.today(), **rates, per_minute_usd=Rate(per_minute_usd).input),)
    if not history:
        raise InputError(f"Your price of {name} says nothing. Give a model of rtnb.prices() as like=.")
    about = get(name) if get(name).known or not like else replace(get(like), name=name)
    load()[name] = replace(about, history=history)
    return load()[name]


@cache
def limits() -> Limits:
    """Return what OpenAI's servers allow, and the token arithmetic.

    Examples:
        >>> rtnb.models.limits().session_minutes
        60
    """
    return Limits(**with_tuples(read()["limits"] | read()["tokens"]))


def known_on() -> date:
    """Return the day on which the facts in the data file were last checked."""
    return read()["known_on"]


def age(today: date | None = None) -> str:
    """Return how old the facts are on `today` (None: the present day), in a sentence."""
    days = max(0, ((today or date.today()) - known_on()).days)
    ago = say("1 day ago") if days == 1 else say("{days} days ago", days=days) if days else say("today")
    return say("As of {known_on} ({ago}).", known_on=known_on(), ago=ago)


def stale_notice(today: date | None = None) -> str | None:
    """Return what to do about facts that are older than `STALE_DAYS` on `today`; None where they are not.

    Args:
        today: The day to judge from. None means the present day.
    """
    if known_on() >= (today or date.today()) - timedelta(days=STALE_DAYS):
        return None
    return say("Prices may have changed: compare https://developers.openai.com/api/docs/pricing or update rtnb.")


def shutdown_notice(name: str, today: date | None = None) -> str | None:
    """Return a notice about a model that is about to be shut down, or has been.

    Args:
        name: The model's name.
        today: The day to judge from. None means the present day.

    Returns:
        One or two sentences with the date and the successor from 90 days before the shutdown on; None where
        there is nothing to say.
    """
    model, today = get(name), today or date.today()
    if model.shutdown is None or today < model.shutdown - timedelta(days=WARN_DAYS):
        return None
    # The day by hand: strftime has no portable code for a day without its leading zero.
    day = f"{model.shutdown.day} {model.shutdown:%B %Y}" if language() == "en" else str(model.shutdown)
    use = f" Use model={model.successor!r} instead." if model.successor else " Choose another model."
    if model.is_gone(today):
        return f"The model {name} is gone: it was shut down on {day}.{use}"
    days = (model.shutdown - today).days
    left = "1 day" if days == 1 else say("{days} days", days=days)
    return f"The model {name} is shut down on {day}, in {left}.{use}"


def warn_shutdown(name: str, today: date | None = None, *, stacklevel: int = 2) -> str | None:
    """Warn (`RtnbWarning`) about a model that is about to be shut down, or has been.

    Args:
        name: The model's name.
        today: The day to judge from. None means the present day.
        stacklevel: Number of the frame that the warning points at, as in `warnings.warn`; 2 is the caller's.

    Returns:
        The notice, or None where there was nothing to warn of.
    """
    if (notice := shutdown_notice(name, today)) is not None:
        warnings.warn(RtnbWarning(notice), stacklevel=stacklevel)
    return notice


DEFAULT: str = read()["default"]
CAPTIONS: str = read()["captions"]
VOICES: tuple[str, ...] = tuple(read()["voices"]["names"])
