"""Record of a call that is over, as it stands in a saved notebook: plain HTML that needs no kernel and no script."""

from collections.abc import Sequence
from html import escape

from rtnb import html
from rtnb.money import Cost
from rtnb.money.bill import with_captions
from rtnb.protocol.entry import Entry
from rtnb.protocol.event_table import event_table
from rtnb.protocol.items import Turns
from rtnb.texts.language import say

AGAIN = "Run this cell to start a live call."

# In the page that had the call, its view with the button to go on stands over the record. A page that strips the
# handler, or never had the call, shows the record alone.
_MOUNT = "globalThis.__rtnbCalls?.get('{id}')?.showOver(this.nextElementSibling)"


def record(call_id: str, facts: Sequence[str], ended: str, turns: Turns, log: Sequence[Entry]) -> str:
    """Return the record as HTML.

    Args:
        call_id: By which the page knows the call.
        facts: Who answered, how long, at what cost; "" is left out.
        ended: The sentence why it ended.
        turns: What was said.
        log: Every event.
    """
    head = f"<strong>{escape(say('Live call'))}</strong> · {escape(' · '.join(filter(None, facts)))}"
    body = "".join(f"<p>{line}</p>" for line in (head, escape(say(ended)), escape(say(AGAIN))) if line)
    mount = f'<style onload="{_MOUNT.format(id=call_id)}"></style>'
    if turns:
        body += turns._repr_html_()
    if log:
        body += f"<details><summary>{escape(say('Events'))}</summary>{event_table(log)}</details>"
    return html.root(body, kind="rtnb", css=mount)


def cost_in_words(cost: Cost, source: str, captions: Cost | None = None) -> str:
    """Return what a call has cost, its captions apart; where practice answers, also that it is free."""
    words = with_captions(cost, captions or Cost())
    return say("{cost} at OpenAI, free here", cost=words) if source == "practice" else words
