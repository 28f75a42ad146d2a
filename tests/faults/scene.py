"""A worker at work, a proxy before each of its servers, and every event that was ever sent to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.oracle import differences, settled
from http_faults import HttpFaults, http_faults
from kindred.settings import Settings
from proxy import Proxy, proxied
from running import (
    Sender,
    eventually,
    is_alive,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    ready,
    running,
)
from servers.restartable import Restartable
from truth import assert_exact

LOGGED = "SELECT count(*) FROM interaction"

# Short, so that a test sees the end of a wait; each is longer than any honest answer here.
HASTY_POSTGRES = {"statement_timeout_seconds": 1.5, "lock_timeout_seconds": 1.0}
HASTY_QDRANT = {"timeout_seconds": 1.0}


@dataclass
class Scene:
    """`settings` are the worker's, which lead through the proxies; `direct` lead past them."""

    settings: Settings
    direct: Settings
    kafka: Proxy
    postgres: Proxy
    qdrant: Proxy
    qdrant_http: HttpFaults
    produce: Sender
    events: list[dict[str, Any]] = field(default_factory=list)

    def clicks(self, number: int = 60) -> None:
        """Some more events, in the producer's hands when this returns: Kafka itself may be away."""
        for event in many(number, first=len(self.events)):
            self.click(event)

    def click(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.produce.raw("interactions", event["user_id"], json.dumps(event).encode())

    def logged(self) -> int:
        return int(one(self.direct, LOGGED))

    def away(self, server: str, because: str = "", seconds: float = 30) -> str:
        """Wait until /readyz is red for that server and this reason (a pattern); /healthz stays green.

        Returns the reason. The first one may be another: a cut connection, before new ones are refused.
        """
        reason = eventually(lambda: self._reason(server, because), seconds)
        assert is_alive(self.settings)
        return str(reason)

    def _reason(self, server: str, because: str) -> str | None:
        reason = ready(self.settings).get("reasons", {}).get(f"{server} is away")
        return reason if reason and re.search(because, reason) else None

    def settle(self, seconds: float = 30) -> None:
        """Everything that was sent has arrived, exactly, by itself."""
        self.produce.flush(timeout_seconds=60)
        eventually(lambda: self.logged() == len(self.events), seconds)
        eventually(lambda: is_ready(self.settings), seconds)
        # What was not committed comes again, and raises revisions while somebody compares.
        eventually(self._is_exact, seconds)

    def _is_exact(self) -> bool:
        try:
            assert_exact(self.direct, self.events)
        except (AssertionError, KeyError):
            return False
        return True

    def rebalances(self) -> float:
        return metric(self.settings, "kindred_rebalances")


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker whose clients are told to come through the proxy; native: Apache Kafka, which keeps a log."""

    server: Restartable
    proxy: Proxy
    is_native: bool


@contextmanager
def proxies(direct: Settings, kafka: Proxy, folder: Path, **worker: Any) -> Iterator[Scene]:
    """All that a worker needs, without the worker. `direct` leads to Kafka through its proxy."""
    with ExitStack() as stack:
        postgres = stack.enter_context(proxied(direct.postgres.url))
        qdrant_http = stack.enter_context(http_faults(direct.qdrant.url))
        qdrant = stack.enter_context(proxied(qdrant_http.url))
        through = {
            "postgres": direct.postgres.model_copy(update={"url": postgres.url, **HASTY_POSTGRES}),
            "qdrant": direct.qdrant.model_copy(update={"url": qdrant.url, **HASTY_QDRANT}),
        }
        settings = prepare(direct.model_copy(update=through), folder, **worker)
        produce = stack.enter_context(producing(direct))
        yield Scene(settings, direct, kafka, postgres, qdrant, qdrant_http, produce)


@contextmanager
def at_work(scene: Scene) -> Iterator[Scene]:
    """With a worker that has described films and some clicks behind it; at the end the oracle is asked."""
    with running(scene.settings):
        eventually(lambda: is_ready(scene.settings))
        eventually(lambda: scene.rebalances() > 0)
        scene.produce.films()
        scene.clicks()
        scene.settle()
        yield scene
        settled(scene.direct)
        assert differences(scene.direct) == []
