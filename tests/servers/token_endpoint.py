"""Where a client exchanges its id and secret for a token (RFC 6749, 4.4), in the clear on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus


@dataclass(slots=True)
class TokenEndpoint:
    """`answer` is (status, body) for whoever knows the secret; `asked` the forms that came with it."""

    client: tuple[str, str]
    answer: Callable[[], tuple[int, Any]]
    port: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def reply(self, authorization: str, form: dict[str, str]) -> tuple[int, Any]:
        if _credentials(authorization) != self.client:
            # As some do: they repeat what they were asked.
            return 401, {"error": "invalid_client", "error_description": f"{authorization} {self.client}"}
        self.asked.append(form)
        return self.answer()


@contextmanager
def token_endpoint(client: tuple[str, str], answer: Callable[[], tuple[int, Any]]) -> Iterator[TokenEndpoint]:
    """Listening; gone at the end."""
    endpoint = TokenEndpoint(client, answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, found = endpoint.reply(self.headers.get("Authorization", ""), dict(parse_qsl(body)))
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield endpoint
        finally:
            server.shutdown()


def _credentials(authorization: str) -> tuple[str, str]:
    name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)
