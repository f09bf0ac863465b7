"""All benchmarks, one after the other: `make bench`, or `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

PARTS = ("benchmarks.start", "benchmarks.calls", "benchmarks.cache", "benchmarks.passing")

if __name__ == "__main__":
    for part in PARTS:
        print(f"== python -m {part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)
