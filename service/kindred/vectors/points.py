"""What lies in the collections: read to compare it with Postgres, and deleted where it is surplus.

The only deletes there are. Each names the revision that was seen: a point that moved on since, because its
user came back or its item was described again, is not the point that was meant (rules 17 and 26).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient
from qdrant_client.models import Filter

from kindred.vectors import requests
from kindred.vectors.connection import translated_errors
from kindred.vectors.ids import point_id, point_ids
from kindred.vectors.names import CollectionNames

Kind = Literal["user", "item"]

_PAGE_POINTS = 1_000
_MAX_REQUEST_BYTES = 8_000_000
_ERASED: dict[str, Any] = {"key": "erased", "match": {"value": True}}


@dataclass(frozen=True, slots=True)
class Point:
    """One point as it was seen. `payload` is all of it where it was asked for."""

    external_id: str
    revision: int
    erased: bool
    payload: Mapping[str, Any]
    has_vector: bool = False


class Points:
    """Reads points of one namespace. All methods raise Outage, CollectionGone or Misconfigured."""

    def __init__(self, client: QdrantClient, names: CollectionNames) -> None:
        self._client = client
        self._names = names

    def models(self) -> list[str]:
        """Every model whose collection of users was not dropped yet, whatever its state (rule 16)."""
        start = f"{self._names.users_alias}__"
        with translated_errors():
            found = [each.name for each in self._client.get_collections().collections]
        return sorted(name.removeprefix(start) for name in found if name.startswith(start))

    def retrieve(self, model: str, kind: Kind, external_ids: Sequence[str]) -> dict[str, Point]:
        """Those that are there, by external id, with payload and whether they have a vector."""
        with translated_errors():
            found = self._client.retrieve(
                self._collection(model, kind), point_ids(external_ids), with_payload=True, with_vectors=True
            )
        return {point.external_id: point for point in (_point(each, kind) for each in found)}

    def vectors(
        self, model: str, kind: Kind, external_ids: Sequence[str]
    ) -> dict[str, tuple[int, NDArray[np.float32]]]:
        """Revision and vector, (d,), of those that are there and have one, by external id."""
        with translated_errors():
            found = self._client.retrieve(
                self._collection(model, kind), point_ids(external_ids), with_payload=_fields(kind),
                with_vectors=True,
            )  # fmt: skip
        points = ((_point(each, kind), each.vector) for each in found if each.vector)
        return {point.external_id: (point.revision, np.array(vector, np.float32)) for point, vector in points}

    def revisions(self, model: str, kind: Kind, external_ids: Sequence[str]) -> dict[str, Point]:
        """The same with the few fields that fences and tombstones need."""
        with translated_errors():
            found = self._client.retrieve(
                self._collection(model, kind), point_ids(external_ids), with_payload=_fields(kind)
            )
        return {point.external_id: point for point in (_point(each, kind) for each in found)}

    def pages(self, model: str, kind: Kind) -> Iterator[list[Point]]:
        """Every point, in the order of point ids, a page at a time."""
        return self._scroll(model, kind, None)

    def tombstones_above(self, model: str, revision: int) -> Iterator[list[Point]]:
        """Tombstones of users that were written at a later revision."""
        later = {"key": "revision", "range": {"gt": revision}}
        return self._scroll(model, "user", Filter.model_validate({"must": [_ERASED, later]}))

    def delete_tombstones(self, model: str, seen: Mapping[str, int]) -> None:
        """Delete users' tombstones that are still at the revision that was seen."""
        by_revision: defaultdict[int, list[int | str]] = defaultdict(list)
        for external_id, revision in seen.items():
            by_revision[revision].append(point_id(external_id))
        self._delete(
            self._collection(model, "user"),
            [
                [{"has_id": ids}, _ERASED, {"key": "revision", "match": {"value": revision}}]
                for revision, ids in by_revision.items()
            ],
        )

    def delete_surplus(self, model: str, kind: Kind, seen: Sequence[Point]) -> None:
        """Delete points that are no newer than when they were seen."""
        self._delete(
            self._collection(model, kind),
            [
                [
                    {"has_id": [point_id(each.external_id)]},
                    {"key": "revision", "range": {"lte": each.revision}},
                ]
                for each in seen
            ],
        )

    def _delete(self, collection: str, filters: Sequence[list[dict[str, Any]]]) -> None:
        operations = ({"delete": {"filter": {"must": conditions}}} for conditions in filters)
        with translated_errors():
            requests.batch_update(self._client, collection, operations, _MAX_REQUEST_BYTES)

    def _scroll(self, model: str, kind: Kind, wanted: Filter | None) -> Iterator[list[Point]]:
        page = None
        while True:
            with translated_errors():
                found, page = self._client.scroll(
                    self._collection(model, kind), wanted, limit=_PAGE_POINTS, offset=page,
                    with_payload=_fields(kind),
                )  # fmt: skip
            yield [_point(each, kind) for each in found]
            if page is None:
                return

    def _collection(self, model: str, kind: Kind) -> str:
        return self._names.users(model) if kind == "user" else self._names.items(model)


def _fields(kind: Kind) -> list[str]:
    return [f"{kind}_id", "revision", "erased", "erased_at"]


def _point(record: Any, kind: Kind) -> Point:
    payload = record.payload or {}
    return Point(
        external_id=str(payload.get(f"{kind}_id", record.id)),
        revision=int(payload.get("revision", 0)),
        erased=payload.get("erased") is True,
        payload=payload,
        has_vector=bool(record.vector),
    )
