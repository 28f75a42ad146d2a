"""The log that trains a model, as columns: numpy arrays, sorted by user and time.

Users, items and types are numbered in the order of their sorted names, so the same events make the same
log wherever they were read. The columns may be memory-mapped: nothing here copies them whole without need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.manifest import TrainingRange
from kindred.errors import Misconfigured
from kindred.history.window import Histories, Item

T = TypeVar("T", bound=np.generic)

SLICE_EVENTS = 2**20  # what a pass over a whole log holds in memory at once


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
    titles: Sequence[str | None]  # m
    attributes: Sequence[Mapping[str, Any] | None]  # m, None where the item was never described, or removed
    offsets: NDArray[np.int64]  # (n + 1,)
    items: NDArray[np.int32]  # (events,)
    types: NDArray[np.int16]  # (events,)
    times_us: NDArray[np.int64]  # (events,)
    from_start: NDArray[np.bool_]  # (n,) whether the user's first event is in it: retention drops the oldest
    removed: NDArray[np.bool_]  # (m,) items that are gone: unknown where a history holds them, and no targets

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
        counts = np.zeros(len(self.user_ids), np.int64)
        active, firsts = self._active()
        counts[active] = np.add.reduceat(kept, firsts, dtype=np.int64) if len(firsts) else 0
        from_start = self.from_start.copy()
        from_start[active] &= kept[firsts]
        return replace(
            self,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            items=self.items[kept],
            types=self.types[kept],
            times_us=self.times_us[kept],
            from_start=from_start,
        )

    def cut_events(self) -> NDArray[np.int64]:
        """First events in this log that are not their user's first: something before them was dropped."""
        active, firsts = self._active()
        cut: NDArray[np.int64] = firsts[~self.from_start[active]]
        return cut

    def _active(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Users with events, and the first event of each."""
        active = np.flatnonzero(np.diff(self.offsets))
        return active, self.offsets[active]

    def slices(self) -> Iterator[tuple[slice, slice]]:
        """Consecutive users and their events, about a million events at a time."""
        starts = np.arange(0, len(self), SLICE_EVENTS)
        users = np.unique(np.append(np.searchsorted(self.offsets, starts), len(self.user_ids)))
        for first, end in pairwise(users.tolist()):
            yield slice(first, end), slice(self.offsets[first], self.offsets[end])

    def time_at(self, share: float) -> int:
        """The moment before which this share of all events lies. Raises Misconfigured without any event."""
        if not len(self):
            raise Misconfigured(
                "There is no event in this log to split by time: is it the right one, and does the "
                "declaration name its types?"
            )
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
        return [self.item(number) for number in range(len(self.item_ids))]

    def item(self, number: int) -> Item:
        """One of the catalogue."""
        return Item(
            number,
            self.item_ids[number],
            self.titles[number],
            self.attributes[number],
            removed=bool(self.removed[number]),
            revision=0,
            popularity=0.0,
        )

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
    return looked_up(chosen, log.types)


def looked_up(table: NDArray[T], index: NDArray[np.signedinteger[Any]]) -> NDArray[T]:
    """`table[index]`, without numpy's copy of the whole index as 8-byte integers."""
    found = np.empty(len(index), table.dtype)
    for start in range(0, len(index), SLICE_EVENTS):
        part = slice(start, start + SLICE_EVENTS)
        found[part] = table[index[part]]
    return found
