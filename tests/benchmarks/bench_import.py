"""What `import rtnb` costs, beside the imports nobody gets around.

Run it: `python tests/benchmarks/bench_import.py`. Fresh processes, taken in turns, median of 15; the claim
is the ratio: at most 1.3 times `import websockets.asyncio.client` and `import numpy` together.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 15
WAYS = {
    "the two nobody gets around": "import websockets.asyncio.client, numpy",
    "import rtnb": "import rtnb",
    "import rtnb; rtnb.connect": "import rtnb; rtnb.connect",
    "import rtnb; rtnb.ask, rtnb.Clip": "import rtnb; rtnb.ask; rtnb.Clip",
}


def seconds(statement: str) -> float:
    code = f"import time; t = time.perf_counter()\n{statement}\nprint(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, statement in WAYS.items():
            times[name].append(seconds(statement))
    base = statistics.median(times["the two nobody gets around"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:34} {median * 1000:7.1f} ms   {median / base:.2f} x")


if __name__ == "__main__":
    main()
