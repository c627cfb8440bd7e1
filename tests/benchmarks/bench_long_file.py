"""`ask` on a 60-minute recording: how soon the first sound is on the wire, and how much memory the whole costs.

Run it: `python tests/benchmarks/bench_long_file.py`. Each format in a process of its own, the modules it needs
imported before the clock starts, beside the article's way (decode it all, then send) in the same run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_audio import MINUTES, hour
from bench_streaming import Server, send_article


def peak_kb() -> int:
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])


def run(name: str, url: str, path: str) -> None:
    """One client in this process; prints milliseconds to the first append and megabytes added."""
    import av  # noqa: F401
    import pydub  # noqa: F401
    import soxr  # noqa: F401

    from rtnb.opening import connect

    with connect(url=url) as warm:  # threads, sockets, TLS: what any session costs
        warm.ask("warm").wait(30)
    before_kb = peak_kb()
    if name == "article":
        asked = time.perf_counter()
        first = send_article(lambda: None, url, path)
    else:
        with connect(url=url) as chat:
            asked = time.perf_counter()
            reply = chat.ask(Path(path))
            while not any(entry.type == "input_audio_buffer.append" for entry in chat.log):
                time.sleep(0.0005)
            first = time.perf_counter() - asked
            while not reply.responses:
                time.sleep(0.05)
    added_kb = peak_kb() - before_kb
    print(json.dumps({"first_ms": first * 1000, "added_mb": added_kb / 1024}))


def main() -> dict[str, float]:
    """Print the table; gives the megabytes that each way adds."""
    added_mb = {}
    print(f"Recordings of {MINUTES} minutes; limits: first append within 100 ms, at most 12 MB added")
    with tempfile.TemporaryDirectory() as folder, Server(0.01) as url:
        for path in hour(Path(folder)):
            for way in ("rtnb", "article") if path.suffix == ".wav" else ("rtnb",):
                words = [sys.executable, __file__, "--run", way, url, str(path)]
                done = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
                added_mb[f"{way} {path.suffix[1:]}"] = done["added_mb"]
                print(f"  {way:8} {path.suffix:5} first append after {done['first_ms']:8.1f} ms, "
                      f"{done['added_mb']:7.1f} MB added")  # fmt: skip
    return added_mb


if __name__ == "__main__":
    run(*sys.argv[2:]) if "--run" in sys.argv else main()
