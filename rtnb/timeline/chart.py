"""Draw spans and marks as an SVG picture: a lane for each of person, model, tools and socket, long pauses folded."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from itertools import accumulate, islice, pairwise
from pathlib import Path

from rtnb.texts.language import translate
from rtnb.texts.shortening import clock
from rtnb.timeline.measure import KINDS, Lane, Mark, Span

_LEFT, _RIGHT, _TOP = 74, 14, 30
_ROW = 32  # what starts while the lane is taken gets a row below
# The lanes from above, and how high each is.
_HEIGHTS: dict[Lane, int] = {"person": 72, "model": 76, "tools": 40, "socket": 50}
_CHAR = 6.7  # about the width of a letter at 12 px
_STEPS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, math.inf)
_HATCH = (
    '<defs><pattern id="rtnb-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="3" height="7"/></pattern></defs>'
)


@cache
def css() -> str:
    """Return the style sheet: light by default, dark where the notebook's theme or the reader's system says so."""
    return "\n" + Path(__file__).with_name("chart.css").read_text("utf-8")


class _Scale:
    """Seconds to pixels from the left of the picture, with long pauses folded.

    Attributes:
        pieces: Stretches as `(start, end, seconds drawn)`.
        folds: Those of them in which nothing happens, as `(start, end)`.
        length: Seconds drawn, in all.
        pixels_per_second: Pixels for one second drawn.
    """

    def __init__(self, busy: Iterable[tuple[float, float]], width: float) -> None:
        merged: list[list[float]] = []
        for start, end in sorted(busy):
            if merged and start - merged[-1][1] <= 3.0:  # seconds; a longer pause is folded to 0.8
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        self.folds = [(before, start) for (_, before), (start, _) in pairwise(merged)]
        self.pieces = [(start, end, max(end - start, 0.2)) for start, end in merged]
        self.pieces = sorted(self.pieces + [(*fold, 0.8) for fold in self.folds])
        self.length = sum(drawn for _, _, drawn in self.pieces) or 1.0
        self.pixels_per_second = width / self.length
        self._ends = [end for _, end, _ in self.pieces]
        self._drawn_before = list(accumulate((drawn for _, _, drawn in self.pieces), initial=0.0))

    def __call__(self, at: float) -> float:
        x = self._drawn_before[piece := bisect_left(self._ends, at)]
        if piece < len(self.pieces):
            start, end, drawn = self.pieces[piece]
            x += max(0.0, at - start) / max(end - start, 1e-9) * drawn
        return _LEFT + min(x, self.length) * self.pixels_per_second


class Chart:
    """Picture of spans and marks.

    Args:
        title: What it is of.
        spans: In order of their beginning.
        marks: In order.
        width: Pixels.

    Attributes:
        seconds: How many seconds are drawn, folds counted as short as they are drawn.
        label: What a screen reader says of it.
    """

    def __init__(self, title: str, spans: Sequence[Span], marks: Sequence[Mark], width: int) -> None:
        self._spans, self._marks, self._width = spans, marks, width
        busy = [(span.start_seconds, span.end_seconds) for span in spans]
        busy += [(mark.at_seconds, mark.at_seconds) for mark in marks]
        self._x = _Scale(busy or [(0.0, 1.0)], width - _LEFT - _RIGHT)
        self.seconds = self._x.length
        self._origin = min((start for start, _ in busy), default=0.0)
        self._rows = self._rows_of_spans()
        lanes = [lane for lane in _HEIGHTS if lane != "tools" or any(span.lane == "tools" for span in spans)]
        self._tops: dict[Lane, float] = {}
        self._bottoms: dict[Lane, float] = {}
        y = float(_TOP)
        for lane in lanes:
            rows = [row for span, row in zip(spans, self._rows, strict=True) if span.lane == lane]
            self._tops[lane] = y
            self._bottoms[lane] = y = y + _HEIGHTS[lane] + _ROW * max(rows, default=0)
        self._height = y + 6
        lanes_shown = ", ".join(map(translate, self._tops))
        self.label = translate(f"Timeline of {title}: {len(spans)} stretches in lanes for {lanes_shown}")

    def svg(self) -> str:
        """Return the `<svg>` element."""
        parts = [self._axis(), *map(self._lane, self._tops)]
        parts += [self._fold(start, end) for start, end in self._x.folds]
        bars = [self._bar(number, span) for number, span in enumerate(self._spans)]
        parts += [self._ticks(), *bars, *self._flags()]
        return (
            f'<svg class="rtnb-tl" role="group" aria-label="{escape(self.label)}" '
            f'viewBox="0 0 {self._width} {self._height:g}" width="{self._width}">{_HATCH}{"".join(parts)}</svg>'
        )

    def _rows_of_spans(self) -> list[int]:
        """Return in which row of its lane each span is drawn: the first that is free where it begins."""
        rows: list[int] = []
        ends: dict[str, list[float]] = {}
        for span in self._spans:
            if span.kind == "waiting":
                rows.append(0)
                continue
            lane = ends.setdefault(span.lane, [])
            left, right = self._x(span.start_seconds), self._x(span.end_seconds)
            row = next((n for n, end in enumerate(lane) if end <= left + 1), len(lane))
            lane[row : row + 1] = [max(right, left + 3)]
            rows.append(row)
        return rows

    def _axis(self) -> str:
        """Return ticks a person would choose, counted from the beginning; none inside a fold."""
        step = next(seconds for seconds in _STEPS_SECONDS if seconds >= 64 / self._x.pixels_per_second)
        parts = []
        for start, end, _ in self._x.pieces:
            if (start, end) in self._x.folds or math.isinf(step):
                continue
            first = math.ceil(round((start - self._origin) / step, 6))
            for n in range(first, int((end - self._origin) / step + 1e-6) + 1):
                x = self._x(self._origin + n * step)
                label = f"{n * step:.1f} s" if step < 1 else _duration(n * step)
                parts.append(
                    f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{self._height - 6:g}"/>'
                    f'<text class="small" text-anchor="middle" x="{x:.1f}" y="14">{label}</text>'
                )
        return "".join(parts)

    def _lane(self, lane: Lane) -> str:
        top, middle = self._tops[lane], (self._tops[lane] + self._bottoms[lane]) / 2 + 4
        return (
            f'<line class="base" x1="0" x2="{self._width}" y1="{top:g}" y2="{top:g}"/>'
            f'<text class="lane" x="6" y="{middle:g}">{translate(lane)}</text>'
        )

    def _fold(self, start: float, end: float) -> str:
        left, right = self._x(start), self._x(end)
        size = f'width="{right - left:.1f}" height="{self._height - _TOP - 6:g}"'
        title = translate(f"{end - start:.0f} s in which nothing happened")
        return (
            f'<rect class="fold" x="{left:.1f}" y="{_TOP}" {size}><title>{title}</title></rect>'
            f'<text class="small" text-anchor="middle" x="{(left + right) / 2:.1f}" y="{self._height - 10:g}">'
            f"{_duration(end - start)}</text>"
        )

    def _bar(self, number: int, span: Span) -> str:
        left, right = self._x(span.start_seconds), self._x(span.end_seconds)
        width = max(right - left, 3.0)
        thin = span.kind == "waiting"
        below = 38 if thin else 26 if span.lane in ("model", "person") else 9
        y = self._tops[span.lane] + below + _ROW * self._rows[number]
        plays = span.sound_seconds >= 0.02
        broken = "" if span.status == "completed" else " broken"
        height, radius = (6, 3) if thin else (26, 5)
        place = f'x="{left:.1f}" y="{y:g}" width="{width:.1f}" height="{height}" rx="{radius}"'
        body = f'<rect class="bar" {place}/>'
        if broken and not thin:
            body += f'<rect class="hatch" {place}/>'
        if plays:
            around = f'x="{left - 2:.1f}" y="{y - 2:g}" width="{width + 4:.1f}" height="{height + 4}" rx="7"'
            body += f'<rect class="played" {place}/><rect class="ring" {around}/>'
        words = escape(f"{translate(span.lane)} {span.words}, {span.seconds:.1f} s")
        act = f' role="button" tabindex="0" data-sound="{number}"' if plays else ' role="img"'
        aria = f' aria-label="{translate("Play: ") if plays else ""}{words}"'
        text = "" if thin else self._label(number, span, left, width, y)
        return f'<g class="{span.lane} {span.kind}{broken}"{act}{aria}><title>{words}</title>{body}{text}</g>'

    def _label(self, number: int, span: Span, left: float, width: float, y: float) -> str:
        """Return the words on a bar, or beside one that is too narrow, up to the next one."""
        kind, begins, room = "in", left + 6, width - 10
        if room < 8 * _CHAR:
            later = (other.start_seconds for other in islice(self._spans, number + 1, None) if other.lane == span.lane)
            next_seconds = next(later, None)
            beside = (self._width - _RIGHT if next_seconds is None else self._x(next_seconds)) - left - width - 8
            if beside > room:
                kind, begins, room = "note", left + width + 4, beside
        words = escape(_cut(span.label or KINDS.get(span.kind, ""), int(room / _CHAR)))
        return f'<text class="{kind}" x="{begins:.1f}" y="{y + 17:g}">{words}</text>' if words else ""

    def _flags(self) -> list[str]:
        """Return the marks that have a label; one that would be drawn into the words of another is left out."""
        parts = []
        free: dict[tuple[str, int], float] = {}  # where the next label of a lane may begin
        for mark in (mark for mark in self._marks if mark.label):
            x, top = self._x(mark.at_seconds), self._tops[mark.lane]
            y = top + (44 if mark.lane == "socket" else 18)
            if mark.kind in ("truncated", "interrupted"):
                y = self._bottoms[mark.lane] - (8 if mark.lane == "model" else 7)
            label = _cut(mark.label, 44)
            long = len(label) * _CHAR
            crowded = int((self._width - _RIGHT - x) / _CHAR) < min(len(mark.label), 26)
            anchor, begins = ("end", x - 6) if crowded else ("start", x + 6)
            left = begins if anchor == "start" else begins - long
            key, body = (mark.lane, int(y)), ""
            if left >= free.get(key, 0.0):
                free[key] = left + long + 8
                body = f'<text class="note" text-anchor="{anchor}" x="{begins:.1f}" y="{y:g}">{escape(label)}</text>'
            elif x < free.get(key, 0.0):  # the table has it
                continue
            parts.append(self._flag(mark, x, y, top, body))
        return parts

    def _flag(self, mark: Mark, x: float, y: float, top: float, label: str) -> str:
        line = ""
        if mark.since_seconds is not None:
            since = self._x(mark.since_seconds)
            line = f'<line class="measure" x1="{since:.1f}" x2="{x:.1f}" y1="{top + 22:g}" y2="{top + 22:g}"/>'
        cross, diamond = f"M{x - 4:.1f} {y - 9:.1f}l8 8m0 -8l-8 8", f"M{x:.1f} {y - 10:.1f}l4 5l-4 5l-4 -5z"
        shape = cross if mark.kind == "error" else diamond
        return (
            f'<g class="mark {mark.lane} {mark.kind}" role="img" aria-label="{escape(mark.label)}">'
            f'<title>{escape(mark.label)}</title>{line}<path class="flag" d="{shape}"/>{label}</g>'
        )

    def _ticks(self) -> str:
        """Return each event of the socket as a hair: up what we sent, down what came; those on one pixel are one."""
        y = self._tops["socket"] + 20
        ticks = f'<line class="wire" x1="{_LEFT}" x2="{self._width - _RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        for kind, direction in (("sent", "v-9"), ("received", "v9")):
            xs = sorted({round(self._x(m.at_seconds)) for m in self._marks if m.kind == kind and not m.label})
            path = "".join(f"M{x} {y:g}{direction}" for x in xs)
            ticks += f'<path class="tick" d="{path}"><title>{translate(kind)}</title></path>'
        return ticks


def _cut(text: str, letters: int) -> str:
    text = " ".join(text.split())
    return "" if letters < 4 else text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else clock(seconds) + " min"
