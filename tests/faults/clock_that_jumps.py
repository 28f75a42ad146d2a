"""A worker whose wall clock jumps a while after its start: `python clock_that_jumps.py SECONDS AFTER`."""

from __future__ import annotations

import sys
import time


def jump(shift_seconds: float, after_seconds: float) -> None:
    """Let `time.time` and `time.time_ns` jump in so many seconds; monotonic clocks go on."""
    honest, honest_ns, began = time.time, time.time_ns, time.monotonic()

    def shift() -> float:
        return shift_seconds if time.monotonic() - began > after_seconds else 0.0

    time.time = lambda: honest() + shift()
    time.time_ns = lambda: honest_ns() + int(shift() * 1e9)


if __name__ == "__main__":
    jump(float(sys.argv[1]), float(sys.argv[2]))

    from kindred import cli  # only now: whatever takes the function itself takes the one that jumps

    sys.argv[1:] = ["worker"]
    cli.main()
