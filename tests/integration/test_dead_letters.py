"""`kindred dead-letters`: what an operator sees, and what becomes of letters that are replayed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chain import NO_EVENT, Chain, chain, kindred
from histories import FILM_SHOP, migrated_database
from kindred.composition import contract
from kindred.errors import Misconfigured, Outage
from kindred.events.schema import Contract, DeadLetter, Decoded, Reason, Record
from kindred.history import letters, named_letters
from kindred.history.letters import Filter
from kindred.history.store import HistoryStore
from kindred.operations.replay import FOREIGN_TOPIC, Replay
from running import T0_MS, film, interaction, one, rows

LETTERS = "SELECT count(*) FROM dead_letter"
LOGGED = "SELECT user_id, event_id FROM interaction ORDER BY 1, 2"


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        yield here


def terms(here: Chain, **changes: Any) -> Contract:
    """The deployment's contract after a type was declared."""
    before = contract(here.settings, here.servers.declaration)
    types = before.event_types | {"teleport"}
    return msgspec.structs.replace(before, event_types=types, **changes)


def replay(here: Chain, wanted: Filter | None = None, **changes: Any) -> dict[str, Any]:
    """As the command, with a declaration that names one more type."""
    feature = here.servers.declaration.events["watch"]
    declared = msgspec.structs.replace(
        here.servers.declaration, events={**here.servers.declaration.events, "teleport": feature}
    )
    history = HistoryStore(here.servers.database, declared)
    done = Replay(here.servers.database, history, terms(here, **changes)).run(wanted or Filter())
    return {"events": done.events, **done.still_bad}


def unknown(here: Chain, user: str, number: int) -> Any:
    return here.record("interactions", user, interaction(user, str(number % 5), number, type_="teleport"))


def test_letters_are_listed_by_filter_and_shown_whole(here: Chain) -> None:
    here.sync(
        here.record("interactions", "ann", NO_EVENT),
        here.record("interactions", "ann", b"\xff\xfe"),
        here.record("items", "film", {"updated_at": T0_MS}),
    )
    rows(
        here.settings,
        "UPDATE dead_letter SET created_at = now() - interval '3 days' WHERE reason = 'not_json'",
    )
    found = kindred(here.settings, "dead-letters", "list")
    assert found["total"] == 3
    assert [letter["key"] for letter in found["letters"]] == [
        {"text": "ann"},
        {"text": "ann"},
        {"text": "film"},
    ]

    def reasons(*options: str) -> list[str]:
        return [
            each["reason"] for each in kindred(here.settings, "dead-letters", "list", *options)["letters"]
        ]

    assert reasons("--reason", "invalid_utf8") == ["invalid_utf8"]
    assert reasons("--topic", here.settings.topic("items")) == ["missing_field"]
    assert reasons("--older-than", "2d") == ["not_json"]
    assert reasons("--newer-than", "2d") == ["invalid_utf8", "missing_field"]
    shown = kindred(here.settings, "dead-letters", "show", str(found["letters"][1]["id"]))
    assert shown["value"] == {"hex": "fffe"}
    with pytest.raises(Misconfigured, match="no dead letter 12345"):
        kindred(here.settings, "dead-letters", "show", "12345")
    with pytest.raises(Misconfigured, match="no reason 'nonsense'"):
        kindred(here.settings, "dead-letters", "list", "--reason", "nonsense")


def test_purge_takes_what_matches_and_asks_for_a_filter(here: Chain) -> None:
    here.sync(here.record("interactions", "ann", NO_EVENT), unknown(here, "ann", 1))
    with pytest.raises(Misconfigured, match="or --all"):
        kindred(here.settings, "dead-letters", "purge", "--yes")
    would = kindred(here.settings, "dead-letters", "purge", "--reason", "not_json", "--dry-run")
    assert (would["deleted"], [each["letters"] for each in would["matching"]]) == (0, [1])
    assert kindred(here.settings, "dead-letters", "purge", "--reason", "not_json", "--yes")["deleted"] == 1
    assert one(here.settings, "SELECT reason FROM dead_letter") == "unknown_type"
    assert kindred(here.settings, "dead-letters", "purge", "--all", "--yes")["deleted"] == 1


def test_a_replayed_letter_becomes_an_event_and_a_vector(here: Chain) -> None:
    here.sync(here.record("items", "1", film("1", genres=["Drama"])))
    here.sync(*(unknown(here, f"u{number % 3}", number) for number in range(9)))
    assert here.point("u0") is None
    assert replay(here) == {"events": 9}
    assert one(here.settings, LETTERS) == 0
    assert len(rows(here.settings, LOGGED)) == 9
    assert here.drain() > 0
    for user in ("u0", "u1", "u2"):
        point = here.point(user)
        assert point is not None
        assert point.payload["history_length"] == 3
        assert point.revision == one(here.settings, "SELECT revision FROM app_user WHERE user_id = %s", user)
    assert here.points.retrieve(here.model, "item", ["4"])["4"].has_vector  # first seen by a letter


def test_what_is_still_no_event_stays(here: Chain) -> None:
    here.sync(here.record("interactions", "ann", NO_EVENT), unknown(here, "ann", 1))
    assert replay(here) == {"events": 1, "not_json": 1}
    assert replay(here) == {"events": 0, "not_json": 1}
    assert one(here.settings, LETTERS) == 1


