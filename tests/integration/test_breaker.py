"""A partition that is mostly poison waits for a person; everything else goes on (rule 21)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chain import kindred, kindred_list
from kindred.errors import Misconfigured
from kindred.settings import Settings
from running import (
    Sender,
    beside,
    committed,
    eventually,
    interaction,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    ready,
    rows,
    running,
)

LOGGED = "SELECT count(*) FROM interaction"
LETTERS = "SELECT count(*) FROM dead_letter"
POISON, FEWEST = 300, 100  # below which the breaker does not judge


def test_poison_pauses_its_own_partition_alone(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        good = many(60, users=10)
        for partition in (0, 2):
            for event in good:
                produce.raw(
                    "interactions", f"u{partition}", json.dumps(_of(event, partition)).encode(), partition
                )
        poison(produce, 1)
        eventually(lambda: not ready(settings)["ready"])
        produce.raw("interactions", "u1", json.dumps(interaction("late", "3", 1)).encode(), 1)
        produce.raw("interactions", "u2", json.dumps(interaction("other", "3", 1)).encode(), 2)
        produce.flush()

        eventually(lambda: one(settings, LOGGED) == 121)
        topic = settings.topic("interactions")
        paused = {f"{topic}[1]": "paused: most records are poison"}
        eventually(lambda: ready(settings)["reasons"] == paused)
        eventually(lambda: committed(settings)["interactions", 2] == 61)
        # A first few may come in a batch of their own, too small to judge.
        letters = one(settings, LETTERS)
        assert letters < FEWEST
        eventually(lambda: committed(settings)["interactions", 1] == letters)
        # What came after the poison waits behind it: syncing it would commit past what was left.
        assert rows(settings, "SELECT FROM interaction WHERE user_id = 'late'") == []
        eventually(
            lambda: (
                metric(settings, "kindred_lag_records", topic=topic, partition="1") == POISON + 1 - letters
            )
        )


def test_half_poison_is_set_aside_as_dead_letters_and_nothing_waits(
    settings: Settings, tmp_path: Path
) -> None:
    """Only more than half says that the partition itself is broken."""
    settings, events = prepare(settings, tmp_path), many(POISON, users=10)
    with producing(settings) as produce:
        for event in events:
            produce.raw("interactions", "u", json.dumps(event).encode(), 1)
            produce.raw("interactions", "u", b"not json", 1)
        produce.interactions([interaction("other", "3", 1)])
    with running(settings):
        eventually(lambda: sum(committed(settings).values()) == 2 * POISON + 1)
        assert is_ready(settings)
    assert (one(settings, LOGGED), one(settings, LETTERS)) == (POISON + 1, POISON)


def test_a_paused_partition_is_judged_anew_wherever_it_goes(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    second, paused = beside(settings), f"{settings.topic('interactions')}[2]"
    with producing(settings) as produce, running(settings):
        poison(produce, 2)
        eventually(lambda: paused in ready(settings).get("reasons", ()))
        with running(second):
            both = (settings, second)
            eventually(lambda: sum(paused in ready(each).get("reasons", ()) for each in both) == 1)
            # It goes to one of the two; the other one is free of it.
            eventually(lambda: is_ready(settings) or is_ready(second))
        eventually(lambda: list(ready(settings)["reasons"]) == [paused])
    assert one(settings, LETTERS) < 3 * FEWEST


def test_poison_that_a_person_accepts_becomes_dead_letters_without_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    settings = prepare(settings, tmp_path)
    topic = settings.topic("interactions")
    with producing(settings) as produce, running(settings):
        poison(produce, 1)
        produce.raw("interactions", "u1", json.dumps(interaction("late", "3", 1)).encode(), 1)
        produce.flush()
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        (trip,) = kindred_list(settings, "breaker", "list")
        assert (trip["topic"], trip["partition"], trip["record_offset"] < FEWEST) == (topic, 1, True)
        assert (trip["reason"], trip["accepted_until"]) == ("not_json", None)

        accepted = kindred(settings, "breaker", "accept", topic, "1")
        assert accepted["accepted_until"] == POISON + 1
        eventually(lambda: one(settings, LETTERS) == POISON)
        eventually(lambda: one(settings, LOGGED) == 1)
        eventually(lambda: is_ready(settings))
        assert kindred_list(settings, "breaker", "list") == []

        poison(produce, 1)  # what comes after it is judged as ever
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        (trip,) = kindred_list(settings, "breaker", "list")
        assert trip["record_offset"] >= POISON + 1
    with pytest.raises(Misconfigured, match="is not paused"):
        kindred(settings, "breaker", "accept", topic, "2")


def test_what_others_send_while_poison_is_accepted_is_not_lost(settings: Settings, tmp_path: Path) -> None:
    """The partition begins a new epoch; what was polled of the others meanwhile must not go with it."""
    settings = prepare(settings, tmp_path)
    topic = settings.topic("interactions")
    with producing(settings) as produce, running(settings):
        poison(produce, 1)
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        kindred(settings, "breaker", "accept", topic, "1")
        sent = 0
        while one(settings, LETTERS) < POISON:  # somewhere in between the worker reads on
            for number in range(sent, sent + 50):
                event = interaction(f"user-{number}", "3", number)
                produce.raw("interactions", event["user_id"], json.dumps(event).encode(), 2 * (number % 2))
            sent += 50
            produce.flush()
        eventually(lambda: one(settings, LOGGED) == sent)


def test_a_partition_of_which_postgres_refuses_most_pauses_too(settings: Settings, tmp_path: Path) -> None:
    """After its first letters, for it sees what decode lets pass; a constraint stands for what it minds."""
    few = 20
    settings = prepare(settings, tmp_path, breaker_min_records=few)
    rows(settings, "ALTER TABLE interaction ADD CONSTRAINT nothing CHECK (item < 0)")
    topic = settings.topic("interactions")
    with producing(settings) as produce, running(settings):
        for number in range(100):
            produce.raw("interactions", "u1", json.dumps(interaction("u1", "3", number)).encode(), 1)
        produce.flush()
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        (trip,) = kindred_list(settings, "breaker", "list")
        assert trip["reason"] == "refused_by_postgres"
        letters = one(settings, LETTERS)
        assert letters == trip["record_offset"] == few - 1
    with running(settings):
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        assert one(settings, LETTERS) < 2 * few  # and some at each assignment
        accepted = kindred(settings, "breaker", "accept", topic, "1", "--until", "40")
        assert accepted["accepted_until"] == 40
        eventually(lambda: one(settings, LETTERS) >= 40)
        eventually(lambda: f"{topic}[1]" in ready(settings).get("reasons", ()))
        letters = one(settings, LETTERS)
        assert letters < 40 + few
        rows(settings, "ALTER TABLE interaction DROP CONSTRAINT nothing")
    with running(settings):  # mended, a restart reads on
        eventually(lambda: committed(settings).get(("interactions", 1)) == 100)
        assert one(settings, LETTERS) == letters
        kindred(settings, "dead-letters", "replay", "--reason", "refused_by_postgres")
        # Some of these were delivered again meanwhile, and count once all the same.
        assert (one(settings, LOGGED), one(settings, LETTERS)) == (100, 0)


def test_unknown_types_never_trip(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    with producing(settings) as produce:
        produce.interactions([interaction("u", "3", number, "teleport") for number in range(300)])
        produce.interactions([interaction("u", "3", 301)])
    with running(settings):
        eventually(lambda: one(settings, LOGGED) == 1)
        assert dict(rows(settings, "SELECT reason, count(*) FROM dead_letter GROUP BY 1")) == {
            "unknown_type": 300
        }
        eventually(lambda: is_ready(settings))


def poison(produce: Sender, partition: int) -> None:
    for _ in range(POISON):
        produce.raw("interactions", "u1", b"{", partition)
    produce.flush()


def _of(event: dict[str, object], partition: int) -> dict[str, object]:
    return event | {"user_id": f"{event['user_id']}-{partition}"}
