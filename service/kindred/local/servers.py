"""The three servers on this machine, for `kindred local`, `kindred demo` and the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kindred.local import broker, postgres, qdrant


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are."""

    kafka: str
    qdrant: str
    postgres: str

    def environment(self) -> dict[str, str]:
        """The settings that make any Kindred command use these servers."""
        return {
            "KINDRED_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "KINDRED_KAFKA__SESSION_TIMEOUT_MS": str(broker.SESSION_TIMEOUT_MS),
            "KINDRED_KAFKA__FETCH_MAX_WAIT_MS": str(broker.FETCH_MAX_WAIT_MS),
            "KINDRED_POSTGRES__URL": self.postgres,
            "KINDRED_QDRANT__URL": self.qdrant,
        }


class EmbeddedServers:
    """Kafka, Postgres and Qdrant as processes of their own, in a temporary folder.

        with EmbeddedServers() as servers:
            subprocess.run(["kindred", "migrate"], env={**os.environ, **servers.environment()})

    Leaving stops them and deletes the folder, also after an exception or Ctrl-C; when this process is
    killed, their watchdogs do it. Raises Misconfigured when one of them does not start.
    """

    addresses: Addresses
    folder: Path

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = stack.enter_context(temporary_folder())
            # Started side by side; Postgres last, because initdb is waited for.
            kafka = stack.enter_context(broker.launch(self.folder))
            vectors = stack.enter_context(qdrant.launch(self.folder))
            database = stack.enter_context(postgres.launch(self.folder))
            for server in (kafka, vectors, database):
                server.wait_until_ready()
            self.addresses = Addresses(kafka.address, vectors.address, database.address)
            self._running = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def environment(self) -> dict[str, str]:
        """The settings that make any Kindred command use these servers."""
        return self.addresses.environment()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that goes with the block. Others may pass through it, since Postgres never runs as root."""
    with tempfile.TemporaryDirectory(prefix="kindred-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
