"""The log that trains a model, as columns: numpy arrays, sorted by user and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.checkpoint import TrainingRange
from kindred.history.window import Histories, Item


@dataclass(frozen=True, slots=True)
class EventLog:
    """Interactions of n users on m items as compressed sparse rows, in event-time order.

    The u-th user's interactions are `items[offsets[u]:offsets[u + 1]]`, likewise `types` and
    `times_us`; a position within these arrays is called an *event* in this room.
    """

    user_ids: Sequence[str]  # n
    item_ids: Sequence[str]  # m
    type_names: Sequence[str]
    profiles: Sequence[Mapping[str, Any]]  # n, {} where none is known
    attributes: Sequence[Mapping[str, Any] | None]  # m, None where the item was never described
    offsets: NDArray[np.int64]  # (n + 1,)
    items: NDArray[np.int32]  # (events,)
    types: NDArray[np.int16]  # (events,)
    times_us: NDArray[np.int64]  # (events,)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def users(self) -> NDArray[np.int64]:
        """(events,) the user of each event."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.offsets))

    def before(self, time_us: int) -> EventLog:
        """The log as of a moment, users and items keeping their numbers (some without events)."""
        return self.where(self.times_us < time_us)

    def where(self, kept: NDArray[np.bool_]) -> EventLog:
        """Only the events marked in `kept` (events,)."""
        counts = np.bincount(self.users[kept], minlength=len(self.user_ids))
        return replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            items=self.items[kept],
            types=self.types[kept],
            times_us=self.times_us[kept],
        )

    def time_at(self, share: float) -> int:
        """The moment before which this share of all events lies."""
        newest_first_left_out = min(int(share * len(self)), len(self) - 1)
        return int(np.partition(self.times_us, newest_first_left_out)[newest_first_left_out])

    def histories(self, events: NDArray[np.int64], limit: int | None = None) -> Histories:
        """What each event's user had done before it: what a worker would hold at that moment.

        `limit` keeps the newest so many interactions.
        """
        users = np.searchsorted(self.offsets, events, side="right") - 1
        starts = self.offsets[users] if limit is None else np.maximum(self.offsets[users], events - limit)
        index, offsets = ranges(starts, events)
        return Histories(
            user_ids=[self.user_ids[user] for user in users],
            profiles=[self.profiles[user] for user in users],
            offsets=offsets,
            items=self.items[index],
            types=self.types[index],
            times_us=self.times_us[index],
            type_names=self.type_names,
            history_lengths=(events - self.offsets[users]).tolist(),
        )

    def catalogue(self) -> list[Item]:
        """Every item, numbered as in this log, for an embedder."""
        described = zip(self.item_ids, self.attributes, strict=True)
        return [
            Item(number, item_id, None, attributes, removed=False, revision=0, popularity=0.0)
            for number, (item_id, attributes) in enumerate(described)
        ]

    def training_range(self) -> TrainingRange:
        """Size and time span, for a manifest."""
        return TrainingRange(
            interactions=len(self),
            users=int(np.count_nonzero(np.diff(self.offsets))),
            items=len(np.unique(self.items)),
            first_us=int(self.times_us.min()) if len(self) else None,
            last_us=int(self.times_us.max()) if len(self) else None,
        )


def ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All indexes of the ranges `[start, end)` in a row, and the offsets (n + 1,) at which each begins."""
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    index = np.repeat(starts - offsets[:-1], ends - starts) + np.arange(offsets[-1])
    return index, offsets


def has_type(log: EventLog, names: frozenset[str]) -> NDArray[np.bool_]:
    """(events,) whether each event's type is one of these."""
    chosen = np.array([name in names for name in log.type_names], bool)
    return chosen[log.types] if len(log) else np.zeros(0, bool)


def target_events(log: EventLog, declaration: Declaration) -> NDArray[np.bool_]:
    """(events,) positive events on items that the user had not seen before.

    An item seen before is left out of recommendations, so there is no asking for it.
    """
    seen = has_type(log, declaration.seen_types)
    pairs = log.users * len(log.item_ids) + log.items
    order = np.argsort(pairs, kind="stable")
    counts: NDArray[np.int64] = (
        np.cumsum(seen[order]) - seen[order]
    )  # seen events before this one, over all pairs so far
    starts = np.flatnonzero(np.diff(pairs[order], prepend=-1))
    within_pair: NDArray[np.int64] = counts - np.repeat(counts[starts], np.diff(starts, append=len(order)))
    fresh = np.empty(len(log), bool)
    fresh[order] = within_pair == 0
    return fresh & has_type(log, declaration.positive_types)
