"""Servers for the tests, started when a test first asks for one.

`kafka_bootstrap`, `postgres_url` and `qdrant_url` last for the whole run; `settings` gives each test a
namespace of its own on them, with topics, so that no test sees what another one left.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from servers import sources
from servers.ladder import Source, first_of

if TYPE_CHECKING:
    from kindred.settings import Settings

TAKEN = pytest.StashKey[dict[str, set[str]]]()  # servers, each with where it was found


def pytest_configure(config: pytest.Config) -> None:
    """Room for what the summary says; kafka-python 3.0 reads its own schemas in a deprecated way.

    A run that a shell started in the background ignores Ctrl-C, and so would all processes that tests start
    and interrupt.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[TAKEN] = {}
    config.addinivalue_line("filterwarnings", r"ignore:(read|open)_text is deprecated:DeprecationWarning")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say which servers these results hold for."""
    for server, sources_taken in config.stash[TAKEN].items():
        terminalreporter.write_line(f"{server}: {'; '.join(sorted(sources_taken))}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist has servers of its own: the one that prints the summary must hear of them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["servers"] = {
            server: list(taken) for server, taken in session.config.stash[TAKEN].items()
        }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Hear it."""
    for server, taken in getattr(node, "workeroutput", {}).get("servers", {}).items():
        node.config.stash[TAKEN].setdefault(server, set()).update(taken)


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> Iterator[str]:
    """host:port of a Kafka broker."""
    yield from _address("Kafka", sources.kafka(), pytestconfig)


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """postgresql:// URL of a superuser, who makes the roles that workers and commands have."""
    from servers.roles import dropped_at_the_end

    for url in _address("Postgres", sources.postgres(), pytestconfig):
        with dropped_at_the_end(url):
            yield url


@pytest.fixture(scope="session")
def qdrant_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """http:// URL of a Qdrant."""
    yield from _address("Qdrant", sources.qdrant(), pytestconfig)


@pytest.fixture
def settings(kafka_bootstrap: str, postgres_url: str, qdrant_url: str) -> Iterator[Settings]:
    """A namespace of this test's own on the servers, topics included; removed afterwards."""
    # Imported here, as in `sources`: unit tests shall not wait for the clients of three servers.
    from servers.namespace import fresh_namespace

    with fresh_namespace(kafka_bootstrap, postgres_url, qdrant_url) as settings:
        yield settings


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _address(server: str, choice: dict[str, Source], config: pytest.Config) -> Iterator[str]:
    def taken(source: str, address: str) -> None:
        place = urlsplit(address).netloc.rpartition("@")[2] or address
        config.stash[TAKEN].setdefault(server, set()).add(f"{source}, {place}")

    with first_of(choice, taken) as address:
        yield address
