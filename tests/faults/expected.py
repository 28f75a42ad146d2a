"""From every record produced to what must be true in the end: plain Python, no clock, no database."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from faults import reading
from faults.life import Description, Event, Life, Undetermined
from kindred.events.decode import decode_one
from kindred.events.rejected import Rejected
from kindred.events.schema import (
    Contract,
    Erasure,
    Interaction,
    ItemDescription,
    ItemRemoval,
    Profile,
    Record,
)

Partition = tuple[str, int]
Barrier = Mapping[Partition, int]  # next offset of each partition, once all before it was in Postgres

FLOOR_MARGIN_US = 2 * 3_600_000_000  # the floor rises as time goes on


@dataclass(slots=True)
class ExpectedItem:
    """An item's newest description and latest removal."""

    description: Description | None = None
    removed_at_us: int | None = None

    @property
    def is_removed(self) -> bool:
        if self.removed_at_us is None:
            return False
        return self.description is None or self.description.updated_at_us <= self.removed_at_us


@dataclass(slots=True)
class Expected:
    """All that Postgres must hold. `letters`: reason by (topic, partition, offset)."""

    lives: dict[str, Life] = field(default_factory=lambda: defaultdict(Life))
    items: dict[str, ExpectedItem] = field(default_factory=lambda: defaultdict(ExpectedItem))
    letters: dict[tuple[str, int, int], tuple[str, Record]] = field(default_factory=dict)
    counted: list[Event] = field(default_factory=list)  # every distinct event, dropped ones included


@dataclass(slots=True)
class _Phase:
    """What one phase brought, by user."""

    erasures: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    profiles: dict[str, list[Description]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, list[tuple[int, Event]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def users(self) -> set[str]:
        return self.erasures.keys() | self.profiles.keys() | self.events.keys()


def expected(records: Iterable[Record], contract: Contract, barriers: Sequence[Barrier] = ()) -> Expected:
    """What these records, in the order of their offsets, must lead to.

    Raises Undetermined where the rules leave the outcome to the order of arrival between partitions.
    """
    found = Expected()
    for phase in _phases(records, barriers):
        _live_through(phase, contract, found)
    return found


def _phases(records: Iterable[Record], barriers: Sequence[Barrier]) -> list[list[Record]]:
    phases: list[list[Record]] = [[] for _ in range(len(barriers) + 1)]
    for record in records:
        ends = [barrier.get((record.topic, record.partition), 0) for barrier in barriers]
        phases[bisect_right(ends, record.offset)].append(record)
    return phases


def _live_through(records: Sequence[Record], contract: Contract, found: Expected) -> None:
    phase = _Phase()
    letters = {}
    for record in records:
        try:
            _note(record, contract, phase, found)
        except Rejected as rejected:
            letters[record.topic, record.partition, record.offset] = (rejected.reason.value, record)
    for user_id, times in phase.erasures.items():
        _erase_letters(user_id, found.lives[user_id].erased_at_us, max(times), letters, found)
    found.letters |= letters
    for user_id in phase.users:
        events = phase.events.get(user_id, ())
        found.lives[user_id].go_on(
            phase.erasures.get(user_id, ()), phase.profiles.get(user_id, ()), _first_of_each_key(events)
        )


def _note(record: Record, contract: Contract, phase: _Phase, found: Expected) -> None:
    decoded = decode_one(record, contract)
    if isinstance(decoded, Interaction):
        event = reading.event(record)
        _check_floor(event, contract)
        phase.events[event.user_id].append((record.partition, event))
        found.items[event.item_id]  # known from now on, also where its user is erased
        found.counted.append(event)
    elif isinstance(decoded, Profile):
        user_id, profile = reading.profile(record, decoded.digest)
        phase.profiles[user_id].append(profile)
    elif isinstance(decoded, Erasure):
        user_id, erased_at_us = reading.tombstone(record)
        phase.erasures[user_id].append(erased_at_us)
    elif isinstance(decoded, ItemDescription):
        item_id, description = reading.item(record, decoded.digest)
        known = found.items[item_id]
        if known.description is None or known.description.rank < description.rank:
            known.description = description
    elif isinstance(decoded, ItemRemoval):
        item_id, removed_at_us = reading.tombstone(record)
        known = found.items[item_id]
        known.removed_at_us = max(removed_at_us, known.removed_at_us or removed_at_us)


def _check_floor(event: Event, contract: Contract) -> None:
    if contract.floor_us is not None and event.occurred_at_us < contract.floor_us + FLOOR_MARGIN_US:
        raise Undetermined(f"{event} is about as old as the log's retention")


def _first_of_each_key(events: Iterable[tuple[int, Event]]) -> list[Event]:
    """Of several with one key the first one counts, which only those of one partition have."""
    first: dict[tuple[int, bytes], tuple[int, Event]] = {}
    for partition, event in events:
        known_partition, known = first.setdefault(event.key, (partition, event))
        if known != event and known_partition != partition:
            raise Undetermined(f"{event} has other content on partition {known_partition}")
        if known.recorded_at_us < event.recorded_at_us:
            first[event.key] = known_partition, replace(known, recorded_at_us=event.recorded_at_us)
    return [event for _, event in first.values()]


def _erase_letters(
    user_id: str,
    erased_before_us: int | None,
    erased_at_us: int,
    arrived: Mapping[tuple[str, int, int], tuple[str, Record]],
    found: Expected,
) -> None:
    """An erasure takes the user's letters with it: of earlier phases all, of its own nobody knows."""
    if erased_before_us is not None and erased_before_us >= erased_at_us:
        return
    for letters in (arrived, found.letters):
        for place, (_, record) in list(letters.items()):
            if record.key != user_id.encode() or record.timestamp_ms * 1000 > erased_at_us:
                continue
            if letters is arrived:
                raise Undetermined(
                    f"the dead letter at {place} has the key of a user who was erased meanwhile"
                )
            del found.letters[place]
