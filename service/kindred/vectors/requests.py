"""Request bodies for Qdrant's REST API, written straight to JSON.

Measured in one run (2,000 points, d = 64, 50 seen items): 11 µs of CPU a point, against 59 µs through
models.PointStruct and 18 µs through models.Batch. The request still goes through the client, with its
key, timeouts and errors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from qdrant_client import QdrantClient

# The server applies them one after another; a request of many outlasts a timeout and keeps others waiting.
MOST_OPERATIONS = 256

_encode = msgspec.json.Encoder().encode


def unchecked() -> None:
    """Before a request that is good at any time."""


def older_than(revision: int) -> dict[str, Any]:
    """The fence: matches points written at a lower revision."""
    return {"key": "revision", "range": {"lt": revision}}


def upsert(
    client: QdrantClient,
    collection: str,
    points: Mapping[int | str, Mapping[str, Any]],
    revision: int,
    max_request_bytes: int,
    check: Callable[[], None] = unchecked,
) -> None:
    """Write points, each `{"id", "vector", "payload"}` under its id, unless there at `revision` or later.

    `check` is called before each request: what it raises ends the write there. The ids are keys
    because of two equal ids in one request the last wins, fence or not (Qdrant 1.18).
    """
    fence = _encode({"must": [older_than(revision)]})
    for slice_ in cut(map(_encode, points.values()), max_request_bytes):
        check()
        body = b'{"points":[%b],"update_filter":%b}' % (b",".join(slice_), fence)
        _send(client, "PUT", f"/collections/{collection}/points", body)


def batch_update(
    client: QdrantClient, collection: str, operations: Iterable[Mapping[str, Any]], max_request_bytes: int,
    check: Callable[[], None] = unchecked,
) -> None:  # fmt: skip
    """Apply update operations in order; `check` as above."""
    for slice_ in cut(map(_encode, operations), max_request_bytes, MOST_OPERATIONS):
        check()
        body = b'{"operations":[%b]}' % b",".join(slice_)
        _send(client, "POST", f"/collections/{collection}/points/batch", body)


def cut(parts: Iterable[bytes], max_bytes: int, most: int = sys.maxsize) -> Iterator[list[bytes]]:
    """Cut into runs of at most `most` parts and `max_bytes`.

    A part that is larger goes alone, for the server to refuse.
    """
    run: list[bytes] = []
    size = 0
    for part in parts:
        if len(run) == most or (run and size + len(part) > max_bytes):
            yield run
            run, size = [], 0
        run.append(part)
        size += len(part)
    if run:
        yield run


def _send(client: QdrantClient, method: str, url: str, body: bytes) -> None:
    client.http.client.request(
        type_=Any,
        method=method,
        url=url,
        params={"wait": "true"},
        headers={"Content-Type": "application/json"},
        content=body,
    )
