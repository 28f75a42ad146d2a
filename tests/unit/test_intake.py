"""A retention floor that is raised under a batch. The rest of the intake is tested on a real Postgres."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from kindred.errors import PartitionsTripped, RefusedByPostgres
from kindred.events.breaker import Breaker
from kindred.events.schema import Contract, Decoded, Reason, Record
from kindred.history.store import RetentionFloorRaised
from kindred.intake import Delivery, Intake

FLOOR_US = 1_790_000_000_000_000
CONTRACT = Contract("interactions", "users", "items", frozenset({"watch"}))


@dataclass
class Floored:
    """A history with a retention floor that the batch does not know yet, and what it took."""

    refuses: bool = False
    applied: list[Decoded] = field(default_factory=list)
    asked_again: int = 0

    def apply(self, decoded: Decoded, *, floor_us: int | None, **_: Any) -> SimpleNamespace:
        if self.refuses and decoded.interactions:
            raise RefusedByPostgres("a value that no type takes")
        if floor_us is None or floor_us < FLOOR_US:
            raise RetentionFloorRaised(FLOOR_US)
        self.applied.append(decoded)
        return SimpleNamespace(changed_items=[])

    def request_again(self, _: object) -> None:
        self.asked_again += 1


def letters(history: Floored) -> int:
    return sum(len(decoded.dead_letters) for decoded in history.applied)


def records(number: int, at_us: int) -> list[Record]:
    return [
        Record("interactions", 0, offset, at_us // 1000, b"u", json.dumps(_event(offset, at_us)).encode())
        for offset in range(number)
    ]


def _event(offset: int, at_us: int) -> dict[str, Any]:
    return {
        "event_id": f"e{offset}", "user_id": "u", "item_id": "1", "type": "watch",
        "occurred_at": at_us // 1000,
    }  # fmt: skip


def intake(history: Floored) -> Intake:
    return Intake(CONTRACT, Breaker(min_records=10), history)  # type: ignore[arg-type]


def test_what_has_become_too_old_meanwhile_is_judged_as_poison() -> None:
    history = Floored()
    with pytest.raises(PartitionsTripped, match="too_old"):
        intake(history).apply(Delivery(records(20, FLOOR_US - 1_000_000)))
    assert history.applied == []


def test_a_record_that_postgres_refuses_becomes_a_letter_whatever_the_floor() -> None:
    history = Floored(refuses=True)
    intake(history).apply(Delivery(records(1, FLOOR_US + 1_000_000)))
    ((letter,),) = [decoded.dead_letters for decoded in history.applied]
    assert letter.reason is Reason.REFUSED_BY_POSTGRES


def test_a_partition_of_which_postgres_refuses_most_trips_before_much_of_it_is_letters() -> None:
    history = Floored(refuses=True)
    with pytest.raises(PartitionsTripped, match="refused_by_postgres") as tripped:
        intake(history).apply(Delivery(records(200, FLOOR_US + 1_000_000)))
    assert letters(history) == history.asked_again == 9  # the tenth is evidence enough
    assert tripped.value.first_left == {("interactions", 0): 9}


def test_a_few_refused_records_trip_nothing_until_more_come() -> None:
    history = Floored(refuses=True)
    room = intake(history)
    for _ in range(2):
        room.apply(Delivery(records(4, FLOOR_US + 1_000_000)))
    assert letters(history) == 8
    with pytest.raises(PartitionsTripped):
        room.apply(Delivery(records(4, FLOOR_US + 1_000_000)))
    history.refuses = False
    room.apply(Delivery(records(20, FLOOR_US + 1_000_000)))


def test_what_a_person_has_accepted_becomes_letters_however_much_postgres_refuses() -> None:
    history = Floored(refuses=True)
    breaker = Breaker(min_records=10)
    breaker.begin([("interactions", 0)], {("interactions", 0): 150})
    with pytest.raises(PartitionsTripped) as tripped:
        Intake(CONTRACT, breaker, history).apply(  # type: ignore[arg-type]
            Delivery(records(200, FLOOR_US + 1_000_000))
        )
    assert tripped.value.first_left == {("interactions", 0): 159}
    assert letters(history) == 159
