"""Findings of the checks and the report that shows them: symptom, cause, remedy."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Literal

from rtnb import __version__, html
from rtnb.errors import mask_secrets
from rtnb.texts.language import translate

State = Literal["ok", "note", "warning", "error", "unknown"]
# From the best to the worst.
_MARKS: dict[State, str] = {"ok": "✓", "note": "·", "unknown": "?", "warning": "!", "error": "✗"}


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        check: What was looked at, for example `"network"`.
        state: `"ok"`, `"note"` (nothing to do), `"warning"`, `"error"` (this will not work) or `"unknown"` (it could
            not be looked at from here).
        symptom: What was found, in a few words.
        cause: Why; "" where all is well or nobody knows.
        remedy: What to do; "" where there is nothing to do.

    Examples:
        >>> with rtnb.practice() as server:
        ...     finding = rtnb.doctor(url=server.url).findings[0]
        >>> finding.check, finding.state, finding.remedy
        ('python', 'ok', '')
    """

    check: str
    state: State
    symptom: str
    cause: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        # In the language of the user, whoever put it together.
        for name in ("symptom", "cause", "remedy"):
            object.__setattr__(self, name, translate(getattr(self, name)))


@dataclass(frozen=True)
class Report:
    """All findings, to be looked at or sent on.

    Attributes:
        findings: One or more for each check, in the order they were made.
        seconds: How long the checks took.

    Examples:
        >>> with rtnb.practice() as server:
        ...     report = rtnb.doctor(url=server.url)
        >>> report.line  # for your teacher
        'rtnb ... | ...'
    """

    findings: tuple[Finding, ...]
    seconds: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool:
        """Return whether nothing was found that keeps things from working."""
        return all(finding.state != "error" for finding in self.findings)

    @property
    def line(self) -> str:
        """Return all of it in one line, to be sent to the teacher. No key, no path, no user's name is in it."""
        found = [f"{_MARKS[f.state]} {translate(f.check)}: {f.symptom}" for f in self.findings]
        return one_line(" | ".join([f"rtnb {__version__}", *found]))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, check: str) -> Finding:
        """Return the worst finding of a check, by its name."""
        if not (of_check := [finding for finding in self.findings if finding.check == check]):
            raise KeyError(check)
        return max(of_check, key=lambda finding: [*_MARKS].index(finding.state))

    def __repr__(self) -> str:
        width = max((len(translate(finding.check)) for finding in self.findings), default=0)
        lines = []
        for f in self.findings:
            lines.append(f"{_MARKS[f.state]} {translate(f.check).ljust(width)}  {f.symptom}")
            notes = {"cause": f.cause, "remedy": f.remedy}
            lines += [f"  {' ' * width}  {translate(name)}: {note}" for name, note in notes.items() if note]
        return mask_secrets("\n".join([*lines, "", self._headline, translate(f"For your teacher: {self.line}")]))

    @property
    def _headline(self) -> str:
        if not (errors := [finding.symptom for finding in self.findings if finding.state == "error"]):
            return translate("Nothing found that keeps this from working.")
        one = f"1 thing needs mending: {errors[0]}."
        return mask_secrets(translate(one if len(errors) == 1 else f"{len(errors)} things need mending: {errors[0]}."))

    def _repr_html_(self) -> str:
        rows = [[_MARKS[finding.state], translate(finding.check), _found_html(finding)] for finding in self.findings]
        headline = html.notice(self._headline, "ok" if self.ok else "error")
        table = html.table(["state", "check", "symptom, cause and remedy"], rows)
        return headline + table + html.notice(f"For your teacher: {self.line}", "info")


def _found_html(finding: Finding) -> html.Safe:
    """Return symptom, cause and remedy, a line each, so that they fit a narrow page."""
    symptom, cause, remedy = (escape(mask_secrets(one)) for one in (finding.symptom, finding.cause, finding.remedy))
    if finding.check == "sound" and finding.state == "unknown":  # the page replaces it, unless it strips scripts
        script = (files("rtnb.diagnosis") / "sound.js").read_text("utf-8")
        symptom = f'<span class="rtnb-sound">{symptom}</span><script>{script}</script>'
    return html.Safe("<br>\n".join(filter(None, [symptom, cause, remedy and f"<strong>{remedy}</strong>"])))


def one_line(text: str) -> str:
    """Return a text in one line, without keys and without the path of the home folder, which has the user's name."""
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = text.replace(home, "~")
    return mask_secrets(" ".join(text.split()))
