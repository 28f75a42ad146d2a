"""Qdrant for a machine without one: qdrant-client's local mode behind HTTP on loopback.

`python -m kindred.local.qdrant_server --port 0` prints its port and serves until SIGTERM. The points live in
memory and are gone afterwards. It answers the REST calls that Kindred makes, so that worker, queries
and tests are processes of their own with the one real client. An API key is taken from the
real server's variable, QDRANT__SERVICE__API_KEY. Not for production: exact search, no index.
"""

from __future__ import annotations

import argparse
import gc
import hmac
import os
import signal
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from kindred.local.qdrant_api import Api, RefusedRequestError, encode


class Server(ThreadingHTTPServer):
    """A thread for each connection, one lock around local mode, which is not thread-safe."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.api = Api()
        self.lock = threading.Lock()
        self.api_key = os.environ.get("QDRANT__SERVICE__API_KEY", "")

    @property
    def port(self) -> int:
        """The port it listens on, also where 0 was asked for."""
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: Server

    def do_GET(self) -> None:
        """Answer any method alike."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        status, answer = self._answer(path, body) if self._may(path) else _DENIED
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def _may(self, path: list[str]) -> bool:
        given = self.headers.get("api-key", "").encode()
        return hmac.compare_digest(given, self.server.api_key.encode()) or path in _OPEN_TO_ALL

    def _answer(self, path: list[str], body: bytes) -> tuple[int, bytes]:
        try:
            with self.server.lock:
                return 200, encode(self.server.api.answer(self.command, path, body))
        except RefusedRequestError as error:
            return error.status, _failure(str(error))
        except Exception as error:
            # Any fault of local mode must be an answer: a closed connection would look like an outage.
            return 500, _failure(f"Service internal error: {error!r}")

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: stdout carries the port only."""


def _failure(reason: str) -> bytes:
    return encode({"time": 0.0, "status": {"error": reason}, "result": None})


_OPEN_TO_ALL: tuple[list[str], ...] = ([], ["healthz"], ["readyz"], ["livez"])  # as the real server has it
_DENIED = (401, b"Must provide an API key or an Authorization bearer token")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Qdrant's local mode behind HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6333)
    arguments = parser.parse_args()
    # Points are plain values in no cycles, and walking 100,000 of them at each full collection takes seconds.
    gc.set_threshold(10_000, 1_000, 1_000_000)
    warnings.filterwarnings("ignore", module="qdrant_client")
    with Server(arguments.host, arguments.port) as server:
        for stop in (signal.SIGTERM, signal.SIGINT):
            # shutdown() waits for the loop that this handler interrupts, hence the thread.
            signal.signal(stop, lambda *_: threading.Thread(target=server.shutdown).start())
        print(server.port, flush=True)
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
