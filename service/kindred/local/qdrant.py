"""Qdrant on this machine: the thin server over qdrant-client's local mode, as a process of its own."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

from kindred.local.processes import ChildProcess, free_port
from kindred.local.server import Server


def launch(folder: Path, api_key: str = "") -> Server:
    """Start it on a free port of the loopback interface; its log goes to `folder`.

    With a key it answers only whoever sends it.
    """
    port = free_port()
    process = ChildProcess(
        "Qdrant",
        [sys.executable, "-m", "kindred.local.qdrant_server", "--port", str(port)],
        log=folder / "qdrant.log",
        environment={"QDRANT__SERVICE__API_KEY": api_key},
        folder=folder,
    )
    url = f"http://127.0.0.1:{port}"
    return Server(process, url, lambda: answers(url))


def answers(url: str) -> bool:
    """Whether a Qdrant answers at this address."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
