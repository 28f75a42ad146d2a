"""The writer: vectors, payloads and tombstones into a model's two collections, fenced by revision.

A point only ever moves up in revision, whoever writes it and however often: that is what makes crashes,
redelivery, two workers and a backfill end in the same vectors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from kindred.declaration import Declaration
from kindred.errors import ModelMismatch
from kindred.history.window import Histories, Item
from kindred.vectors import requests
from kindred.vectors.connection import translated_errors
from kindred.vectors.ids import point_id, point_ids
from kindred.vectors.names import CollectionNames
from kindred.vectors.payloads import Payload, item_payload, payload_fields, tombstone, user_payloads
from kindred.vectors.points import Points
from kindred.vectors.request_size import RequestSize

_IDS_IN_ONE_FILTER = 1_000
_ERASED = {"key": "erased", "match": {"value": True}}


class Index:
    """Writes one deployment's collections, by one thread. Every write waits until Qdrant has applied it.

    All methods raise Outage, CollectionGone or Misconfigured; after an Outage the same call may be repeated.
    """

    def __init__(
        self,
        client: QdrantClient,
        names: CollectionNames,
        declaration: Declaration,
        max_request_bytes: int = 8_000_000,  # Qdrant refuses bodies over 32 MB
    ) -> None:
        self._client = client
        self._names = names
        self._declaration = declaration
        self._request_size = RequestSize(max_request_bytes)
        self._check: Callable[[], None] = requests.unchecked
        self.points = Points(client, names)

    @contextmanager
    def checked(self, check: Callable[[], None]) -> Iterator[None]:
        """Meanwhile call `check` before each request: what it raises ends a write between two of them."""
        self._check = check
        try:
            yield
        finally:
            self._check = requests.unchecked

    def write_users(
        self,
        model: str,
        histories: Histories,
        vectors: NDArray[np.float32],
        seen: Sequence[Sequence[int | str]],
        revision: int,
        embedded_at_us: int,
    ) -> None:
        """Upsert n users. `vectors`: (n, d). `seen`: point ids of each user's seen items.

        Raises ModelMismatch for a vector that is zero or not finite; nothing is written then.
        """
        payloads = user_payloads(self._declaration, model, histories, seen, revision, embedded_at_us)
        self._upsert(self._names.users(model), histories.user_ids, vectors, payloads, revision)

    def write_user_tombstones(
        self, model: str, user_ids: Sequence[str], revision: int, erased_at_us: Sequence[int] = ()
    ) -> None:
        """Replace users by tombstones: no vector, a new revision, and when each was erased, if given."""
        self._upsert_tombstones(self._names.users(model), "user_id", user_ids, revision, erased_at_us)

    def write_items(
        self, model: str, items: Sequence[Item], vectors: NDArray[np.float32], revision: int
    ) -> None:
        """Upsert n items. `vectors`: (n, d). Raises ModelMismatch as `write_users` does."""
        payloads = (item_payload(self._declaration, model, item, revision) for item in items)
        self._upsert(self._names.items(model), [item.item_id for item in items], vectors, payloads, revision)

    def write_item_tombstones(self, model: str, item_ids: Sequence[str], revision: int) -> None:
        """Replace items by tombstones."""
        self._upsert_tombstones(self._names.items(model), "item_id", item_ids, revision)

    def write_item_payloads(self, model: str, items: Sequence[Item], revision: int) -> None:
        """Write the declared payload fields and the revision, where the item is live and older.

        A tombstone stays as it is: an item that comes back needs its vector, so `write_items`.
        """
        latest = {point_id(item.item_id): item for item in items}
        self._set_payloads(
            self._names.items(model),
            (
                _set_payload(
                    {**payload_fields(self._declaration, item), "revision": revision},
                    [point],
                    [requests.older_than(revision)],
                )
                for point, item in latest.items()
            ),
        )

    def write_popularity(self, model: str, popularity: Mapping[str, float]) -> None:
        """Write decayed counts by item id. Unfenced, for a count has no revision: the last one wins."""
        points: dict[float, list[int | str]] = defaultdict(list)
        for item_id, count in popularity.items():
            # To three digits, so that items of about equal count share one operation.
            points[float(f"{count:.3g}")].append(point_id(item_id))
        self._set_payloads(
            self._names.items(model),
            (
                _set_payload({"popularity": count}, ids[start : start + _IDS_IN_ONE_FILTER], [])
                for count, ids in points.items()
                for start in range(0, len(ids), _IDS_IN_ONE_FILTER)
            ),
        )

    def highest_revision(self, model: str) -> int:
        """The highest revision that either collection holds, tombstones included; 0 when both are empty."""
        return max(self._highest(self._names.users(model)), self._highest(self._names.items(model)))

    def _upsert(
        self,
        collection: str,
        external_ids: Sequence[str],
        vectors: NDArray[np.float32],
        payloads: Iterable[Payload],
        revision: int,
    ) -> None:
        _check_vectors(external_ids, vectors)
        points = {
            point: {"id": point, "vector": vector, "payload": payload}
            for point, vector, payload in zip(
                point_ids(external_ids), vectors.tolist(), payloads, strict=True
            )
        }
        with self._request_size.tried(), translated_errors():
            requests.upsert(self._client, collection, points, revision, self._request_size.bytes, self._check)

    def _upsert_tombstones(
        self, collection: str, id_field: str, external_ids: Sequence[str], revision: int,
        erased_at_us: Sequence[int] = (),
    ) -> None:  # fmt: skip
        points = {
            (point := point_id(external_id)): {
                "id": point,
                "vector": {},
                "payload": tombstone(id_field, external_id, revision, time_us),
            }
            for external_id, time_us in zip_longest(external_ids, erased_at_us)
        }
        with self._request_size.tried(), translated_errors():
            requests.upsert(self._client, collection, points, revision, self._request_size.bytes, self._check)

    def _set_payloads(self, collection: str, operations: Iterable[Payload]) -> None:
        with self._request_size.tried(), translated_errors():
            requests.batch_update(self._client, collection, operations, self._request_size.bytes, self._check)

    def _highest(self, collection: str) -> int:
        newest_first = models.OrderBy(key="revision", direction=models.Direction.DESC)
        with translated_errors():
            points, _ = self._client.scroll(
                collection, limit=1, order_by=newest_first, with_payload=["revision"]
            )
        return int((points[0].payload or {})["revision"]) if points else 0


def _set_payload(payload: Payload, ids: list[int | str], conditions: list[Payload]) -> Payload:
    # A filter rather than a list of points: an id that is not there is then no error.
    selected = {"must": [{"has_id": ids}, *conditions], "must_not": [_ERASED]}
    return {"set_payload": {"payload": payload, "filter": selected}}


def _check_vectors(external_ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    # REST refuses NaN for the whole request; a zero vector has no direction, and cosine none to give.
    broken = np.flatnonzero(~(np.isfinite(vectors) & vectors.any(axis=1, keepdims=True)).all(axis=1))
    if broken.size:
        raise ModelMismatch(
            f"{broken.size} of {len(vectors)} vectors are zero or not finite (the first: that of "
            f"{external_ids[broken[0]]!r}), so the checkpoint is broken: go back to the one before, or train."
        )
