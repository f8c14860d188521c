"""Run every chapter as a script: python -m tutorials.tools.run"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tutorials.tools.chapters import chapters

BUDGET, BUDGET_OF_ALL = 60, 480  # seconds, on two cores


def run(path: Path) -> tuple[float, str]:
    """Run one chapter; return its seconds, and what went wrong or ""."""
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, path],
            env={"OMP_NUM_THREADS": "1", **os.environ, "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            timeout=BUDGET,
        )
    except subprocess.TimeoutExpired:
        return BUDGET, f"not finished after {BUDGET} s"
    trouble = f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return time.perf_counter() - started, trouble if done.returncode else ""


def main() -> None:
    total, failed = 0.0, []
    for path in chapters():
        seconds, trouble = run(path)
        total += seconds
        print(f"{path.name:<32} {seconds:5.1f} s  {trouble or 'ok'}", flush=True)
        if trouble:
            failed.append(path.name)
    print(f"{'all chapters':<32} {total:5.1f} s")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    if total > BUDGET_OF_ALL:
        sys.exit(f"all chapters together may take at most {BUDGET_OF_ALL} s")


if __name__ == "__main__":
    main()