def test_a_dry_run_changes_nothing(here: Chain) -> None:
    here.sync(here.record("interactions", "ann", NO_EVENT))
    found = kindred(here.settings, "dead-letters", "replay", "--dry-run")
    assert (found["events"], found["still_bad"]) == (0, {"not_json": 1})
    assert one(here.settings, LETTERS) == 1


def test_a_letter_whose_event_arrived_otherwise_counts_once(here: Chain) -> None:
    here.sync(unknown(here, "ann", 1))
    assert replay(here) == {"events": 1}
    here.sync(unknown(here, "ann", 1))
    assert replay(here) == {"events": 1}
    assert rows(here.settings, LOGGED) == [("ann", "e1")]
    here.drain()
    assert here.point("ann").payload["history_length"] == 1  # type: ignore[union-attr]


def test_large_letters_are_read_few_at_a_time(postgres_url: str) -> None:
    """Memory is bounded by what a slice may hold, or by one letter."""
    sizes = [1, 6_000_000, 6_000_000, 6_000_000, 17_000_000, 1, 1]
    found = [
        DeadLetter(
            Record("interactions", 0, offset, 0, b"ann" if offset % 2 else None, b"x" * size),
            Reason.NOT_JSON,
            "",
        )
        for offset, size in enumerate(sizes)
    ]
    with migrated_database(postgres_url) as database:
        HistoryStore(database, FILM_SHOP).apply(Decoded(dead_letters=found))
        slices = [[each.record.offset for each in slice_] for slice_ in letters.slices(database, Filter())]
        assert slices == [[0, 1, 2], [3], [4], [5, 6]]
        assert named_letters.count(database, "ann", "items") == 3


def test_an_interrupted_replay_loses_and_doubles_nothing(
    here: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.sync(*(unknown(here, "ann", number) for number in range(6)))
    monkeypatch.setattr("kindred.history.letters.SLICE_LETTERS", 2)
    apply, calls = HistoryStore.apply, iter(range(100))

    def second_fails(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 1:
            raise Outage("postgres", "gone")
        return apply(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(HistoryStore, "apply", second_fails)
        with pytest.raises(Outage):
            replay(here)
    assert (one(here.settings, LETTERS), len(rows(here.settings, LOGGED))) == (4, 2)
    assert replay(here) == {"events": 4}
    here.drain()
    assert here.point("ann").payload["history_length"] == 6  # type: ignore[union-attr]


def test_letters_that_somebody_else_took_are_left_out(here: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    here.sync(*(unknown(here, "ann", number) for number in range(4)))
    apply = Replay._apply

    def after_a_purge(self: Replay, found: Any) -> None:
        rows(here.settings, "DELETE FROM dead_letter WHERE id = (SELECT min(id) FROM dead_letter)")
        monkeypatch.setattr(Replay, "_apply", apply)
        apply(self, found)

    monkeypatch.setattr(Replay, "_apply", after_a_purge)
    assert replay(here) == {"events": 3}
    assert [event for _, event in rows(here.settings, LOGGED)] == ["e1", "e2", "e3"]


def test_one_that_postgres_refuses_again_stays_and_the_others_go(here: Chain) -> None:
    here.sync(*(unknown(here, f"u{number}", number) for number in range(8)))
    rows(here.settings, "ALTER TABLE interaction ADD CONSTRAINT no_such_user CHECK (user_id <> 'u5')")
    assert replay(here) == {"events": 7, "refused_by_postgres": 1}
    assert one(here.settings, "SELECT convert_from(key, 'UTF8') FROM dead_letter") == "u5"


def test_letters_older_than_retention_stay(here: Chain) -> None:
    here.sync(unknown(here, "ann", 1))
    rows(here.settings, "UPDATE lineage SET retention_floor = now() + interval '100 years'")
    assert replay(here) == {"events": 0, "too_old": 1}


def test_letters_of_another_deployments_topic_stay(here: Chain) -> None:
    here.sync(unknown(here, "ann", 1))
    assert replay(here, interactions_topic="elsewhere") == {"events": 0, FOREIGN_TOPIC: 1}


def test_a_letter_of_an_erased_user_brings_nobody_back(here: Chain) -> None:
    here.sync(unknown(here, "bob", 1), here.record("users", "ann", None))
    here.sync(unknown(here, "ann", 2))
    assert replay(here, Filter(reason="unknown_type")) == {"events": 2}
    here.drain()
    assert here.point("ann").erased  # type: ignore[union-attr]
    assert rows(here.settings, LOGGED) == [("bob", "e1")]


@pytest.mark.parametrize("at_ms", [10**15, 2**63 - 1, -1, -(2**63)])
def test_a_letter_of_a_time_that_no_calendar_holds_is_kept_shown_and_replayed(
    here: Chain, at_ms: int
) -> None:
    """Else the record could be neither an event nor a letter, and would stop every worker that reads it."""
    here.sync(here.record("interactions", "ann", NO_EVENT, at_ms), here.record("users", "ann", None, at_ms))
    found = kindred(here.settings, "dead-letters", "list")["letters"]
    assert sorted(letter["reason"] for letter in found) == ["invalid_time", "not_json"]
    assert replay(here) == {"events": 0, "not_json": 1, "invalid_time": 1}
