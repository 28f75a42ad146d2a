"""The end of a run: everything is back, everything is synced, and then it is compared."""

from __future__ import annotations

import time
from collections.abc import Sequence

from faults.breaking import Say
from faults.cluster import Cluster
from faults.expected import Barrier
from faults.life import Undetermined
from faults.oracle import Unsettled, differences, settled
from kindred.errors import KindredError

READY_SECONDS = 180.0


def judged(
    made: Cluster, barriers: Sequence[Barrier], say: Say, settle_seconds: float = 180.0
) -> tuple[float, list[str]]:
    """After how many seconds it was settled, and what differs; [] means equal."""
    say("all servers are back; waiting until everything is synced")
    began = time.monotonic()
    try:
        _await_workers(made)
        settled(made.direct, settle_seconds)
        seconds = time.monotonic() - began
        say(f"settled after {seconds:.1f} s; comparing")
        return seconds, differences(made.direct, barriers) + made.look_after_workers()
    except (Unsettled, Undetermined, KindredError) as error:
        return time.monotonic() - began, [f"{type(error).__name__}: {error}"]


def _await_workers(made: Cluster) -> None:
    """Raises Unsettled with what they say, where one does not become ready by itself."""
    deadline = time.monotonic() + READY_SECONDS
    while not (made.look_after_workers() or made.is_ready()):
        if time.monotonic() > deadline:
            raise Unsettled(f"after {READY_SECONDS:g} s workers are not ready: {made.readiness()}")
        time.sleep(0.5)
