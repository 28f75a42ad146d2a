"""A worker's place in a cluster: the process in it comes and goes, and is looked after as by a supervisor."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from kindred.local.processes import ChildProcess
from kindred.settings import Settings
from running import beside, is_ready, worker_process

# What a worker says that ends because a server is away or busy when it starts: a supervisor tries again.
AWAY_AT_START = ("does not answer", "could not do this now")


@dataclass(slots=True)
class Worker:
    """`restarts` counts the starts that found a server away."""

    settings: Settings
    log: Path
    restarts: int = 0
    _process: ChildProcess | None = None
    _has_been_ready: bool = False

    def start(self) -> None:
        if self._process is not None:
            raise RuntimeError(f"{self.log.name} has a worker already")
        self.settings = beside(self.settings)  # its port may have been taken by a connection meanwhile
        self._has_been_ready = False
        self._process = worker_process(self.settings, self.log)

    def stop(self) -> None:
        """SIGTERM, and its end is waited for."""
        self.signal(signal.SIGCONT)
        if (ending := self._taken_out()) is not None:
            ending.stop()

    def kill(self) -> None:
        if (ending := self._taken_out()) is not None:
            ending.kill()

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.exit_code is None:
            os.kill(self._process.pid, number)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def look_after(self) -> str:
        """Start it again where a server was away at its start; how it ended, if it did for another reason."""
        process = self._process
        if process is None:
            return ""
        if process.exit_code is None:
            with suppress(httpx.TransportError):  # killed this moment
                self._has_been_ready = self._has_been_ready or is_ready(self.settings)
            return ""
        if self._process is not process:  # taken out this moment
            return ""
        last = self.log.read_text(errors="replace").splitlines()[-3:]
        if self._has_been_ready or not any(each in line for line in last for each in AWAY_AT_START):
            return f"a worker ended with code {process.exit_code}: {' / '.join(last)}"
        self.restarts += 1
        self._process = None
        self.start()
        return ""

    def _taken_out(self) -> ChildProcess | None:
        """Before it ends, so that nobody thinks it ended by itself."""
        process, self._process = self._process, None
        return process
