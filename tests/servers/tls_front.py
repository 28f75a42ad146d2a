"""TLS in front of a server that speaks in the clear, with whatever certificate a test wants to show."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kindred.local.processes import free_port
from servers.certificates import Certificate

CHUNK_BYTES = 65_536


@contextmanager
def tls_front(
    target_port: int, certificate: Certificate, *, port: int | None = None, client_ca: Path | None = None
) -> Iterator[int]:
    """Its port, which leads to `target_port`; with `client_ca`, clients must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", port or free_port()))
    threading.Thread(target=_accept, args=(listener, context, target_port), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):  # wakes the thread that accepts
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, context: ssl.SSLContext, target_port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, target_port), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, target_port: int) -> None:
    # Not asyncio, which hangs up on a refused certificate without the alert that says so.
    with (
        suppress(OSError),
        client,
        context.wrap_socket(client, server_side=True) as secure,
        socket.create_connection(("127.0.0.1", target_port)) as server,
    ):
        while _pass_on(secure, server):
            pass


def _pass_on(secure: ssl.SSLSocket, server: socket.socket) -> bool:
    """What has arrived on either side; False at its end."""
    arrived = [secure] if secure.pending() else select.select([secure, server], [], [])[0]
    for source in arrived:
        chunk = source.recv(CHUNK_BYTES)
        if not chunk:
            return False
        (server if source is secure else secure).sendall(chunk)
    return True
