"""The service on this machine, with a hand on each end: Kafka for events, Qdrant for answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kindred.client import KindredClient
from kindred.composition import contract
from kindred.events.producer import Producer
from kindred.events.schema import Contract
from kindred.local.dataset import Value
from kindred.local.demo import scenario
from kindred.local.demo.declaration_file import to_toml
from kindred.local.demo.scenario import Scenario
from kindred.local.demo.stream import Streamed, Streamer
from kindred.local.demo.worker_process import WorkerProcess, started
from kindred.local.installation import install
from kindred.settings import Settings


@dataclass(frozen=True, slots=True)
class Stage:
    """A worker with an empty installation, and what the demo asks and tells it."""

    contract: Contract
    worker: WorkerProcess
    producer: Producer
    client: KindredClient
    streamer: Streamer

    def stream(self, what: str, values: Sequence[Value], rate: float = 0.0) -> Streamed:
        """Produce these values and wait until all of them are searchable."""
        return self.streamer.stream(what, list(scenario.records(values, self.contract)), rate)


@contextmanager
def set_up(settings: Settings, data: Scenario, live: Console) -> Iterator[Stage]:
    """Topics, schema, and a worker on the trained model; the worker is stopped at the end."""
    install(settings)
    with (
        started(settings.checkpoint.parent) as worker,
        Producer(settings.kafka) as producer,
        KindredClient(settings.qdrant.url, timeout_seconds=settings.qdrant.timeout_seconds) as client,
    ):
        terms = contract(settings, data.dataset.declaration)
        yield Stage(terms, worker, producer, client, Streamer(producer, worker, live))


def own_settings(folder: Path, data: Scenario) -> dict[str, str]:
    """Settings of the demo besides the servers' addresses; writes the data set's declaration to `folder`."""
    declaration = folder / "declaration.toml"
    declaration.write_text(to_toml(data.dataset.declaration))
    return {
        "KINDRED_DECLARATION": str(declaration),
        "KINDRED_CHECKPOINT": str(folder / "model"),
        "KINDRED_POSTGRES__RETENTION_DAYS": "0",  # all of the data counts, however long it reaches back
    }
