"""All that has a goal, in one table: the row, its figure on this machine, the goal, and what ten times the work costs.

Run it: `python tests/benchmarks [ROW …]`, where a row is named by words of it (`python tests/benchmarks receive map`).
Figures in seconds hold for a quiet machine; those in “x” are ratios to the limit or to a rival in the same run. All of
it takes about half an hour; each part prints its own table as it comes, and the whole comes last.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator

import bench_growth
import bench_import
import bench_long_file
import bench_streaming

Row = tuple[str, float, str, str]  # its name, its figure, what it may be, what ten times the work costs

RECEIVED, SENT = 0.65, 0.8  # of the limit


def commands() -> Iterator[Row]:
    """CPU time of commands that only print, over Python's own start; how soon the demo speaks."""
    start_ms = min(_cpu_ms("-c", "pass") for _ in range(9))
    for words in ("--help", "prices"):
        taken_ms = min(_cpu_ms("-m", "rtnb.cli", words) for _ in range(9))
        yield f"rtnb {words}, ms over Python's start", taken_ms - start_ms, "≤ 60", ""
    said = subprocess.run(
        [sys.executable, "-m", "rtnb.cli", "demo", "--practice"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LANGUAGE": "en"},
    ).stdout
    if first := re.search(r"First sound after (\d+) ms", said):
        yield "demo: first sound, s", int(first[1]) / 1000, "≤ 0.8", ""


def _cpu_ms(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def imports() -> Iterator[Row]:
    for name, times in bench_import.main().items():
        yield f"{name}, x", times, "≤ 1.3", ""


def streaming() -> Iterator[Row]:
    for what, rates in bench_streaming.measure(10.0).items():
        own = "receive_rtnb" if what.startswith("receive") else "send_rtnb"
        limit = rates[own.replace("rtnb", "limit")]
        yield f"{what}, audio-s per CPU-s", rates[own], "", ""
        if what.startswith("receive"):
            yield f"{what}, x of the limit", rates[own] / limit, f"≥ {RECEIVED}", ""
            yield f"{what}, x of the article's loop", rates[own] / rates["receive_article"], "> 1", ""
        else:
            yield f"{what}, x of the limit", rates[own] / limit, f"≥ {SENT}" * ("24 kHz" in what), ""
            rivals = [rates[name] for name in ("send_article", "send_librosa") if name in rates]
            if rivals:
                yield f"{what}, x of the best rival", rates[own] / max(rivals), "≥ 0.9", ""


def growth() -> Iterator[Row]:
    """What grows with a session: at ten times the size the goals are for, where it is not said otherwise."""
    goals = {
        ("text_reply", "reply, MiB"): "≤ 10",
        ("translation", "translation, MiB"): "≤ 30",
        ("session", "turns, MiB"): "≤ 60 at 2,000 turns",
        ("session", "timeline, CPU s"): "≤ 0.5 at 2,000 turns",
        ("session", "save, CPU s"): "≤ 3 at 2,000 turns",
        ("session", "open, CPU s"): "≤ 0.5 at 2,000 turns",
        ("session", "open, MiB"): "≤ 30 at 2,000 turns",
        ("replay", "ms per turn"): "≤ 5, flat",
        ("turns_shown", "first, CPU s"): "≤ 0.4",
        ("turns_shown", "again, CPU s"): "≤ 0.02",
        ("turns_shown", "page, KiB per minute"): "≤ 300",
        ("many", "first answer, s"): "≤ 1",
        ("many", "ms per recording"): "growth ≤ 1.1",
    }
    found = bench_growth.main([])
    for (name, figure), goal in goals.items():
        if name in found:
            small, large = (figures[figure] for figures in found[name])
            yield f"{name}: {figure}", large, goal, f"{large / small:.1f} x" if small > 0 else ""


def long_files() -> Iterator[Row]:
    for name, added_mb in bench_long_file.main().items():
        yield f"memory an hour adds through `ask`, {name}, MB", added_mb, "≤ 12" * ("rtnb" in name), ""


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "help prices demo": commands,
    "import": imports,
    "receive send wav mp3 m4a": streaming,
    "reply translation session timeline save open replay turns map": growth,
    "memory ask": long_files,
}


def main(words: list[str]) -> None:
    rows: list[Row] = []
    for names, part in PARTS.items():
        if not words or {*words} & {*names.split()}:
            rows += part()
    print(f"\n{'':56}{'here':>10}   {'goal':24}ten times the work")
    for name, figure, goal, grown in rows:
        print(f"{name:56}{figure:10.2f}   {goal:24}{grown}")


if __name__ == "__main__":
    main(sys.argv[1:])
