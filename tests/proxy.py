"""A TCP proxy in front of a server, with the faults of networks: refused, reset, slow, lost, held back."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from kindred.local.processes import free_port

# open: all bytes pass.
# refusing: nobody listens, and what was open is reset.
# hanging-up: accepted and reset at once, as by a load balancer with no server behind it.
# silent: a black hole. Both sides stay connected, and bytes go nowhere.
# half-open: the server has lost its side, and the client is not told. New connections reach nobody.
# stalled: bytes are held back and pass when it is open again, as after a lost route.
State = Literal["open", "refusing", "hanging-up", "silent", "half-open", "stalled"]

CHUNK_BYTES = 16_384
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """`url` (or, for Kafka, `address`) leads to `target` while the state is `open`.

    `latency_seconds` delays each chunk of at most 16 KiB; `bytes_per_second` is the width of a direction.
    `cuts` counts the connections that `cut_after` has cut.
    """

    def __init__(self, target: str, port: int | None = None) -> None:
        """`target` is a URL or host:port; nobody needs to listen there yet."""
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        split = urlsplit(target if "://" in target else f"//{target}")
        self._target = (split.hostname or "", split.port or 0)
        user, at, _ = split.netloc.rpartition("@")
        self.url = urlunsplit(split._replace(netloc=f"{user}{at}{self.address}"))
        self.latency_seconds = 0.0
        self.bytes_per_second = math.inf
        self.cuts = 0
        self._state: State = "refusing"
        self._changed = threading.Condition()
        self._bytes_left: float = math.inf
        self._listener: socket.socket | None = None
        self._pairs: set[_Pair] = set()
        self.become("open")

    def become(self, state: State) -> None:
        """Change the state. Open connections survive being `stalled`, and nothing else."""
        before = self._state
        with self._changed:
            self._state = state
            self._changed.notify_all()
        if state == "refusing":
            self._stop_listening()
        elif self._listener is None:
            self._listen()
        if state == "half-open":
            for pair in tuple(self._pairs):
                pair.lose_server()
        elif not (state in {"silent", "stalled"} or (state, before) == ("open", "stalled")):
            self.reset()

    @contextmanager
    def being(self, state: State) -> Iterator[None]:
        """In that state for the block, and open afterwards."""
        self.become(state)
        try:
            yield
        finally:
            self.become("open")

    def reset(self) -> None:
        """Reset every connection, on both sides."""
        for pair in tuple(self._pairs):
            self._end(pair)

    def cut_after(self, number_bytes: int) -> None:
        """Let so many bytes more pass, in whatever direction, then reset the connection; once."""
        self._bytes_left = number_bytes

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
                client, _ = listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        pair = _Pair(client, None if self._state in {"half-open", "hanging-up"} else self._server())
        self._pairs.add(pair)
        if self._state in {"hanging-up", "refusing"} or (pair.server is None and self._state == "open"):
            return self._end(pair)
        for source, sink in pair.directions:
            threading.Thread(target=self._copy, args=(pair, source, sink), daemon=True).start()
        return None

    def _server(self) -> socket.socket | None:
        try:
            return socket.create_connection(self._target)
        except OSError:
            return None

    def _copy(self, pair: _Pair, source: socket.socket, sink: socket.socket | None) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                self._pass(chunk, sink)
        except OSError:
            return self._end(pair) if self._is_wired else None
        return self._end(pair, goodbye=True) if self._is_wired else None

    @property
    def _is_wired(self) -> bool:
        """Whether the end of a connection is heard on its other side."""
        return self._state not in {"silent", "half-open"}

    def _pass(self, chunk: bytes, sink: socket.socket | None) -> None:
        time.sleep(self.latency_seconds + len(chunk) / self.bytes_per_second)
        with self._changed:
            self._changed.wait_for(lambda: self._state != "stalled")
            passing, self._bytes_left = min(len(chunk), self._bytes_left), self._bytes_left - len(chunk)
        if sink is not None and self._state == "open":
            sink.sendall(chunk[: int(passing)])
        if self._bytes_left <= 0:
            self._bytes_left = math.inf
            self.cuts += 1
            raise ConnectionResetError

    def _end(self, pair: _Pair, goodbye: bool = False) -> None:
        self._pairs.discard(pair)
        pair.close(goodbye)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """A client's connection, and the one to the server that stands for it."""

    client: socket.socket
    server: socket.socket | None

    @property
    def directions(self) -> list[tuple[socket.socket, socket.socket | None]]:
        if self.server is None:
            return [(self.client, None)]
        return [(self.client, self.server), (self.server, self.client)]

    def lose_server(self) -> None:
        if self.server is not None:
            _close(self.server)

    def close(self, goodbye: bool) -> None:
        for side in (self.client, self.server):
            if side is not None:
                _close(side, goodbye)


def _close(connection: socket.socket, goodbye: bool = False) -> None:
    """With an orderly end, or a reset."""
    with suppress(OSError):
        if goodbye:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, and says nothing
    connection.close()


@contextmanager
def proxied(target: str, port: int | None = None) -> Iterator[Proxy]:
    """A proxy that is gone at the end."""
    proxy = Proxy(target, port)
    try:
        yield proxy
    finally:
        proxy.become("refusing")
