"""Child processes that never outlive the one that started them.

    with ChildProcess("worker", ["kindred", "worker"], log=folder / "worker.log") as worker:
        worker.wait_until(is_ready, timeout_seconds=30)

A child gets a process group of its own, so that Ctrl-C reaches the parent alone, which then stops its
children in order; watchdog.py stops them when the parent is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kindred.errors import Misconfigured
from kindred.local import watchdog

LOG_LINES_SHOWN = 5


class ChildProcess:
    """A running command; `pid` is its own, and the id of its process group.

    Its output goes to `log`. `stop_signal` asks it to end (Postgres: SIGINT, which does not wait for
    clients). `environment` is added to this process's own. `user_id`: run as that user (root only).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        user_id: int | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start it. `folder`, if given, is deleted should this process be killed before it calls `stop`."""
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                user=user_id,
                group=user_id,
                extra_groups=None if user_id is None else [],
            )
        self.pid = self._process.pid
        self._watchdog = _start_watchdog(self.pid, stop_signal, folder)
        self._stopped = False

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once `ready()` is true. Raises Misconfigured with the log's last lines if it never is."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.exit_code is not None:
                raise Misconfigured(f"{self.name} ended with code {self.exit_code}. {self._last_words()}")
            if time.monotonic() > deadline:
                raise Misconfigured(f"{self.name}: not ready in {timeout_seconds:g} s. {self._last_words()}")
            time.sleep(0.02)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for its own end; returns the exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_seconds)

    def stop(self, timeout_seconds: float = 15.0) -> int:
        """Ask it to end, kill it after `timeout_seconds`; returns the exit code. May be called again."""
        if self.exit_code is None:
            self._signal_group(self._stop_signal)
            self._wait_or_kill(timeout_seconds)
        return self.kill()

    def kill(self) -> int:
        """kill -9 with its whole process group; returns the exit code. May be called again."""
        if not self._stopped:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            self._watchdog.kill()
            self._watchdog.wait()
        self._stopped = True
        return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_or_kill(self, timeout_seconds: float) -> None:
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return
        except BaseException:  # a second Ctrl-C: it shall not wait, and nothing shall stay behind
            self.kill()
            raise

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of a group that has ended
            os.killpg(self.pid, number)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return f"The end of {self.log}: {' / '.join(lines) or 'nothing was written'}"


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _start_watchdog(child: int, stop_signal: signal.Signals, folder: Path | None) -> subprocess.Popen[bytes]:
    arguments = [str(os.getpid()), str(child), str(int(stop_signal)), str(folder or "")]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", watchdog.__file__, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
