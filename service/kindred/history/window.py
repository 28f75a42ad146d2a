"""The plain types that leave the history room: what a batch's transaction found, as columns.

Columns rather than objects, because a batch of 2,000 users holds 200,000 interactions.
Item and event-type numbers are Postgres' own small integers for the strings of the contract; they
never change and are never reused. Times are microseconds since the Unix epoch, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Histories:
    """Kept histories of n users, oldest interaction first, as compressed sparse rows.

    The i-th user's interactions are `items[offsets[i]:offsets[i + 1]]`, likewise `types` and `times_us`.
    """

    user_ids: Sequence[str]  # n
    profiles: Sequence[Mapping[str, Any]]  # n, {} where no profile is known
    offsets: NDArray[np.int64]  # (n + 1,)
    items: NDArray[np.int32]  # (total,) item numbers
    types: NDArray[np.int16]  # (total,) event-type numbers, indexes into type_names
    times_us: NDArray[np.int64]  # (total,)
    type_names: Sequence[str]  # name of each event-type number
    history_lengths: Sequence[int]  # n, distinct interactions ever, kept or not

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def last_event_at_us(self) -> list[int | None]:
        """Time of each user's newest interaction; None without one."""
        ends = self.offsets[1:]
        newest = self.times_us[ends - 1].tolist() if len(self.times_us) else [0] * len(self)
        empty = (ends == self.offsets[:-1]).tolist()
        return [None if none else time for none, time in zip(empty, newest, strict=True)]


@dataclass(frozen=True, slots=True)
class Item:
    """What Postgres knows of one item. `attributes` is None while the item was never described."""

    number: int
    item_id: str
    title: str | None
    attributes: Mapping[str, Any] | None
    removed: bool
    revision: int
    popularity: float
