"""A server that a test stops, kills, freezes and starts again, with the same files and port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from kindred.local.processes import ChildProcess
from kindred.local.server import Server


@dataclass(slots=True)
class Restartable:
    """`address` stays the same across restarts."""

    address: str
    answers: Callable[[], bool]
    process: ChildProcess
    _start: Callable[[], ChildProcess]

    def kill(self) -> None:
        """kill -9 of every process it has."""
        self.freeze()  # so that nobody sees the others die
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.kill()

    def stop(self) -> None:
        self.process.stop()

    def start(self) -> None:
        """Return once it answers."""
        self.process = self._start()
        self.process.wait_until(self.answers, timeout_seconds=60)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, the kernel takes bytes, nobody answers."""
        psutil.Process(self.process.pid).suspend()  # the leader first: no backend is born meanwhile
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.suspend()

    def thaw(self) -> None:
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.resume()

    def _family(self) -> list[psutil.Process]:
        # Postgres' backends lead sessions of their own: the process group does not reach them.
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]


@contextmanager
def restartable(server: Server) -> Iterator[Restartable]:
    """Of a server that was launched and is ready; stopped at the end, in whatever state it is."""
    server.wait_until_ready()
    found = psutil.Process(server.process.pid)
    command, user_id, stop_signal = found.cmdline(), found.uids().real, server.process._stop_signal
    log = server.process.log

    def start() -> ChildProcess:
        return ChildProcess(
            server.process.name, command, log=log, stop_signal=stop_signal, user_id=user_id or None
        )

    held = Restartable(server.address, server.answers, server.process, start)
    try:
        yield held
    finally:
        if held.process.exit_code is None:
            held.thaw()
        held.stop()
