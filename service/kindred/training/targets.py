"""Which events of a log may be asked about: whether the model would have recommended what was taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.training.event_log import EventLog, has_type, looked_up


def target_events(log: EventLog, declaration: Declaration) -> NDArray[np.bool_]:
    """(events,) positive events on items that the user had not seen before, and that can still be had.

    An item seen before is left out of recommendations, and so is a removed one: there is no asking for it.
    """
    return first_takes(log, declaration) & ~on_removed(log)


def first_takes(log: EventLog, declaration: Declaration) -> NDArray[np.bool_]:
    """(events,) the same, also on items that were removed since: what a removal does not change."""
    return new_to_user(log, declaration) & has_type(log, declaration.positive_types)


def on_removed(log: EventLog) -> NDArray[np.bool_]:
    """(events,) whether each event's item is gone."""
    return looked_up(log.removed, log.items)


def new_to_user(log: EventLog, declaration: Declaration) -> NDArray[np.bool_]:
    """(events,) no event before it was one after which the item counts as seen."""
    seen = has_type(log, declaration.seen_types)
    fresh = np.empty(len(log), bool)
    for users, events in log.slices():
        lengths = np.diff(log.offsets[users.start : users.stop + 1])
        pairs = np.repeat(np.arange(len(lengths)), lengths) * len(log.item_ids) + log.items[events]
        fresh[events] = ~_any_before(seen[events], pairs)
    return fresh


def _any_before(marked: NDArray[np.bool_], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(k,) whether an earlier entry of the same group is marked."""
    order = np.argsort(groups, kind="stable")
    marked_in_order = marked[order].astype(np.int64)
    before = np.cumsum(marked_in_order) - marked_in_order  # over all groups so far
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    within = before - np.repeat(before[starts], np.diff(starts, append=len(order)))
    found = np.empty(len(marked), bool)
    found[order] = within > 0
    return found
