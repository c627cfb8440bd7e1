"""Two `$` in one text stay two dollars in a real JupyterLab, whose MathJax makes a formula of any other output."""

from __future__ import annotations

import pytest
from dialogue import serve

from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

DEAR = "it costs $5 today and $10 tomorrow, $$x$$ and \\(y\\)"


def answered(talk):
    talk.open()
    talk.take_message()
    talk.answer(DEAR)


def test_money_is_no_formula(jupyters):
    with serve(answered) as url, jupyters("lab") as jupyter, lab.chromium() as browser:
        finding = f"from rtnb.diagnosis import report as r; r.Report((r.Finding('price', 'note', {DEAR!r}, {DEAR!r}),))"
        cells = [
            f"import rtnb; await rtnb.ask({DEAR!r}, url={url!r}, key='sk-test', modalities='text')",
            finding,
            f"rtnb.Clip.from_pcm(bytes(48_000), rate_hz=24_000, name={DEAR!r})",
            "rtnb.estimate(seconds_in=60, seconds_out=60, turns=3)",
            # Shown last: when this is a formula, MathJax has been over the others too.
            "from IPython.display import HTML; HTML('<p>a formula $c$ and $d$</p>')",
        ]
        page = lab.page(browser, height=2400)  # JupyterLab draws only cells that are on the screen
        notebook = jupyter.open(page, jupyter.write("dollars.ipynb", cells))
        notebook.run_all()
        notebook.output(len(cells) - 1).locator("mjx-container").nth(1).wait_for(state="attached")
        formulas = [notebook.output(number).locator("mjx-container").count() for number in range(len(cells) - 1)]
        assert formulas == [0] * (len(cells) - 1)
        for number, times in enumerate([1, 3, 1]):
            assert notebook.output(number).inner_text().count(DEAR) >= times
