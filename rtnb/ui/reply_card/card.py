"""Card of a reply: its words, a player, tokens, cost, who answered, and what went wrong, as one piece of HTML."""

from html import escape

from rtnb import html
from rtnb.errors import mask_secrets
from rtnb.money.bill import with_captions
from rtnb.session.reply import Reply
from rtnb.texts.language import Said, say
from rtnb.ui.shared import widget

_SOURCES = {"practice": "practice server", "replay": "a recorded session"}
_STATUSES = {
    "cancelled": "The response was cancelled; what came before is kept.",
    "incomplete": "The response is incomplete; what came is kept.",
}
_REMEDIES = {
    "max_output_tokens": (
        "The answer reached its limit of tokens. Raise max_output_tokens, or ask for a shorter answer."
    ),
    "content_filter": "The server's content filter stopped it. Put the question differently.",
    "turn_detected": "The server heard somebody speak and stopped. Ask again when you are ready.",
}


def card(reply: Reply, *, body: str = "", key: str = "", with_player: bool = True, raised: bool = False) -> str:
    """Return the whole reply as one piece of HTML, also one that is still coming: what is there stays where it is.

    Args:
        reply: The reply.
        body: HTML in the place of its words. "" for the words.
        key: Key of the player that marks the words while they are heard. "" for none.
        with_player: Whether its player is in it; else that stands in an output of its own.
        raised: Whether its error is raised in the same cell, and says there what went wrong.
    """
    parts = [f'<div class="head"><strong>{escape(say("Answer"))}</strong>{_chips(reply)}</div>']
    if reply.transcript:
        parts.append(f'<div class="heard">{escape(say("You"))}: {escape(reply.transcript)}</div>')
    if body or reply.text:
        parts.append(body or spoken(reply.text, key))
    elif reply.status == "completed" and not reply.audio:
        parts.append(f'<div class="says dim">{escape(say("(no words came)"))}</div>')
    if problem := "" if raised and reply.error is not None else trouble(reply):
        parts.append(html.notice(problem, "error" if reply.status == "failed" else "warning"))
    if with_player:
        parts.append(player(reply))
    parts.append(_facts(reply, problem))
    parts += [html.notice(warning, "warning") for warning in reply.warnings]
    return frame("".join(parts))


def spoken(words: str, key: str, after: str = "") -> str:
    """Return the words of an answer as HTML; the player of that key marks the heard ones in it."""
    return f'<div class="says" data-words="{key}">{escape(words)}{after}</div>'


def frame(body: str) -> str:
    """Return HTML in the frame of a reply's card; the caret and the bar in its style sheet are for the live view."""
    group = f' role="group" aria-label="{escape(say("Answer"))}"'
    return html.page(body, css=widget.read("reply_card/card.css"), attributes=group)


def headline(reply: Reply) -> str:
    """Return a reply without its words, for a cell that shows it already."""
    first = repr(reply).split("): ")[0].removesuffix(")") + ")"
    return frame(f'<div class="dim">{escape(first)} · {escape(say("the card above"))}</div>')


def trouble(reply: Reply) -> str:
    """Return what went wrong, in the server's words, and what to do; "" where nothing did."""
    if (status := reply.status) == "completed" or not reply.done:
        return ""
    if reply.error is not None:  # as of each that failed
        # Ours already say who is to blame first and what to do last.
        return mask_secrets(str(reply.error))
    if reply.responses and (cut := reply.responses[-1].cut):
        return cut
    reason = (reply.status_details or {}).get("reason") or ""
    hint = say(_REMEDIES[reason]) if reason in _REMEDIES else ""
    first = say(_STATUSES[status]) if status in _STATUSES else status
    # What the server said is not ours to translate.
    return Said(mask_secrets("\n".join(filter(None, (first, reason, hint)))))


def player(reply: Reply) -> str:
    """Return the answer's player, "" without audio."""
    return "" if (audio := reply.audio) is None else audio.player(say("the answer"))


def _chips(reply: Reply) -> str:
    source = say(_SOURCES[reply.source]) if reply.source in _SOURCES else reply.source
    return "".join(f' <span class="chip">{escape(chip)}</span>' for chip in (source, reply.model) if chip)


def _facts(reply: Reply, problem: str) -> str:
    if not reply.done:
        return '<div class="facts"></div>'  # room for them
    usage, status = reply.usage, say(reply.status)
    tokens = say("{input} in, {output} out", input=f"{usage.input_tokens:,}", output=f"{usage.output_tokens:,}")
    seconds, in_tools = reply.seconds_to_first_sound, reply.seconds_in_tools
    of_it = say(", {seconds} s of it in tools", seconds=f"{in_tools:.2f}") if in_tools else ""
    facts = {"": "" if status in problem else status, say("cost"): _cost(reply) if usage else ""}
    facts[say("first sound after")] = "" if seconds is None else f"{seconds:.2f} s{of_it}"
    facts[say("tokens")] = tokens if usage else ""
    facts[say("tools called")] = "; ".join(map(repr, reply.tool_calls))
    named = (f"{escape(name)} <b>{escape(value)}</b>".lstrip() for name, value in facts.items() if value)
    return f'<div class="facts">{" · ".join(f"<span>{fact}</span>" for fact in named)}</div>'


def _cost(reply: Reply) -> str:
    cost, words = reply.cost, with_captions(reply.cost, reply.bill.captions)
    if reply.source in _SOURCES:
        return "" if cost.usd is None else say("{cost} at OpenAI", cost=words)
    return say("unknown: no price is known for this model") if cost.usd is None else words
