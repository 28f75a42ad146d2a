"""Point ids of the items that users have seen: what a query leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kindred.history.window import Histories, Item
from kindred.vectors.ids import point_id


class SeenItems:
    """Distinct items of kept histories whose event type counts as seen. Used by one thread."""

    def __init__(self, seen_types: frozenset[str]) -> None:
        self._seen_types = seen_types
        self._point_ids: NDArray[np.object_] = np.zeros(0, object)  # by item number

    def update_items(self, changed: Iterable[Item]) -> None:
        for item in changed:
            if item.number >= len(self._point_ids):
                grown = np.zeros(max(1024, 2 * item.number), object)
                grown[: len(self._point_ids)] = self._point_ids
                self._point_ids = grown
            self._point_ids[item.number] = point_id(item.item_id)

    def of(self, histories: Histories) -> list[list[int | str]]:
        """One list a user, oldest first."""
        counted = np.array([name in self._seen_types for name in histories.type_names])
        seen = counted[histories.types]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(seen)])[histories.offsets].tolist()
        ids = self._point_ids[histories.items[seen]].tolist()
        return [list(dict.fromkeys(ids[start:end])) for start, end in pairwise(ends)]
