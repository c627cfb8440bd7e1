"""Whatever rtnb shows reads the same where styles, scripts and handlers are taken away, in both languages.

A fresh clone opened in JupyterLab is not trusted, and its sanitizer takes them; so does GitHub. What is left must be
the same words in the same order, parted by lines, cells or blanks, without a control that does nothing, with heads on
its tables and words beside its pictures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from plain_html import bare, dead, github, headless, jupyterlab, touching, words
from test_dollars import PLACES, pages, said, spoken

import rtnb
from rtnb import costs
from rtnb.diagnosis.report import Finding, Report
from rtnb.protocol.items import Turns

LANGUAGES = ("en", "zh")
FINDINGS = (
    Finding("network", "error", "api.openai.com does not answer", "no Wi-Fi", "Switch it on."),
    Finding("model", "ok", "gpt-realtime-2.1-mini opens a session"),
)
MORE = {
    "Report": lambda patch: [*PLACES["Report"](patch), Report(FINDINGS)._repr_html_()],
    "Cost": lambda patch: [*PLACES["Cost"](patch), *pages(costs.cost_of_minutes(90, "gpt-realtime-translate"))],
    "Turns": lambda _: pages(Turns(spoken().session.turns)),
    "Verdict": lambda patch: [*PLACES["Verdict"](patch), *pages(rtnb.check("01.1", "no reply"))],
    "Timeline": lambda patch: [*PLACES["Timeline"](patch), *pages(said().timeline())],
}
READ = sorted(PLACES.keys() | MORE.keys())
Shown = dict[tuple[str, str], list[tuple[str, str, str]]]


def outputs(language: str, folder: Path) -> dict[str, list[str]]:
    """Each output in a language, by what makes it."""
    rtnb.language(language)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = {place: (MORE.get(place) or PLACES[place])(patch) for place in READ}
    rtnb.language("auto")
    return made


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Shown:
    """Each output by what makes it and its language: as it is made, and as JupyterLab and GitHub leave it."""
    made = {}
    for language in LANGUAGES:
        of_language = outputs(language, tmp_path_factory.mktemp(language))
        made |= {(place, language): of_place for place, of_place in of_language.items()}
    left = iter(jupyterlab([page for of_place in made.values() for page in of_place]))
    return {key: [(page, next(left), github(page)) for page in of_place] for key, of_place in made.items()}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("place", READ)
def test_what_is_left_reads_the_same(shown, place, language):
    for page, *left in shown[place, language]:
        assert touching(page) == []
        assert [words(one) for one in left] == [words(page)] * 2


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("place", READ)
def test_what_is_left_is_whole(shown, place, language):
    for versions in shown[place, language]:
        for page in versions:
            assert dead(page) == []
            assert headless(page) == []
            assert bare(page) == []
            assert touching(page) == []
