"""The vectors that the oracle's own histories give, in fp32, 256 users at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faults.expected import Expected
from faults.life import Life
from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories, Item

USERS_AT_ONCE = 256


class Reference:
    """One checkpoint with the items as they must be. Numbers of items and types are its own."""

    def __init__(self, checkpoint: Path, wanted: Expected, history_limit: int) -> None:
        self._lives = wanted.lives
        self._limit = history_limit
        self._numbers = {item_id: number for number, item_id in enumerate(sorted(wanted.items))}
        types = sorted({event.type for life in wanted.lives.values() for event in life.events.values()})
        self._types = {name: number for number, name in enumerate(types)}
        self._items = {item_id: self._item(item_id, wanted) for item_id in wanted.items}
        self._embedder = Embedder.load(checkpoint)
        self._embedder.update_items(list(self._items.values()))

    def users(self, user_ids: Sequence[str]) -> NDArray[np.float32]:
        """(n, d), each row of unit length."""
        slices = [user_ids[at : at + USERS_AT_ONCE] for at in range(0, len(user_ids), USERS_AT_ONCE)]
        embedded = [self._embedder.embed(self._histories(each)) for each in slices]
        return np.concatenate(embedded) if embedded else np.zeros((0, self._embedder.dimension), np.float32)

    def items(self, item_ids: Sequence[str]) -> NDArray[np.float32]:
        """(n, d), of any length."""
        return self._embedder.embed_items([self._items[item_id] for item_id in item_ids])

    def _item(self, item_id: str, wanted: Expected) -> Item:
        item = wanted.items[item_id]
        known = item.description
        return Item(
            number=self._numbers[item_id],
            item_id=item_id,
            title=None if known is None else known.title,
            attributes=None if known is None else known.attributes,
            removed=item.is_removed,
            revision=0,
            popularity=0.0,
        )

    def _histories(self, user_ids: Sequence[str]) -> Histories:
        lives = [self._lives.get(user_id, Life()) for user_id in user_ids]
        kept = [life.history()[-self._limit :] for life in lives]
        events = [event for history in kept for event in history]
        return Histories(
            user_ids=user_ids,
            profiles=[life.profile.attributes if life.profile else {} for life in lives],
            offsets=np.cumsum([0, *map(len, kept)], dtype=np.int64),
            items=np.array([self._numbers[event.item_id] for event in events], np.int32),
            types=np.array([self._types[event.type] for event in events], np.int16),
            times_us=np.array([event.occurred_at_us for event in events], np.int64),
            type_names=list(self._types),
            history_lengths=[len(life.events) for life in lives],
        )
