"""A TCP proxy in front of a server, which can be told to refuse connections or to swallow everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

from kindred.local.processes import free_port

State = Literal["open", "refusing", "silent"]
CHUNK_BYTES = 65_536


class Proxy:
    """`url` leads to `target` while the state is `open`."""

    def __init__(self, target: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._target = urlsplit(target)
        self._state: State = "refusing"
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self.become("open")

    def become(self, state: State) -> None:
        """`refusing`: nobody listens, and what was open is reset. `silent`: bytes go nowhere."""
        self._state = state
        if state == "refusing":
            self._stop_listening()
        elif self._listener is None:
            self._listen()
        for connection in tuple(self._connections) if state != "silent" else ():
            self._end(connection)

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            # Closing alone would leave the accepting thread's call, and with it the port, open.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection((self._target.hostname or "", self._target.port or 0))
                self._connections |= {here, there}
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                if self._state == "open":
                    sink.sendall(chunk)
        self._end(source)
        self._end(sink)

    def _end(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A proxy that is gone at the end."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.become("refusing")
