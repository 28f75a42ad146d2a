"""Interactions into histories: the one statement, with what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.events.schema import Interaction
from kindred.history import columns, popularity
from kindred.history import statements as sql
from kindred.history.connection import Connection
from kindred.history.event_types import EventTypes
from kindred.history.window import Histories


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows of MERGE_HISTORIES: one of each named user, and how many interactions were new."""

    rows: Sequence[Any]
    fresh: int

    def histories(self, connection: Connection, event_types: EventTypes, without: set[str]) -> Histories:
        """The kept histories, but those of some users."""
        rows = [row for row in self.rows if row[0] not in without]
        return as_histories(rows, partial(event_types.names, connection))


def as_histories(rows: Sequence[Any], names: Callable[[int], Sequence[str]]) -> Histories:
    """Rows that begin as those of MERGE_HISTORIES do. `names`: of the types, at least up to a number."""
    items = [row[3] for row in rows]
    types: NDArray[np.int64] = columns.concatenated([row[4] for row in rows], 2)
    highest = int(types.max()) if len(types) else 0
    return Histories(
        user_ids=[row[0] for row in rows],
        profiles=[row[1] or {} for row in rows],
        offsets=columns.offsets(columns.lengths(items, 4)),
        items=columns.concatenated(items, 4).astype(np.int32),
        types=types.astype(np.int16),
        times_us=columns.times_us([row[5] for row in rows]),
        type_names=names(highest),
        history_lengths=[row[2] for row in rows],
    )


def merge(
    connection: Connection,
    user_ids: columns.Column,
    interactions: Sequence[Interaction],
    number_of: Callable[[str], int],
    event_types: EventTypes,
    revision: int,
    *,
    history_limit: int,
    half_life_days: float,
) -> Merged:
    """Bring interactions into the log and the windows of locked users; those named without one are read.

    `number_of` gives an item's number.
    """
    parameters = {
        **_columns(interactions, number_of, event_types.numbers),
        "user_ids": user_ids,
        "popular_types": event_types.popular_numbers,
        "popularity_landmark_seconds": popularity.LANDMARK_SECONDS,
        "popularity_half_life_seconds": half_life_days * 86_400,
        "popularity_most_half_lives": popularity.MOST_HALF_LIVES,
        "history_limit": history_limit,
        "revision": revision,
    }
    rows = connection.cursor(binary=True).execute(sql.MERGE_HISTORIES, parameters).fetchall()
    return Merged(rows, sum(row[6] for row in rows))


def _columns(
    events: Sequence[Interaction], number_of: Callable[[str], int], type_numbers: dict[str, int]
) -> dict[str, columns.Column]:
    return {
        "event_user_ids": columns.texts([event.user_id for event in events]),
        "event_ids": columns.texts([event.event_id for event in events]),
        "at_us": columns.bigints([event.occurred_at_us for event in events]),
        "items": columns.integers([number_of(event.item_id) for event in events]),
        "types": columns.smallints([type_numbers[event.type] for event in events]),
        "values": columns.doubles([event.value for event in events]),
        "contexts": columns.texts([event.context for event in events]),
    }
