"""Findings of the checks and the report that shows them: symptom, cause, remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from rtnb import __version__, html
from rtnb.errors import mask_secrets

__all__ = ["Finding", "Report", "State", "one_line"]

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
    """

    check: str
    state: State
    symptom: str
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, to be looked at or sent on.

    Attributes:
        findings: One or more for each check, in the order they were made.
        seconds: How long the checks took.
    """

    findings: tuple[Finding, ...]
    seconds: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool:
        """Return whether nothing was found that keeps things from working."""
        return not self._errors

    @property
    def line(self) -> str:
        """Return all of it in one line, to be sent to the teacher. No key, no path, no user's name is in it."""
        parts = [f"rtnb {__version__}", *(f"{_MARKS[f.state]} {f.check}: {f.symptom}" for f in self.findings)]
        return one_line(" | ".join(parts))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, check: str) -> Finding:
        """Return the worst finding of a check, by its name."""
        of_check = [finding for finding in self.findings if finding.check == check]
        if not of_check:
            raise KeyError(check)
        return max(of_check, key=lambda finding: [*_MARKS].index(finding.state))

    def __repr__(self) -> str:
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            lines.append(f"{_MARKS[finding.state]} {finding.check.ljust(width)}  {finding.symptom}")
            notes = {"cause": finding.cause, "remedy": finding.remedy}
            lines += [f"  {' ' * width}  {name}: {note}" for name, note in notes.items() if note]
        return mask_secrets("\n".join([*lines, "", self._headline, "For your teacher: " + self.line]))

    @property
    def _errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.state == "error"]

    @property
    def _headline(self) -> str:
        if not self._errors:
            return "Nothing found that keeps this from working."
        count = len(self._errors)
        return mask_secrets(f"{count} thing{' needs' if count == 1 else 's need'} mending: {self._errors[0].symptom}.")

    def _repr_html_(self) -> str:
        rows = [
            [_MARKS[f.state], f.check, _symptom_html(f), mask_secrets(f.cause), mask_secrets(f.remedy)]
            for f in self.findings
        ]
        return (
            html.notice(self._headline, "ok" if self.ok else "error")
            + html.table(["", "", "symptom", "cause", "remedy"], rows)
            + html.notice(f"For your teacher: {self.line}", "info")
        )


def _symptom_html(finding: Finding) -> object:
    if finding.check == "sound" and finding.state == "unknown":
        return html.Safe(_ASK_BROWSER.replace("SYMPTOM", escape(finding.symptom)))
    return mask_secrets(finding.symptom)


# The browser knows whether there is a microphone; it is asked where the table is shown, without asking the user for
# anything: devices are counted, not opened. A page that strips scripts keeps the text that was there.
_ASK_BROWSER = """<span class="rtnb-sound">SYMPTOM</span><script>(async (here) => {
  const box = here.previousElementSibling;
  if (!box || !box.classList.contains("rtnb-sound")) return;
  const say = (text) => { box.textContent = text; };
  if (!window.isSecureContext) return say("no microphone: this page is neither https nor localhost");
  if (!navigator.mediaDevices) return say("no microphone: this browser gives pages none");
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const count = (kind) => devices.filter((device) => device.kind === kind).length;
    let allowed = "";
    try {
      const answer = await navigator.permissions.query({ name: "microphone" });
      allowed = { granted: ", allowed", denied: ", denied to this page", prompt: ", it will ask first" }[answer.state];
    } catch (error) { /* Firefox and Safari do not tell. */ }
    const heard = count("audioinput") ? "a microphone" + (allowed || "") : "no microphone found";
    const spoken = window.AudioContext ? "sound can be played" : "sound cannot be played";
    say(heard + "; " + spoken);
  } catch (error) { say("the browser does not tell: " + error.name); }
})(document.currentScript)</script>"""


def one_line(text: str) -> str:
    """Return a text in one line, without keys and without the path of the home folder, which has the user's name."""
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = text.replace(home, "~")
    return mask_secrets(" ".join(text.split()))
