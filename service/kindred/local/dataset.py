"""What a catalogue, its users and their events look like to the demo, to training and to the tests."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from kindred.declaration import Declaration
from kindred.events.encode import to_line
from kindred.events.schema import Interaction, ItemDescription, Profile

Described = TypeVar("Described", ItemDescription, Profile)
Value = ItemDescription | Profile | Interaction


@dataclass(frozen=True, slots=True)
class Dataset:
    """Values of the three topics, each sequence in time order, and what their names mean."""

    name: str
    declaration: Declaration
    items: Sequence[ItemDescription]
    profiles: Sequence[Profile]
    interactions: Sequence[Interaction]

    def in_time_order(self) -> Iterator[Value]:
        """All values merged by time; at equal times items come first, then profiles."""
        return heapq.merge(self.items, self.profiles, self.interactions, key=time_us_of)

    def as_lines(self) -> Iterator[str]:
        """JSON lines in time order, as `kindred produce` and `kindred train --from` read them."""
        return map(to_line, self.in_time_order())

    def ending_at(self, time_us: int) -> Dataset:
        """The same, every time moved by one constant so that the last interaction is at `time_us`.

        No vector changes, since towers read only the gaps between events; but old data then lies within
        the log's retention, and new data not ahead of the clock.
        """
        moved_us = time_us - self.interactions[-1].occurred_at_us
        return replace(
            self,
            items=[_described_later(item, moved_us) for item in self.items],
            profiles=[_described_later(profile, moved_us) for profile in self.profiles],
            interactions=[
                msgspec.structs.replace(event, occurred_at_us=event.occurred_at_us + moved_us)
                for event in self.interactions
            ],
        )


def time_us_of(value: Value) -> int:
    """When it happened, or as of when it describes."""
    return value.occurred_at_us if isinstance(value, Interaction) else value.updated_at_us


def _described_later(value: Described, moved_us: int) -> Described:
    return msgspec.structs.replace(value, updated_at_us=value.updated_at_us + moved_us)
