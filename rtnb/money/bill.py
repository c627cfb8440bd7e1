"""Answers as a bill: for each, its tokens and its cents, and what the same conversation costs on other models."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rtnb import html
from rtnb.money.costs import Cost, cost, cost_of_transcription
from rtnb.money.estimates import Comparison, compare
from rtnb.money.usage import Usage, text_table
from rtnb.protocol.items import Response, Turn
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate
from rtnb.texts.shortening import in_one_line


def transcription_model(session: Mapping[str, Any]) -> str | None:
    """Return the model that transcribes the user's words, out of the API's session object. None for none."""
    of_input = (session.get("audio") or {}).get("input") or {}
    # The Beta interface has it under another name.
    return (of_input.get("transcription") or session.get("input_audio_transcription") or {}).get("model")


def cost_of_words(usage: Mapping[str, Any] | None, model: str | None) -> Cost:
    """Return what one transcription of the user's words cost; the transcription model bills it apart."""
    return cost_of_transcription(usage, model) if model and usage else Cost()


def with_captions(spent: Cost, captions: Cost) -> str:
    """Return a cost in words, and in brackets how much of it the captions are."""
    return say("{text} (captions {captions})", text=spent, captions=captions) if captions.lines else str(spent)


@dataclass(frozen=True)
class Item:
    """One position of the bill.

    Attributes:
        what: The answer's words, or what was transcribed.
        status: How the answer ended; "transcription" for the user's words.
        usage: The tokens the server counted. All zero for a transcription billed by the minute.
        cost: Its cost.

    Examples:
        >>> with rtnb.connect(practice=True, modalities="text", show=False) as chat:
        ...     reply = chat.ask("Repeat after me: yes").wait()
        >>> item = chat.bill[0]
        >>> item.what, item.status, item.usage.output_tokens > 0
        ('yes.', 'completed', True)
    """

    what: str
    status: str
    usage: Usage
    cost: Cost


class Bill(tuple[Item, ...]):
    """Positions in the order of the conversation. It shows itself as a table.

    Attributes:
        model: The model that answered.

    Examples:
        >>> with rtnb.connect(practice=True, modalities="text", show=False) as chat:
        ...     reply = chat.ask("Repeat after me: yes").wait()
        >>> [item.what for item in chat.bill], chat.bill.cost.usd == chat.cost.usd
        (['yes.'], True)
    """

    model: str

    @classmethod
    def of(
        cls,
        model: str,
        responses: Iterable[Response],
        transcribed: Iterable[tuple[Turn, Mapping[str, Any]]] = (),
        transcriber: str | None = None,
    ) -> "Bill":
        """Read the bill of a conversation, or of a part of it, as it stands.

        Nobody is billed for the practice server or a replay: the figures say what the same would cost at OpenAI.

        Args:
            model: The model that answers.
            responses: Its answers, of which only those with tokens are billed.
            transcribed: The transcriptions of the user's words.
            transcriber: The model that transcribed them. None for none.
        """
        answers = [(" ".join(t.words for t in one.turns), one.status, one.usage) for one in responses if one.usage]
        items = [Item(words, status, Usage.from_event(used), cost(used, model)) for words, status, used in answers]
        for said, used in transcribed:
            spent = cost_of_words(used, transcriber)
            items.append(Item(said.transcript or "", "transcription", Usage.from_event(used), spent))
        bill = cls(items)
        bill.model = model
        return bill

    @property
    def usage(self) -> Usage:
        """Tokens of all answers; transcription is counted apart."""
        return sum((item.usage for item in self if item.status != "transcription"), Usage())

    @property
    def cost(self) -> Cost:
        """Cost of all positions."""
        return sum((item.cost for item in self), Cost())

    @property
    def captions(self) -> Cost:
        """Cost of the user's words, which the transcription model bills apart; part of `cost`."""
        return sum((item.cost for item in self if item.status == "transcription"), Cost())

    @checks_call
    def compare(self, *models: str) -> Comparison:
        """Compare with what the same tokens cost on other models.

        Args:
            *models: Their names. None given means every model served today whose price is known.
        """
        return compare(self.usage, models or None)

    def _rows(self) -> list[list[str]]:
        rows = []
        for number, item in enumerate(self, 1):
            counts = _counts(item.usage) if item.usage else [""] * 3
            rows.append([str(number), in_one_line(item.what, 40), translate(item.status), *counts, _cents(item.cost)])
        if self.captions.lines:
            rows.append(["", translate("captions"), *[""] * 4, _cents(self.captions)])
        return [*rows, ["", translate("in all"), "", *_counts(self.usage), _cents(self.cost)]]

    def __repr__(self) -> str:
        return text_table([[*map(translate, _HEADERS)], *self._rows()], right_from=3)

    def _repr_html_(self) -> str:
        return html.table(_HEADERS, self._rows(), right=range(3, 7), caption=self.model)


_HEADERS = ("#", "answer", "status", "tokens in", "cached", "tokens out", "¢")


def _counts(used: Usage) -> list[str]:
    return [f"{count:,}" for count in (used.input_tokens, used.cached_tokens, used.output_tokens)]


def _cents(spent: Cost) -> str:
    return translate("unknown") if spent.usd is None else f"{spent.usd * 100:.3f}"
