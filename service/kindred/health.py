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
    """What the worker's threads report. Thread-safe."""

    def __init__(self, alive_seconds: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._outages: dict[str, str] = {}
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

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._polled_at_seconds < self._alive_seconds

    def reasons(self) -> dict[str, str]:
        """Why the worker is not ready; empty if it is."""
        with self._lock:
            return self._degraded | {f"{server} is away": why for server, why in self._outages.items()}


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
