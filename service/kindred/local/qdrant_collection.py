"""Local mode's collection, fast enough for the demo and the benchmark.

The same fields and answers; whole requests at once where local mode goes point by point, and without its
copies, for the points of a request belong to nobody else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray
from qdrant_client.http import models
from qdrant_client.local.local_collection import DEFAULT_VECTOR_NAME, EPSILON, LocalCollection
from qdrant_client.local.payload_filters import validate_filter

from kindred.local.qdrant_filters import matching
from kindred.local.qdrant_strict import refuse_unindexed

Slots = NDArray[np.intp]  # internal ids


class DensePoint(msgspec.Struct, frozen=True, gc=False):
    """A point with one unnamed dense vector: nearly every point there is."""

    id: int | str
    vector: list[float]
    payload: dict[str, Any] | None = None


class Collection(LocalCollection):
    """In memory. Knows its payload indexes by kind only: local mode looks at every point anyway."""

    def __init__(self, config: models.CreateCollection) -> None:
        super().__init__(config)
        self.indexes: dict[str, models.PayloadSchemaType] = {}
        self.strict_mode = config.strict_mode_config
        self._slots_by_id: list[int] = []

    def upsert_dense(
        self,
        points: Sequence[DensePoint],
        update_filter: models.Filter | None = None,
        update_mode: models.UpdateMode | None = None,
    ) -> None:
        """`upsert` of dense points. As on the server, the last of equal ids wins, whatever the filter says.

        Raises ValueError for what the server refuses; nothing is written then.
        """
        self._check_filter(update_filter)
        latest = {_checked_id(point.id): point for point in points}
        vectors = self._stored_form(latest.values())
        writes = self._writes(latest, update_filter, update_mode)
        slots = self._slots_for(latest, writes)
        self.vectors[DEFAULT_VECTOR_NAME][slots] = vectors[writes]
        self.deleted[slots] = self.deleted_per_vector[DEFAULT_VECTOR_NAME][slots] = False
        for slot, point in zip(
            slots.tolist(), np.array([*latest.values()], dtype=object)[writes], strict=True
        ):
            self.payload[slot] = point.payload or {}

    def _stored_form(self, points: Iterable[DensePoint]) -> NDArray[np.float32]:
        """(n, d); of unit length where the distance is cosine."""
        params = self.get_vector_params(DEFAULT_VECTOR_NAME)
        for point in points:
            if len(point.vector) != params.size:
                got = f"expected dim: {params.size}, got {len(point.vector)}"
                raise ValueError(f"Wrong input: Vector dimension error: {got}")
        vectors = np.array([point.vector for point in points], dtype=np.float32).reshape(-1, params.size)
        if params.distance is not models.Distance.COSINE:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, np.where(norms > EPSILON, norms, 1), dtype=np.float32)

    def _writes(
        self,
        points: Mapping[int | str, DensePoint],
        update_filter: models.Filter | None,
        update_mode: models.UpdateMode | None,
    ) -> Slots:
        """Rows of the request that will be written."""
        held = np.array([self._existing_idx(point_id) for point_id in points], dtype=float)  # NaN: not held
        new = np.isnan(held)
        if update_mode is models.UpdateMode.INSERT_ONLY:
            return np.flatnonzero(new)
        updated = ~new
        if update_filter is not None:
            slots = held[~new].astype(np.intp)
            updated[~new] = np.isin(slots, matching(self, update_filter, np.sort(slots)))
        return np.flatnonzero(updated if update_mode is models.UpdateMode.UPDATE_ONLY else updated | new)

    def _slots_for(self, points: Mapping[int | str, DensePoint], writes: Slots) -> Slots:
        """Internal ids of the rows to write; ids never seen get one."""
        point_ids = [*points]
        written = [point_ids[row] for row in writes.tolist()]
        unseen = [point_id for point_id in written if point_id not in self.ids]
        self._grow(len(unseen))
        self.ids.update(zip(unseen, range(len(self.ids), len(self.ids) + len(unseen)), strict=True))
        self.ids_inv.extend(unseen)
        return np.array([self.ids[point_id] for point_id in written], dtype=np.intp)

    def _grow(self, count: int) -> None:
        size = len(self.ids) + count
        self.payload.extend({} for _ in range(count))
        added = np.zeros(count, dtype=bool)
        self.deleted = np.append(self.deleted, added)
        self.deleted_per_vector = {
            name: np.append(deleted, added) for name, deleted in self.deleted_per_vector.items()
        }
        vectors = self.vectors[DEFAULT_VECTOR_NAME]
        if len(vectors) < size:  # spare rows, as local mode keeps them
            self.vectors[DEFAULT_VECTOR_NAME] = np.resize(vectors, (2 * size, vectors.shape[1]))

    def _payload_and_non_deleted_mask(
        self, payload_filter: models.Filter | None, vector_name: str | None = None
    ) -> NDArray[np.bool_]:
        self._check_filter(payload_filter)
        alive: NDArray[np.bool_] = np.asarray(self.deleted) == 0
        if vector_name is not None:
            alive &= np.asarray(self.deleted_per_vector[vector_name]) == 0
        if payload_filter is None:
            return alive
        mask = np.zeros(len(alive), dtype=bool)
        mask[matching(self, payload_filter, np.flatnonzero(alive))] = True
        return mask

    def _check_filter(self, payload_filter: models.Filter | None) -> None:
        validate_filter(payload_filter)
        strict = self.strict_mode
        if payload_filter is None or strict is None or not strict.enabled:
            return
        if False in (strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update):
            refuse_unindexed(payload_filter, self.indexes)

    def _scroll_by_id(
        self,
        scroll_filter: models.Filter | None = None,
        limit: int = 10,
        offset: Any = None,
        with_payload: Any = True,
        with_vectors: Any = False,
    ) -> tuple[list[models.Record], Any]:
        mask = self._payload_and_non_deleted_mask(scroll_filter)
        start = (
            0 if offset is None else bisect_left(self._ordered(), self._universal_id(offset), key=self._order)
        )
        slots = list(islice((slot for slot in self._ordered()[start:] if mask[slot]), limit + 1))
        page = [self.ids_inv[slot] for slot in slots[:limit]]
        next_page = self.ids_inv[slots[limit]] if len(slots) > limit else None
        return self.retrieve(page, with_payload, with_vectors), next_page

    def _ordered(self) -> list[int]:
        """Internal ids in the order of point ids; sorted anew when there are more, for none ever goes."""
        if len(self._slots_by_id) != len(self.ids):
            self._slots_by_id = sorted(range(len(self.ids_inv)), key=self._order)
        return self._slots_by_id

    def _order(self, slot: int) -> Any:
        return self._universal_id(self.ids_inv[slot])

    def _filter_to_ids(self, delete_filter: models.Filter) -> list[models.ExtendedPointId]:
        selected = np.flatnonzero(self._payload_and_non_deleted_mask(delete_filter))
        return [self.ids_inv[slot] for slot in selected.tolist()]


def _checked_id(point_id: int | str) -> int | str:
    if isinstance(point_id, int):
        return point_id
    try:
        return str(UUID(point_id))
    except ValueError:
        raise ValueError(f"Wrong input: {point_id!r} is not a valid point ID") from None
