"""Whether a worker lives and whether it is doing its work, with reasons; and its metrics, over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kindred.errors import Misconfigured
from kindred.metrics import OUTAGES, REGISTRY


class Health:
    """What the worker's threads report. Thread-safe.

    A poll that is `alive_seconds` ago means a dead worker, a stage that takes `slow_seconds` one that stands.
    """

    def __init__(self, alive_seconds: float = 60.0, slow_seconds: float = 10.0) -> None:
        self._lock = threading.Lock()
        self._outages: dict[str, str] = {}
        self._began: dict[str, float] = {}  # stages under way, and since when
        self._slow_seconds = slow_seconds
        self._degraded: dict[str, str] = {"starting": "the worker has not joined its group yet"}
        self._polled_at_seconds = time.monotonic()
        self._alive_seconds = alive_seconds

    def polled(self) -> None:
        """The polling thread is alive."""
        self._polled_at_seconds = time.monotonic()

    def outage(self, server: str, reason: str) -> None:
        OUTAGES.labels(server).inc()
        with self._lock:
            self._outages[server] = reason

    def answered(self, server: str) -> None:
        with self._lock:
            self._outages.pop(server, None)

    def degraded(self, what: str, reason: str | None) -> None:
        """Note or, with None, clear a reason not to be ready."""
        with self._lock:
            if reason is None:
                self._degraded.pop(what, None)
            else:
                self._degraded[what] = reason

    @contextmanager
    def under_way(self, stage: str) -> Iterator[None]:
        """A call that may hang for as long as its time-out; /readyz shall not say all is well meanwhile."""
        self._began[stage] = time.monotonic()
        try:
            yield
        finally:
            del self._began[stage]

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._polled_at_seconds < self._alive_seconds

    def reasons(self) -> dict[str, str]:
        """Why the worker is not ready; empty if it is."""
        now = time.monotonic()
        waited = {stage: now - began for stage, began in self._began.copy().items()}
        slow = {
            f"{stage} is slow": f"no answer for {seconds:.0f} s"
            for stage, seconds in waited.items()
            if seconds > self._slow_seconds
        }
        with self._lock:
            away = {f"{server} is away": why for server, why in self._outages.items()}
            return self._degraded | slow | away


@contextmanager
def served(health: Health, host: str, port: int) -> Iterator[None]:
    """Answer /healthz, /readyz and /metrics on a thread of its own."""
    listener = _listener(host, port)
    server = uvicorn.Server(uvicorn.Config(_application(health), log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=0.5)


def _listener(host: str, port: int) -> socket.socket:
    # Not uvicorn's own, which logs and exits where it cannot bind.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Misconfigured(
            f"Port {port} of {host} is taken or not allowed ({error.strerror}): set "
            "KINDRED_WORKER__HTTP_PORT to a free one."
        ) from None


def _application(health: Health) -> Starlette:
    def healthz(_: Request) -> Response:
        return JSONResponse({"alive": health.is_alive}, 200 if health.is_alive else 503)

    def readyz(_: Request) -> Response:
        reasons = health.reasons()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    )
