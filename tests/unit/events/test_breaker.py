"""The breaker trips on mostly poison, per partition, and on nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from kindred.events.breaker import Breaker, Counts, count_by_partition, main_reason
from kindred.events.schema import DeadLetter, Reason, Record

P0 = ("interactions", 0)
P1 = ("interactions", 1)


def record(partition, offset):
    return Record("interactions", partition, offset, 0, None, b"")


def test_a_partition_of_mostly_poison_trips_and_the_other_goes_on():
    batch = {P0: Counts(ok=40, poison=60), P1: Counts(ok=100, poison=0)}
    assert Breaker().tripped(batch) == {P0}


def test_half_poison_is_not_more_than_half():
    assert Breaker(max_share=0.5).tripped({P0: Counts(ok=500, poison=500)}) == frozenset()


def test_a_few_records_are_no_evidence():
    breaker = Breaker(min_records=100)
    assert breaker.tripped({P0: Counts(poison=99)}) == frozenset()
    breaker.count({P0: Counts(poison=99)})
    assert breaker.tripped({P0: Counts(poison=1)}) == {P0}


def test_earlier_good_records_are_forgotten_after_the_window():
    breaker = Breaker(window_records=1_000)
    breaker.count({P0: Counts(ok=1_000_000)})
    trips = 0
    while not breaker.tripped({P0: Counts(poison=100)}):
        breaker.count({P0: Counts(poison=100)})
        trips += 1
    assert 5 <= trips <= 10


def test_a_good_batch_passes_after_a_bad_one():
    breaker = Breaker(min_records=100, window_records=1_000)
    breaker.count({P0: Counts(ok=50, poison=49)})
    breaker.count({P0: Counts(poison=10)})
    assert breaker.tripped({P0: Counts(ok=10)}) == frozenset()


def test_asking_twice_changes_nothing():
    breaker = Breaker(min_records=10)
    batch = {P0: Counts(ok=4, poison=4)}
    assert [breaker.tripped(batch) for _ in range(5)] == [frozenset()] * 5


def test_a_newly_assigned_partition_starts_anew():
    breaker = Breaker(min_records=100)
    breaker.count({P0: Counts(poison=99)})
    breaker.begin([P0], {})
    assert breaker.tripped({P0: Counts(poison=50)}) == frozenset()


def test_what_a_person_has_accepted_is_not_judged_until_the_next_assignment():
    breaker = Breaker(min_records=1)
    records = [record(0, offset) for offset in range(4)]
    letters = [DeadLetter(each, Reason.NOT_JSON, "") for each in records]
    breaker.begin([P0], {P0: 3})
    assert breaker.judged(records, letters) == {P0: Counts(poison=1)}
    assert breaker.judged(records[:3], letters[:3]) == {}
    breaker.begin([P0], {})
    assert breaker.judged(records, letters) == {P0: Counts(poison=4)}


def test_the_main_reason_is_that_of_most_of_a_partitions_poison():
    reasons = [Reason.UNKNOWN_TYPE] * 3 + [Reason.NOT_JSON, Reason.TOO_LARGE, Reason.TOO_LARGE]
    letters = [DeadLetter(record(0, offset), reason, "") for offset, reason in enumerate(reasons)]
    assert (
        main_reason(P0, [*letters, *(DeadLetter(record(1, 0), Reason.NOT_JSON, "") for _ in range(9))])
        == "too_large"
    )


def test_unknown_types_are_no_poison():
    records = [record(0, 0), record(0, 1), record(1, 0)]
    letters = [
        DeadLetter(records[0], Reason.UNKNOWN_TYPE, ""),
        DeadLetter(records[1], Reason.NOT_JSON, ""),
    ]
    assert count_by_partition(records, letters) == {P0: Counts(ok=1, poison=1), P1: Counts(ok=1)}


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000))))
def test_what_is_remembered_never_exceeds_the_window_and_the_newest_batch(batches):
    seen = Counts()
    for ok, poison in batches:
        seen = seen.followed_by(Counts(ok, poison), window_records=1_000)
        assert ok <= seen.ok
        assert poison <= seen.poison
        assert seen.total <= max(1_000, ok + poison)
