"""Events, from wherever they come, into the columns of an `EventLog`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class _Collector:
    """Gathers the newest descriptions and all interactions."""

    def __init__(self) -> None:
        self._interactions: list[Interaction] = []
        self._profiles: dict[str, Profile] = {}
        self._items: dict[str, ItemDescription] = {}
        self._erased: dict[str, int] = {}
        self._removed: dict[str, int] = {}

    def add(self, event: Event) -> None:
        match event:
            case Interaction():
                self._interactions.append(event)
            case Profile():
                self._profiles[event.user_id] = _newer(self._profiles.get(event.user_id), event)
            case ItemDescription():
                self._items[event.item_id] = _newer(self._items.get(event.item_id), event)
            case Erasure():
                self._erased[event.user_id] = max(event.erased_at_us, self._erased.get(event.user_id, 0))
            case ItemRemoval():
                self._removed[event.item_id] = max(event.removed_at_us, self._removed.get(event.item_id, 0))

    def log(self) -> EventLog:
        kept = [event for event in self._interactions if self._is_kept(event)]
        users = _numbered(event.user_id for event in kept)
        types = _numbered(event.type for event in kept)
        items = _numbered(event.item_id for event in kept)
        for item_id in self._items:
            items.setdefault(item_id, len(items))
        user = np.array([users[event.user_id] for event in kept], np.int64)
        time_us = np.array([event.occurred_at_us for event in kept], np.int64)
        event_id = _ranks([event.event_id for event in kept])
        order = np.lexsort((event_id, time_us, user))
        keys = np.stack([user, time_us, event_id])[:, order]
        order = order[np.diff(keys, axis=1, prepend=-1).any(axis=0)]
        return EventLog(
            user_ids=list(users),
            item_ids=list(items),
            type_names=list(types),
            profiles=[self._profile(user_id) for user_id in users],
            attributes=[self._attributes(item_id) for item_id in items],
            offsets=np.searchsorted(user[order], np.arange(len(users) + 1)),
            items=np.array([items[event.item_id] for event in kept], np.int32)[order],
            types=np.array([types[event.type] for event in kept], np.int16)[order],
            times_us=time_us[order],
        )

    def _is_kept(self, event: Interaction) -> bool:
        erased_at_us = self._erased.get(event.user_id)
        return erased_at_us is None or event.occurred_at_us > erased_at_us

    def _profile(self, user_id: str) -> Mapping[str, Any]:
        profile = self._profiles.get(user_id)
        if profile is None or self._erased.get(user_id, -1) >= profile.updated_at_us:
            return {}
        return _parsed(profile.attributes)

    def _attributes(self, item_id: str) -> Mapping[str, Any] | None:
        item = self._items.get(item_id)
        if item is None or self._removed.get(item_id, -1) >= item.updated_at_us:
            return None
        return _parsed(item.attributes)


def _newer(known: _Description | None, other: _Description) -> _Description:
    if known is None:
        return other
    return max(known, other, key=lambda version: (version.updated_at_us, version.digest))


def _parsed(attributes: str) -> Mapping[str, Any]:
    return msgspec.json.decode(attributes, type=dict[str, Any])


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _ranks(texts: list[str]) -> NDArray[np.int64]:
    """Place of each text in the order of code points, which is that of UTF-8 bytes; equal for equals."""
    rank = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.array([rank[text] for text in texts], np.int64)
