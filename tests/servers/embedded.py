"""The embedded servers, one at a time: a test that needs Postgres alone starts Postgres alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from servers.ladder import Source

if TYPE_CHECKING:
    from kindred.local.server import Server


def embedded(launch: Callable[[Path], Server]) -> Source:
    """A server from `kindred.local`, as a source."""

    @contextmanager
    def running() -> Iterator[str]:
        from kindred.local.servers import temporary_folder

        with temporary_folder() as folder, launch(folder) as server:
            server.wait_until_ready()
            yield server.address

    return running
