"""Events, from wherever they come, into the columns of an `EventLog`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.events.lines import OnBadLine, read_lines
from kindred.events.schema import Contract, Erasure, Interaction, ItemDescription, ItemRemoval, Profile
from kindred.training.event_log import EventLog

Event = Interaction | Profile | ItemDescription | Erasure | ItemRemoval
_Description = TypeVar("_Description", Profile, ItemDescription)


def read_log(path: Path | str, contract: Contract, on_bad: OnBadLine | None = None) -> EventLog:
    """The log in a file of JSON lines. Raises Misconfigured for a bad line, unless `on_bad` takes it."""
    return build_log(read_lines(path, contract, on_bad=on_bad))


def build_log(events: Iterable[Event]) -> EventLog:
    """A log from events in any order; duplicates count once, what an erasure covers not at all."""
    collector = _Collector()
    for event in events:
        collector.add(event)
    return collector.log()


class _Numbers:
    """A column of names, as numbers in order of appearance."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._column = array("i")

    def add(self, name: str) -> None:
        self._column.append(self._number_of.setdefault(name, len(self._number_of)))

    @property
    def names(self) -> list[str]:
        return list(self._number_of)

    @property
    def column(self) -> NDArray[np.int32]:
        return np.array(self._column, np.int32)

    def sorted(
        self, kept: NDArray[np.bool_], others: Iterable[str] = ()
    ) -> tuple[list[str], NDArray[np.int64]]:
        """The names of the kept rows and `others`, sorted, and each kept row's place among them."""
        column, names = self.column[kept], self.names
        wanted = sorted({names[number] for number in np.unique(column)}.union(others))
        place_of = {name: place for place, name in enumerate(wanted)}
        places = np.array([place_of.get(name, -1) for name in names], np.int64)
        return wanted, places[column]


class _Collector:
    """Gathers the newest descriptions, and interactions as columns."""

    def __init__(self) -> None:
        self._users, self._items, self._types = _Numbers(), _Numbers(), _Numbers()
        self._event_ids: list[str] = []
        self._times_us = array("q")
        self._profiles: dict[str, Profile] = {}
        self._descriptions: dict[str, ItemDescription] = {}
        self._erased: dict[str, int] = {}
        self._removed: dict[str, int] = {}

    def add(self, event: Event) -> None:
        match event:
            case Interaction():
                self._add_interaction(event)
            case Profile():
                self._profiles[event.user_id] = _newer(self._profiles.get(event.user_id), event)
            case ItemDescription():
                known = self._descriptions.get(event.item_id)
                self._descriptions[event.item_id] = _newer(known, event)
            case Erasure():
                self._erased[event.user_id] = max(event.erased_at_us, self._erased.get(event.user_id, 0))
            case ItemRemoval():
                self._removed[event.item_id] = max(event.removed_at_us, self._removed.get(event.item_id, 0))

    def _add_interaction(self, event: Interaction) -> None:
        self._users.add(event.user_id)
        self._items.add(event.item_id)
        self._types.add(event.type)
        self._event_ids.append(event.event_id)
        self._times_us.append(event.occurred_at_us)

    def log(self) -> EventLog:
        times_us = np.array(self._times_us, np.int64)
        kept = self._not_erased(times_us)
        user_ids, user = self._users.sorted(kept)
        type_names, types = self._types.sorted(kept)
        described = [item_id for item_id in self._descriptions if not self._is_removed(item_id)]
        item_ids, items = self._items.sorted(kept, described)
        descriptions = [self._description(item_id) for item_id in item_ids]
        times_us, event_ids = times_us[kept], [self._event_ids[at] for at in np.flatnonzero(kept)]
        order = _in_order(user, times_us, event_ids)
        return EventLog(
            user_ids=user_ids,
            item_ids=item_ids,
            type_names=type_names,
            profiles=[self._profile(user_id) for user_id in user_ids],
            titles=[None if item is None else item.title for item in descriptions],
            attributes=[None if item is None else _parsed(item.attributes) for item in descriptions],
            offsets=np.searchsorted(user[order], np.arange(len(user_ids) + 1)),
            items=items[order].astype(np.int32),
            types=types[order].astype(np.int16),
            times_us=times_us[order],
            from_start=np.ones(len(user_ids), bool),
            removed=np.array([self._is_removed(item_id) for item_id in item_ids], bool),
        )

    def _not_erased(self, times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        never = np.iinfo(np.int64).min
        erased_us = np.array([self._erased.get(user_id, never) for user_id in self._users.names], np.int64)
        return times_us > erased_us[self._users.column]

    def _profile(self, user_id: str) -> Mapping[str, Any]:
        profile = self._profiles.get(user_id)
        if profile is None or self._erased.get(user_id, -1) >= profile.updated_at_us:
            return {}
        return _parsed(profile.attributes)

    def _description(self, item_id: str) -> ItemDescription | None:
        return None if self._is_removed(item_id) else self._descriptions.get(item_id)

    def _is_removed(self, item_id: str) -> bool:
        """Described at the same moment or before, or never."""
        removed_at_us, item = self._removed.get(item_id), self._descriptions.get(item_id)
        return removed_at_us is not None and (item is None or item.updated_at_us <= removed_at_us)


def _in_order(
    users: NDArray[np.int64], times_us: NDArray[np.int64], event_ids: Sequence[str]
) -> NDArray[np.int64]:
    """Rows by user, time and event id; of those that share all three only the first."""
    order = np.lexsort((times_us, users))
    same_as_last = (np.diff(users[order]) == 0) & (np.diff(times_us[order]) == 0)
    edges = np.diff(same_as_last.astype(np.int8), prepend=0, append=0)
    repeated = []
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) + 1, strict=True):
        # Code points have the order of UTF-8 bytes, which is how Postgres sorts these ids.
        run = sorted(order[start:end].tolist(), key=event_ids.__getitem__)
        order[start:end] = run
        ids = [event_ids[row] for row in run]
        repeated += [start + at for at in range(1, len(run)) if ids[at] == ids[at - 1]]
    return np.delete(order, repeated)


def _newer(known: _Description | None, other: _Description) -> _Description:
    if known is None:
        return other
    return max(known, other, key=lambda version: (version.updated_at_us, version.digest))


def _parsed(attributes: str) -> Mapping[str, Any]:
    return msgspec.json.decode(attributes, type=dict[str, Any])
