"""What `import rtnb` costs, beside the imports nobody gets around.

Run it: `python tests/benchmarks/bench_import.py`. Fresh processes, taken in turns, median of 15; the claim
is the ratio: at most 1.3 times `import websockets.asyncio.client` and `import numpy` together. What is imported when it
is first used is used.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 15
WAYS = {
    "the two nobody gets around": "import websockets.asyncio.client, numpy",
    "import rtnb": "import rtnb",
    "import rtnb; rtnb.connect": "import rtnb; rtnb.connect.__doc__",
    "import rtnb; a Clip": "import rtnb; rtnb.Clip.from_pcm(bytes(4800), rate_hz=24_000).seconds",
    "import rtnb; ask and a Clip": "import rtnb; rtnb.ask.__doc__; rtnb.samples()['question'].seconds",
}


def seconds(statement: str) -> float:
    code = f"import time; t = time.perf_counter()\n{statement}\nprint(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> dict[str, float]:
    """Print the table; gives how many times as long as the first each takes."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, statement in WAYS.items():
            times[name].append(seconds(statement))
    base = statistics.median(times["the two nobody gets around"])
    ratios = {name: statistics.median(taken) / base for name, taken in times.items()}
    for name, ratio in ratios.items():
        print(f"{name:34} {ratio * base * 1000:7.1f} ms   {ratio:.2f} x")
    return ratios


if __name__ == "__main__":
    main()
