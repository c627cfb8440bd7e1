"""Colours, sizes and movement of all that is shown, computed from the style sheets.

Words have a contrast of 4.5 : 1 at least against what they stand on, on JupyterLab's three themes and on pages without
one; what cannot be used just now is left out, as in WCAG 2.2 (1.4.3). Sizes of letters follow the size that the reader
has chosen; what moves does not where the reader wants no movement.
"""

from __future__ import annotations

import re

import pytest
from style_sheets import PACKAGE, Page, Rule, colour, contrast, holds, over, resolved, rules, themes, variables

BARE = {False: "#ffffff", True: "#0d1117"}  # a page without a theme: GitHub's, for one
IDLE = (":disabled", 'aria-disabled="true"', "rtnb-gone")
# What is drawn and has no words in it.
DRAWN = re.compile(r"(caret|-ring|-level|svg|canvas|progress|\bi|input|\.rtnb-up|::before|::after)(:[\w-]+)?$")


def sheets() -> dict[str, str]:
    """Each sheet with what it builds on."""
    read = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.css"))}
    chart, theme = read.pop("timeline/chart.css"), read.pop("ui/shared/theme.css")
    outputs = [read.pop(name) for name in list(read) if name.startswith(("texts/", "ui/reply_card/"))]
    return {"outputs": "".join(outputs), "chart.css": chart, **{name: theme + sheet for name, sheet in read.items()}}


SHEETS = sheets()


def subject(rule: Rule) -> str:
    """What a rule is of, without the state it is in: its last element or class."""
    last = re.split(r"[ >+~]", rule.selector)[-1]
    return re.sub(r"\[[^\]]*\]|::?[\w-]+(\([^)]*\))?", "", last) or last


def pairs(sheet: str, page: Page):
    """Every rule that changes what is read, with the colour of the words and of what they stand on."""
    known, found = variables(sheet, page), [rule for rule in rules(sheet) if holds(rule, page)]
    ground = known.get("--rtnb-bg") or page.jupyter.get("--jp-layout-color0") or BARE[page.dark]
    words = known.get("--rtnb-fg") or known.get("--fg", "inherit")
    first: dict[str, dict[str, str]] = {}
    for rule in found:
        first[subject(rule)] = {**rule.says, **first.get(subject(rule), {})}
    for rule in found:
        if (
            any(sign in rule.selector for sign in IDLE)
            or DRAWN.search(rule.selector)
            or rule.says.get("opacity") == "0"
        ):
            continue
        if not rule.says.keys() & {"color", "background", "background-color", "opacity"}:
            continue
        of = {**first[subject(rule)], **rule.says}
        page_colour = colour(resolved(ground, known))
        on = colour(resolved(of.get("background-color") or of.get("background") or ground, known)) or page_colour
        ink = colour(resolved(of.get("color", words), known))
        if ink is not None and "content" not in of and re.fullmatch(r"[\d.]+", rule.says.get("opacity", "1")):
            on = over(on, page_colour)
            seen = over((*ink[:3], ink[3] * float(rule.says.get("opacity", "1"))), on)
            yield rule.selector, contrast(seen, on)


@pytest.mark.parametrize("name", [name for name in SHEETS if name != "chart.css"])
def test_words_can_be_read_on_every_page(name):
    low = {
        (page.name, selector): round(found, 2)
        for page in themes()
        for selector, found in pairs(SHEETS[name], page)
        if found < 4.5
    }
    assert low == {}


def test_the_words_of_a_chart_can_be_read_on_every_page():
    sheet = SHEETS["chart.css"]
    for page in themes():
        known = variables(sheet, page)
        ground = colour(resolved(page.jupyter.get("--jp-layout-color0", BARE[page.dark]), known))
        for name in ("--fg", "--dim", "--red"):
            assert contrast(over(colour(resolved(known[name], known)), ground), ground) >= 4.5, (page.name, name)
        for name in ("--person", "--model", "--tools"):
            assert contrast(colour(known["--ink"]), colour(known[name])) >= 4.5


@pytest.mark.parametrize("name", SHEETS)
def test_letters_are_as_large_as_the_reader_wants_them(name):
    sizes = [(rule.selector, rule.says.get("font-size") or rule.says.get("font", "")) for rule in rules(SHEETS[name])]
    # What a drawing's letters are measured in grows with the drawing.
    fixed = [one for one in sizes if re.search(r"(?<!max\()\b\d+px", one[1]) and ".rtnb-tl" not in one[0]]
    assert fixed == []


@pytest.mark.parametrize("name", SHEETS)
def test_nothing_moves_where_the_reader_wants_no_movement(name):
    found = list(rules(SHEETS[name]))
    still = [rule for rule in found if "prefers-reduced-motion: reduce" in rule.media.replace(":reduce", ": reduce")]
    for rule in found:
        moves = rule.says.keys() & {"transition", "animation", "scroll-behavior"}
        at_once = re.search(r" 0?\.0\d*s", rule.says.get("animation", ""))  # something appears, nothing moves
        if moves and not at_once and "prefers-reduced-motion" not in rule.media:
            # The element itself, or all that is in the widget.
            wholes = (one.selector.removesuffix(" *") for one in still if one.says.keys() & moves)
            assert any(rule.selector.startswith(whole) for whole in wholes), rule.selector


@pytest.mark.parametrize("name", ["outputs", "chart.css"])
def test_on_paper_words_are_dark_whatever_the_page_was(name):
    (variables_on_paper,) = [
        says for rule in rules(SHEETS[name]) if rule.media == "@media print" and "--fg" in (says := dict(rule.says))
    ][:1]
    for ink in ("--fg", "--dim"):
        assert contrast(colour(variables_on_paper[ink]), colour("#fff")) >= 7
