"""One way to connect to Qdrant, and one place that says what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from kindred.errors import CollectionGone, KindredError, Misconfigured, Outage
from kindred.settings import QdrantSettings

_TRANSIENT = frozenset({408, 423, 429})


def connect(settings: QdrantSettings) -> QdrantClient:
    """A REST client; nothing is sent yet, so this succeeds while Qdrant is down."""
    return QdrantClient(
        url=settings.url,
        api_key=None if settings.api_key is None else settings.api_key.get_secret_value(),
        # The client takes whole seconds and rounds up itself, but is typed as int.
        timeout=max(1, round(settings.timeout_seconds)),
        # The check runs in a thread that only prints a warning; `kindred doctor` checks the version.
        check_compatibility=False,
    )


@contextmanager
def translated_errors(missing: KindredError | None = None) -> Iterator[None]:
    """Raise Kindred's errors for the client's: Outage, CollectionGone or Misconfigured.

    `missing` is raised instead where Qdrant says that a point is missing, or has no vector.
    """
    try:
        yield
    except ResourceExhaustedResponse as error:
        raise Outage("qdrant", str(error)) from error
    except ResponseHandlingException as error:
        raise _transport_error(error.source) from error
    except UnexpectedResponse as error:
        raise _status_error(error, missing) from error


def _transport_error(source: Exception) -> KindredError:
    if isinstance(source, httpx.TransportError) and not isinstance(source, httpx.UnsupportedProtocol):
        return Outage("qdrant", f"{type(source).__name__}: {source}")
    return Misconfigured(f"KINDRED_QDRANT__URL does not lead to a Qdrant server of a known version: {source}")


def _status_error(error: UnexpectedResponse, missing: KindredError | None) -> KindredError:
    status, reason = error.status_code or 0, _reason(error)
    if status >= 500 or status in _TRANSIENT:
        return Outage("qdrant", f"HTTP {status}: {reason}")
    if status in {401, 403}:
        return Misconfigured(f"Qdrant refuses the key in KINDRED_QDRANT__API_KEY (HTTP {status}: {reason}).")
    if status == 404 and "ollection" in reason:
        return CollectionGone(reason)
    if status == 404 and missing is not None:
        return missing
    return Misconfigured(f"Qdrant refuses the request (HTTP {status}): {reason}")


def _reason(error: UnexpectedResponse) -> str:
    """Qdrant's own sentence, `{"status": {"error": …}}`; the raw body where a proxy answered instead."""
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return error.content[:300].decode(errors="replace") or error.reason_phrase
