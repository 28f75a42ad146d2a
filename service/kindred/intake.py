"""The first step: records into Postgres, in one transaction, or in several where it refuses a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from kindred.errors import Outage, PartitionsTripped, RefusedByPostgres
from kindred.events.breaker import Breaker, Counts, main_reason
from kindred.events.decode import decode
from kindred.events.rebalances import Partition
from kindred.events.schema import Contract, DeadLetter, Decoded, Reason, Record
from kindred.history.store import (
    ANY_FLOOR_US,
    Affected,
    HistoryStore,
    Origin,
    Pending,
    RetentionFloorRaised,
)
from kindred.history.window import Item


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records, pending rows, and up to where Postgres must hold the records' partitions before."""

    records: Sequence[Record]
    pending: Pending = field(default_factory=Pending)
    begins: Mapping[Partition, int] = field(default_factory=dict)

    def halves(self) -> tuple[Delivery, Delivery]:
        middle = len(self.records) // 2
        return (
            Delivery(self.records[:middle], self.pending, self.begins),
            Delivery(self.records[middle:], begins=self.begins),
        )

    @property
    def origin(self) -> Origin:
        next_offsets = {(record.topic, record.partition): record.offset + 1 for record in self.records}
        return Origin(next_offsets, self.begins)


class Intake:
    """Used by one thread. Knows the breaker, and the retention floor as of the last transaction."""

    def __init__(self, contract: Contract, breaker: Breaker, history: HistoryStore) -> None:
        self._contract = contract
        self._breaker = breaker
        self._history = history
        self._untold_items: list[Item] = []
        self._records: Sequence[Record] = ()  # of the delivery in hand
        self._letters: list[DeadLetter] = []  # of the same

    def apply(self, delivery: Delivery) -> list[Affected]:
        """Raises PartitionsTripped: call again without what it names; Outage: call again with the same."""
        decoded, counts = self._judged(delivery)
        done: list[Affected] = []
        self._records, self._letters = delivery.records, [*decoded.dead_letters]
        try:
            self._apply(decoded, delivery, done)
        except (Outage, PartitionsTripped) as error:
            # Earlier halves have committed and will be applied again, but their item changes are told once.
            self._untold_items.extend(item for affected in done for item in affected.changed_items)
            if isinstance(error, PartitionsTripped):  # and a paused partition's may not be for long
                for affected in done:
                    self._history.request_again(affected)
            raise
        if len(self._letters) > len(decoded.dead_letters):  # Postgres has refused some
            counts = self._breaker.judged(delivery.records, self._letters)
        self._breaker.count(counts)
        return self._with_untold_items(done)

    def _judged(self, delivery: Delivery) -> tuple[Decoded, dict[Partition, Counts]]:
        """Raises PartitionsTripped before anything is written."""
        decoded = decode(delivery.records, self._contract)
        counts = self._breaker.judged(delivery.records, decoded.dead_letters)
        if tripped := self._breaker.tripped(counts):
            raise PartitionsTripped({each: main_reason(each, decoded.dead_letters) for each in tripped})
        return decoded, counts

    def _apply(self, decoded: Decoded, delivery: Delivery, done: list[Affected]) -> None:
        try:
            done.append(self._transact(decoded, delivery, self._contract.floor_us))
        except RetentionFloorRaised as raised:
            self._contract = msgspec.structs.replace(self._contract, floor_us=raised.floor_us)
            decoded, _ = self._judged(delivery)  # what is too old now, is poison now
            self._apply(decoded, delivery, done)
        except RefusedByPostgres as refusal:
            self._apply_halves(delivery, done, refusal)

    def _apply_halves(self, delivery: Delivery, done: list[Affected], refusal: RefusedByPostgres) -> None:
        """Down to the one record that is refused, which becomes a dead letter (rule 9)."""
        if not delivery.records:
            raise refusal
        if len(delivery.records) == 1:
            letter = DeadLetter(delivery.records[0], Reason.REFUSED_BY_POSTGRES, str(refusal))
            self._judge_refused(letter)
            done.append(self._transact(Decoded(dead_letters=[letter]), delivery, ANY_FLOOR_US))
            return
        for half in delivery.halves():
            self._apply(decode(half.records, self._contract), half, done)

    def _judge_refused(self, letter: DeadLetter) -> None:
        """What Postgres refuses shows only now, when what came before it in its partition is written."""
        self._letters.append(letter)
        record = letter.record
        partition = (record.topic, record.partition)
        so_far = [each for each in self._records if _is_at_most(each, record)]
        letters = [each for each in self._letters if _is_at_most(each.record, record)]
        if self._breaker.tripped(self._breaker.judged(so_far, letters)):
            raise PartitionsTripped({partition: letter.reason.value}, {partition: record.offset})

    def _transact(self, decoded: Decoded, delivery: Delivery, floor_us: int | None) -> Affected:
        return self._history.apply(
            decoded, floor_us=floor_us, pending=delivery.pending, origin=delivery.origin
        )

    def _with_untold_items(self, done: list[Affected]) -> list[Affected]:
        if self._untold_items:
            changed = [*self._untold_items, *done[0].changed_items]
            done[0], self._untold_items = replace(done[0], changed_items=changed), []
        return done


def _is_at_most(record: Record, last: Record) -> bool:
    """Whether it is of the same partition, and not behind `last`."""
    return (record.topic, record.partition) == (last.topic, last.partition) and record.offset <= last.offset
