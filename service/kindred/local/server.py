"""One embedded server: its process, the address that clients use, and how to tell that it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kindred.local.processes import ChildProcess

START_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A launched server; leaving the `with` stops it.

    with postgres.launch(folder) as server:
        server.wait_until_ready()
    """

    process: ChildProcess
    address: str
    answers: Callable[[], bool]

    def wait_until_ready(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Raises Misconfigured, with the last lines of its log, when it does not come up."""
        self.process.wait_until(self.answers, timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.stop()
