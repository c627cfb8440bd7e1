"""The package's style sheets as data: which colour stands on which, on which page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jupyterlab
import pytest

import rtnb

PACKAGE = Path(rtnb.__file__).parent
# Where each lab extension of JupyterLab lies that brings a theme.
THEMES = [
    parent / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab" for parent in Path(jupyterlab.__file__).parents
]


@dataclass(frozen=True)
class Rule:
    """A rule of a sheet: what it is of, the media it holds for, and its declarations."""

    selector: str
    media: str
    says: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """A page on which something is shown.

    Attributes:
        name: What it is.
        dark: Whether it is dark; the reader's system is as dark as the page.
        jupyter: The variables of JupyterLab's theme; none where there is no JupyterLab.
    """

    name: str
    dark: bool
    jupyter: Mapping[str, str]


def rules(sheet: str, media: str = "") -> Iterator[Rule]:
    """The rules of a sheet in their order, one for each selector."""
    rest = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    while (begin := rest.find("{")) >= 0:
        head, depth, end = rest[:begin].strip(), 1, begin + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(rest[end], 0)
            end += 1
        body, rest = rest[begin + 1 : end - 1], rest[end:]
        if head.startswith(("@media", "@container")):
            yield from rules(body, f"{media} {head}".strip())
        elif not head.startswith("@"):
            said = (one.partition(":") for one in re.split(r";(?![^(]*\))", body) if ":" in one)
            says = {name.strip(): value.removesuffix("!important").strip() for name, _, value in said}
            yield from (Rule(" ".join(one.split()), media, says) for one in _selectors(head))


def _selectors(head: str) -> list[str]:
    return re.split(r",(?![^(]*\))", head)


def holds(rule: Rule, page: Page) -> bool:
    """Whether a rule holds on a page on the screen, with the page's own colours."""
    media, of = rule.media, rule.selector
    if "print" in media or "forced-colors" in media or ("prefers-color-scheme" in media and not page.dark):
        return False
    if re.search(r"^\S*(theme-light=\W?false|vscode-dark|theme=\W?dark)", of):
        return page.dark
    return True


# Google's colours, which JupyterLab's style sheet has for all themes.
MATERIAL = {"--md-red-500": "#f44336", "--md-orange-500": "#ff9800", "--md-green-500": "#4caf50"}


def themes() -> list[Page]:
    """JupyterLab's own themes, and pages that have none."""
    found = [Page("no theme, light", False, {}), Page("no theme, dark", True, {})]
    folder = next((one for one in THEMES if one.is_dir()), None)
    if folder is None:
        pytest.skip("JupyterLab's themes are not installed")
    for name in ("light", "dark", "dark-high-contrast"):
        sheet = (folder / f"theme-{name}-extension" / "index.css").read_text("utf-8")
        says = {name: value for rule in rules(sheet) for name, value in rule.says.items() if name.startswith("--")}
        found.append(Page(f"JupyterLab {name}", name != "light", {**MATERIAL, **says}))
    return found


def variables(sheet: str, page: Page) -> dict[str, str]:
    """The variables that hold on a page: the theme's and the sheet's."""
    own = [rule.says for rule in rules(sheet) if holds(rule, page) and not rule.selector.endswith(":root")]
    return {**page.jupyter, **{name: value for says in own for name, value in says.items() if name.startswith("--")}}


def resolved(value: str, known: Mapping[str, str]) -> str:
    """A value with its variables put in."""
    while (at := value.find("var(")) >= 0:
        depth, end = 1, at + 4
        while depth:
            depth += {"(": 1, ")": -1}.get(value[end], 0)
            end += 1
        name, _, fallback = value[at + 4 : end - 1].partition(",")
        value = value[:at] + known.get(name.strip(), fallback.strip()) + value[end:]
    return value


Colour = tuple[float, float, float, float]
_NAMES = {"white": "#fff", "black": "#000", "none": "#0000", "transparent": "#0000", "canvas": "#fff"}


def colour(value: str) -> Colour | None:
    """Red, green, blue and how much it covers, 0–1. None for what is no colour of ours, as `inherit`."""
    value = _NAMES.get(value.lower(), value)
    if match := re.fullmatch(r"color-mix\(in srgb, (.*) (\d+)%, (.*)\)", value):
        one, other = colour(match[1]), colour(match[3])
        return one and other and over((*one[:3], float(match[2]) / 100), other)
    if match := re.fullmatch(r"#([0-9a-fA-F]{3,8})", value):
        digits = match[1] if len(match[1]) > 4 else "".join(digit * 2 for digit in match[1])
        parts = [int(digits[n : n + 2], 16) / 255 for n in range(0, len(digits), 2)]
        return (parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else 1.0)
    if match := re.fullmatch(r"rgba?\(([^)]*)\)", value):
        numbers = [float(one.strip("%")) / (100 if "%" in one else 1) for one in re.split(r"[\s,/]+", match[1])]
        return (numbers[0] / 255, numbers[1] / 255, numbers[2] / 255, numbers[3] if len(numbers) > 3 else 1.0)
    return None


def over(top: Colour, below: Colour) -> Colour:
    """What is seen of a colour on another one that covers all."""
    red, green, blue = (top[3] * one + (1 - top[3]) * other for one, other in zip(top[:3], below[:3], strict=True))
    return (red, green, blue, 1.0)


def contrast(one: Colour, other: Colour) -> float:
    """The contrast of two colours that cover all, 1.0–21.0 (WCAG 2.2, relative luminance)."""

    def luminance(colour: Colour) -> float:
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
