"""The oracle itself: equal after a healthy run, and it names each kind of thing that was tampered with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from faults import in_postgres, spoiled
from faults.findings import Findings
from faults.healthy_run import Healthy, changed_point, changed_tables, run
from faults.in_postgres import compare_postgres
from faults.in_qdrant import compare_qdrant
from faults.life import Description, Event, Life, Undetermined
from faults.oracle import differences, what_must_be
from kindred.composition import opened
from kindred.settings import Settings
from running import prepare, privileged, producing, running
from servers.namespace import fresh_namespace


@pytest.fixture(scope="module")
def healthy(
    kafka_bootstrap: str, postgres_url: str, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Healthy]:
    with fresh_namespace(kafka_bootstrap, postgres_url, qdrant_url) as fresh:
        settings = prepare(fresh, tmp_path_factory.mktemp("healthy"))
        with running(settings), producing(settings) as produce:
            barriers = run(settings, produce)
        with opened(privileged(settings)) as servers:
            yield Healthy(servers, what_must_be(servers, barriers))


def test_a_healthy_run_is_equal(healthy: Healthy) -> None:
    assert healthy.differences() == []


def test_so_is_one_in_the_serving_dtype(settings: Settings, tmp_path: Path) -> None:
    """As exactly but for the vectors, which are nearly parallel to those of full precision."""
    worker = settings.worker.model_copy(update={"dtype": "bfloat16"})
    settings = prepare(settings.model_copy(update={"worker": worker}), tmp_path)
    with running(settings), producing(settings) as produce:
        barriers = run(settings, produce)
    assert differences(privileged(settings), barriers) == []
    full = settings.model_copy(update={"worker": settings.worker.model_copy(update={"dtype": "float32"})})
    lines = differences(privileged(full), barriers)
    assert all("vector" in line for line in lines)
    assert lines, "the workers served in full precision"


def test_it_names_each_thing_that_is_wrong_in_postgres(healthy: Healthy) -> None:
    with changed_tables(healthy.servers.database, spoiled.TABLES, spoiled.IN_POSTGRES):
        assert unnamed(spoiled.IN_POSTGRES.values(), healthy.differences()) == []


def test_it_names_each_thing_that_is_wrong_in_qdrant(healthy: Healthy) -> None:
    with ExitStack() as stack:
        for change, _ in spoiled.IN_QDRANT:
            stack.enter_context(changed_point(healthy.servers, *change))
        assert unnamed([line for _, line in spoiled.IN_QDRANT], healthy.differences()) == []


def test_an_old_tombstone_may_be_reaped(healthy: Healthy) -> None:
    gone = ["DELETE FROM app_user WHERE user_id = 'u2'"]
    with (
        changed_tables(healthy.servers.database, ["app_user"], gone),
        changed_point(healthy.servers, "user", "u2", None, None),
    ):
        assert healthy.differences() != []
        assert healthy.later().differences() == []


def test_it_may_be_reaped_while_the_oracle_reads(healthy: Healthy) -> None:
    later, findings = healthy.later(), Findings()
    before = compare_postgres(later.servers, later.must_be, findings)
    gone = ["DELETE FROM app_user WHERE user_id = 'u2'"]
    with (
        changed_tables(healthy.servers.database, ["app_user"], gone),
        changed_point(healthy.servers, "user", "u2", None, None),
    ):
        compare_qdrant(later.servers, later.must_be, before, findings)
    assert findings.lines() == []


@pytest.mark.parametrize("user_id", ["u1", "u2"])
def test_but_not_its_point_alone(healthy: Healthy, user_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor that of a user who was not erased."""
    monkeypatch.setattr(in_postgres, "REAPING_SECONDS", 0.0)
    with changed_point(healthy.servers, "user", user_id, None, None):
        assert unnamed(["missing user's point: "], healthy.later().differences()) == []


def test_what_was_spoiled_above_was_mended_again(healthy: Healthy) -> None:
    assert healthy.differences() == []


def test_it_names_a_record_that_was_not_committed(healthy: Healthy) -> None:
    with producing(healthy.settings) as produce:  # the last test: nobody works it off
        produce("users", "u1", {"user_id": "u1", "updated_at": 0, "country": "DE"})
    named = [line for line in healthy.differences() if line.startswith("not done")]
    assert "is committed to" in " ".join(named)


# One user's life, in any order

OLD, ERASED, NEW, LATER = 1, 2, 3, 4


def test_what_an_erasure_ends_is_gone_whenever_it_comes() -> None:
    first, last = Life(), Life()
    first.go_on([ERASED], [], [])
    first.go_on([], [], [watched(OLD)])
    last.go_on([], [described(OLD)], [watched(OLD)])
    last.go_on([ERASED], [], [])
    assert first == last == Life(erased_at_us=ERASED)


def test_without_a_newer_profile_even_later_events_go() -> None:
    life = Life()
    life.go_on([ERASED], [described(OLD)], [watched(LATER)])
    assert life == Life(erased_at_us=ERASED)


def test_a_newer_profile_that_was_there_before_keeps_later_events() -> None:
    life = Life()
    life.go_on([], [described(NEW)], [])
    life.go_on([ERASED], [], [watched(OLD), watched(LATER)])
    assert [event.occurred_at_us for event in life.history()] == [LATER]


def test_a_redelivered_erasure_ends_no_new_life() -> None:
    life = Life()
    life.go_on([ERASED], [], [])
    life.go_on([], [described(NEW)], [])
    life.go_on([ERASED], [], [watched(LATER)])
    assert (life.profile, len(life.events)) == (described(NEW), 1)


def test_what_was_recorded_before_an_erasure_is_of_the_old_life_whatever_it_is_dated() -> None:
    life = Life()
    life.go_on([ERASED], [], [])
    life.go_on([], [described(NEW)], [])
    life.go_on([], [], [replace(watched(LATER), recorded_at_us=OLD)])
    assert not life.events


def test_what_depends_on_the_order_is_refused() -> None:
    with pytest.raises(Undetermined):
        Life().go_on([ERASED], [described(NEW)], [watched(LATER)])


def unnamed(wanted: Iterable[str], lines: Sequence[str]) -> list[str]:
    """Of the beginnings of lines that must be there, those that no line has."""
    return [each for each in wanted if not any(line.startswith(each) for line in lines)]


def watched(at_us: int) -> Event:
    return Event("u", f"e{at_us}", at_us, "1", "watch", None, None, recorded_at_us=at_us)


def described(at_us: int) -> Description:
    return Description(at_us, b"", {"country": "DE"})
