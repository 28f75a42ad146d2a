"""What the chaos is made of: records from a seed, faults from a seed, and an end that both determine."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from faults import reading
from faults.expected import Barrier, Partition, expected
from faults.injection import HOW
from faults.life import Description, Event, Life
from faults.poison import Poison, poison
from faults.schedule import Kind, schedule
from faults.workload import Sent, Workload
from kindred import declaration
from kindred.events.decode import decode
from kindred.events.schema import Contract, Record

NOW_MS = 1_795_000_000_000
PARTITIONS = 3
CONTRACT = Contract(
    "interactions", "users", "items", frozenset(declaration.load().events),
    floor_us=1_000 * NOW_MS - 400 * 86_400_000_000,
)  # fmt: skip


@pytest.mark.parametrize("each", poison(NOW_MS), ids=lambda each: f"{each.topic}: {each.reason}")
def test_each_kind_of_poison_has_its_reason(each: Poison) -> None:
    decoded = decode([Record(each.topic, 0, 0, NOW_MS, each.key, each.value)], CONTRACT)
    assert [letter.reason for letter in decoded.dead_letters] == [each.reason]


def test_a_seed_determines_the_records() -> None:
    first, second, other = (sent(seed)[0] for seed in (1, 1, 2))
    assert first == second != other


def test_a_seed_determines_the_faults() -> None:
    first, second, other = (
        schedule(seed, 600, frozenset(Kind), workers=3, mean_gap_seconds=2) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_every_fault_can_happen_and_one_at_a_time_to_each_target() -> None:
    faults = schedule(1, 3_600, frozenset(Kind), workers=3, mean_gap_seconds=1)
    assert {fault.kind for fault in faults} == set(Kind) == HOW.keys()
    for target in {fault.target for fault in faults}:
        for before, after in itertools.pairwise(each for each in faults if each.target == target):
            assert before.at_seconds + before.seconds < after.at_seconds


@pytest.mark.parametrize("seed", range(5))
def test_a_workload_has_one_end_in_whatever_order_its_partitions_are_read(seed: int) -> None:
    records, barriers = sent(seed)
    must_be = expected(records, CONTRACT, barriers).lives
    assert any(life.is_erased for life in must_be.values())
    assert any(life.erased_at_us and life.events for life in must_be.values())  # a new life
    assert one_by_one(records, barriers, random.Random(seed)) == must_be


def sent(seed: int) -> tuple[list[Record], list[Barrier]]:
    """Records with offsets, and barriers, as traffic.py would produce them."""
    now_ms = itertools.count(NOW_MS, 500).__next__
    workload = Workload(seed, users=60, items=20, partitions=PARTITIONS, now_ms=now_ms)
    records: list[Record] = []
    ends: dict[Partition, int] = defaultdict(int)
    barriers: list[Barrier] = []
    for _ in range(12):
        for each in (*workload.records(60), *workload.erasures(2), *workload.records(60)):
            records.append(_arrived(each, ends, NOW_MS + 600_000))
        barriers.append(dict(ends))
        workload.came_back()
    return records, barriers


def _arrived(each: Sent, ends: dict[Partition, int], at_ms: int) -> Record:
    place = sum(each.key or b"") % PARTITIONS if each.partition is None else each.partition
    offset = ends[each.topic, place]
    ends[each.topic, place] += 1
    return Record(each.topic, place, offset, each.timestamp_ms or at_ms, each.key, each.value)


def one_by_one(
    records: Sequence[Record], barriers: Sequence[Barrier], chance: random.Random
) -> dict[str, Life]:
    """Rules 13 and 15 event by event: partitions interleaved at random, some records read again later.

    Nothing behind a barrier is read before all that lies before it; after it, anything may come again.
    """
    lives: dict[str, Life] = defaultdict(Life)
    for record in _delivered(records, barriers, chance):
        decoded = decode([record], CONTRACT)
        for erasure in decoded.erasures:
            _erase(lives[erasure.user_id], erasure.erased_at_us)
        for profile in decoded.profiles:
            _describe(lives[profile.user_id], reading.profile(record, profile.digest)[1])
        for interaction in decoded.interactions:
            _happen(lives[interaction.user_id], reading.event(record))
    return lives


def _delivered(
    records: Sequence[Record], barriers: Sequence[Barrier], chance: random.Random
) -> Iterator[Record]:
    by_partition: dict[Partition, list[Record]] = defaultdict(list)
    for record in records:
        by_partition[record.topic, record.partition].append(record)
    read: dict[Partition, int] = dict.fromkeys(by_partition, 0)
    for barrier in (*barriers, {each: len(several) for each, several in by_partition.items()}):
        while left := [each for each in by_partition if read[each] < barrier.get(each, 0)]:
            partition = chance.choice(left)
            again = chance.randrange(30) if chance.random() < 0.2 else 0
            end = min(barrier[partition], read[partition] + chance.randrange(1, 30))
            yield from by_partition[partition][max(0, read[partition] - again) : end]
            read[partition] = end


def _erase(life: Life, at_us: int) -> None:
    if life.erased_at_us is not None and life.erased_at_us >= at_us:
        return
    life.erased_at_us = at_us
    if life.profile is not None and life.profile.updated_at_us > at_us:
        life.events = {key: event for key, event in life.events.items() if event.occurred_at_us > at_us}
    else:
        life.profile, life.events = None, {}


def _describe(life: Life, profile: Description) -> None:
    is_newer = life.profile is None or profile.rank > life.profile.rank
    if is_newer and (life.erased_at_us is None or profile.updated_at_us > life.erased_at_us):
        life.profile = profile


def _happen(life: Life, event: Event) -> None:
    if life.erased_at_us is not None and (life.profile is None or event.occurred_at_us <= life.erased_at_us):
        return
    life.events.setdefault(event.key, event)
