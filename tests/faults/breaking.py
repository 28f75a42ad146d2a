"""Carries a schedule of faults out on a cluster, and watches that nothing ends that nobody ended."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from faults.cluster import Cluster
from faults.injection import injected
from faults.schedule import Fault

LOOK_SECONDS = 1.0
STATUS_SECONDS = 15.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Breaking:
    """Each fault on a thread of its own, at its time. `status` is said every now and then."""

    made: Cluster
    stop: threading.Event
    say: Say
    status: Callable[[], str]
    injected: list[Fault] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what must not happen, and did
    _targets: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _threads: list[threading.Thread] = field(default_factory=list)
    _said_at: float = 0.0

    def run(self, faults: Sequence[Fault], seconds: float) -> None:
        """Returns when all are over and the time is up, or something is wrong; then all is mended again."""
        began = self._said_at = time.monotonic()
        try:
            for fault in faults:
                if not self._wait_until(began + fault.at_seconds):
                    return
                self._begin(fault)
            self._wait_until(began + seconds)
        except BaseException:
            self.stop.set()
            raise
        finally:
            for thread in self._threads:
                thread.join()

    def _begin(self, fault: Fault) -> None:
        self.say(str(fault))
        thread = threading.Thread(target=self._inject, args=(fault,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _inject(self, fault: Fault) -> None:
        try:
            # On a busy machine the one before may take longer than was scheduled.
            with self._targets[fault.target], injected(self.made, fault):
                self.injected.append(fault)
                self.stop.wait(fault.seconds)
        except BaseException as failure:
            self.say(f"{fault} FAILED: {failure!r}")
            self.wrong.append(f"a fault could not be injected or mended: {fault}: {failure!r}")

    def _wait_until(self, due: float) -> bool:
        """Whether to go on."""
        while not self.wrong and (left := due - time.monotonic()) > 0:
            if self.stop.wait(min(left, LOOK_SECONDS)):
                return False
            self.wrong += self.made.look_after_workers()
            self._report()
        return not self.wrong

    def _report(self) -> None:
        if time.monotonic() - self._said_at >= STATUS_SECONDS:
            self._said_at = time.monotonic()
            self.say(f"          {self.status()}")
