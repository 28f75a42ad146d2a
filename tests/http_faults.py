"""An HTTP proxy in front of Qdrant that answers for it, answers late, or keeps the answer to itself."""

from __future__ import annotations

import http.client
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TARGET_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked, and when (monotonic)."""

    at_seconds: float
    method: str
    path: str

    @property
    def is_write(self) -> bool:
        """Whether it changes points; creating collections and reading are not."""
        path = self.path.partition("?")[0]
        return path.endswith(("/points/batch", "/points/payload", "/points/delete")) or (
            self.method == "PUT" and path.endswith("/points")
        )


@dataclass(frozen=True, slots=True)
class Answers:
    """The proxy answers itself, and Qdrant never hears of it."""

    status: int
    retry_after: str | None = None
    body: bytes = b'{"status": {"error": "answered by the test"}, "time": 0.0}'


@dataclass(frozen=True, slots=True)
class AnswersLate:
    """The request waits here before Qdrant gets it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AnswersSlowly:
    """The larger a request, the longer it waits."""

    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class LosesReply:
    """Qdrant applies it, and the connection ends without an answer."""


Fault = Answers | AnswersLate | AnswersSlowly | LosesReply


@dataclass(slots=True)
class _Plan:
    fault: Fault
    times: float  # that are left
    share: float
    only: Callable[[Request], bool]


class HttpFaults:
    """`url` leads to `target`; what happens there on the way is told by `fail` and `heal`."""

    def __init__(self, target: str, seed: int = 0) -> None:
        self.requests: list[Request] = []
        self.injected = 0
        self._target = urlsplit(target)
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._plan: _Plan | None = None
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fail(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        share: float = 1.0,
        only: Callable[[Request], bool] = lambda request: request.is_write,
    ) -> None:
        """Requests that `only` picks meet this fault from now on: all, the next few, or a share of them."""
        with self._lock:
            self._plan = _Plan(fault, math.inf if times is None else times, share, only)

    def heal(self) -> None:
        with self._lock:
            self._plan = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def meets(self, request: Request) -> Fault | None:
        """The fault that this request meets; it is noted."""
        with self._lock:
            self.requests.append(request)
            plan = self._plan
            if plan is None or not plan.only(request) or self._random.random() >= plan.share:
                return None
            self.injected += 1
            plan.times -= 1
            self._plan = plan if plan.times else None
            return plan.fault

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            self._target.hostname or "", self._target.port, timeout=TARGET_TIMEOUT_SECONDS
        )


@contextmanager
def http_faults(target: str, seed: int = 0) -> Iterator[HttpFaults]:
    """The proxy, gone at the end."""
    faults = HttpFaults(target, seed)
    try:
        yield faults
    finally:
        faults.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Nothing: a client that has gone away is what the tests are about."""


def _handler(faults: HttpFaults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One client connection."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self._server = faults.connect()

        def finish(self) -> None:
            self._server.close()
            super().finish()

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at `requests`."""

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.meets(Request(time.monotonic(), self.command, self.path))
            if isinstance(fault, Answers):
                return self._answer(fault.status, fault.body, fault.retry_after)
            if isinstance(fault, AnswersLate):
                time.sleep(fault.seconds)
            if isinstance(fault, AnswersSlowly):
                time.sleep(len(body) / fault.bytes_per_second)
            status, reply = self._ask(body)
            if isinstance(fault, LosesReply):
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
            return self._answer(status, reply)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            self._server.request(self.command, self.path, body, headers)
            response = self._server.getresponse()
            return response.status, response.read()

        def _answer(self, status: int, body: bytes, retry_after: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

    return Handler
