"""Postgres is not what it was: a worker notices before anything wrong reaches Qdrant (rule 27)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backups import back_up, restore
from chain import kindred
from kindred.composition import run_worker
from kindred.errors import LostHistory
from kindred.events.group import read_group, set_offsets
from kindred.events.topics import create_topics, delete_topics
from kindred.settings import Settings
from running import (
    Sender,
    committed,
    eventually,
    interaction,
    is_alive,
    is_ready,
    many,
    one,
    prepare,
    producing,
    rows,
    running,
)
from servers.namespace import PARTITIONS
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
READ = "SELECT topic, partition, next_offset FROM synced_offset ORDER BY 1, 2"
REVISIONS = "SELECT user_id, revision FROM app_user ORDER BY 1"


def produce_to(produce: Sender, settings: Settings, partition: int, user: str, *numbers: int) -> None:
    """Interactions of one user on one partition, synced when this returns."""
    before = committed(settings)["interactions", partition]
    for number in numbers:
        value = json.dumps(interaction(user, "3", number)).encode()
        produce.raw("interactions", user, value, partition)
    produce.flush()
    eventually(lambda: committed(settings)["interactions", partition] == before + len(numbers))


def send(produce: Sender, partition: int, user: str, number: int) -> None:
    produce.raw("interactions", user, json.dumps(interaction(user, "3", number)).encode(), partition)
    produce.flush()


@contextmanager
def stopping(settings: Settings, match: str) -> Iterator[None]:
    """A worker that must stop by itself within the block."""
    with pytest.raises(LostHistory, match=match), running(settings):
        yield


def test_a_restore_under_an_idle_worker_is_noticed_by_the_next_batch(
    settings: Settings, tmp_path: Path
) -> None:
    settings = prepare(settings, tmp_path)
    with producing(settings) as produce, stopping(settings, "holds it only up to 2"):
        eventually(lambda: is_ready(settings))
        produce_to(produce, settings, 0, "ann", 1, 2)
        drawn, read = back_up(settings), rows(settings, READ)
        produce_to(produce, settings, 0, "ann", 3)
        restore(settings, drawn)
        send(produce, 0, "ann", 4)
        eventually(lambda: not is_alive(settings))
    assert one(settings, LOGGED) == 2
    assert rows(settings, READ) == read, "nobody knows any more what is missing"


def test_a_loss_in_other_partitions_keeps_a_worker_from_writing_too(
    settings: Settings, tmp_path: Path
) -> None:
    """Its own batch goes on from what is there, but its revision would lose against Qdrant's, in silence."""
    settings = prepare(settings, tmp_path)
    with producing(settings) as produce, stopping(settings, "Qdrant holds revision"):
        eventually(lambda: is_ready(settings))
        produce_to(produce, settings, 0, "ann", 1)
        produce_to(produce, settings, 1, "bob", 1)
        drawn = back_up(settings)
        produce_to(produce, settings, 1, "bob", 2, 3)
        produce_to(produce, settings, 1, "bob", 4)
        restore(settings, drawn)
        send(produce, 0, "ann", 2)
        eventually(lambda: not is_alive(settings))
    assert committed(settings)["interactions", 0] == 1


def test_a_loss_of_a_moment_shows_in_the_offsets_and_is_recovered(settings: Settings, tmp_path: Path) -> None:
    """The sequence had been written ahead, so the revisions show nothing."""
    settings = prepare(settings, tmp_path)
    events = many(40, users=10)
    with producing(settings) as produce, running(settings):
        eventually(lambda: is_ready(settings))
        produce.interactions(events[:30])
        eventually(lambda: sum(committed(settings).values()) == 30)
        back_up(settings)
        produce.interactions(events[30:])
        eventually(lambda: sum(committed(settings).values()) == 40)
        assert kindred(settings, "erase", "u3", "--yes")["complete"]
    restore(settings, drawn=None)
    with pytest.raises(LostHistory, match="kindred recover"):
        run_worker(settings, threading.Event())
    plan = kindred(settings, "recover", "--dry-run")
    assert (plan["needed"], plan["qdrant_revision"] <= plan["postgres_revision"]) == (True, True)

    assert kindred(settings, "recover")["done"]["erased_again"] == 1
    with running(settings):
        left = [event for event in events if event["user_id"] != "u3"]
        eventually(lambda: one(settings, LOGGED) == len(left))
        eventually(lambda: one(settings, "SELECT count(*) FROM pending_sync") == 0)
        eventually(lambda: is_searchable(settings))
    assert kindred(settings, "recover", "--dry-run")["needed"] is False
    rows(settings, "DELETE FROM app_user WHERE user_id = 'u3'")
    assert_exact(settings, left)


def test_offsets_that_somebody_moved_are_no_loss(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    topic = settings.topic("interactions")
    with producing(settings) as produce:
        with running(settings):
            eventually(lambda: is_ready(settings))
            produce_to(produce, settings, 0, "ann", *range(10))
        for number in range(10, 20):
            send(produce, 0, "ann", number)
        set_offsets(settings, {(topic, 0): 3})  # back: everything comes again
        with running(settings):
            eventually(lambda: committed(settings)["interactions", 0] == 20)
        assert_exact(settings, [interaction("ann", "3", number) for number in range(20)])

        for number in range(20, 30):
            send(produce, 0, "ann", number)
        set_offsets(settings, {(topic, 0): 25})  # forward: that looks like a loss until somebody says
        with pytest.raises(LostHistory, match="--accept-offsets"):
            run_worker(settings, threading.Event())
        assert kindred(settings, "recover", "--accept-offsets")["accepted"]
        with running(settings):
            eventually(lambda: committed(settings)["interactions", 0] == 30)
    assert one(settings, LOGGED) == 25


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    kafka = settings.kafka.model_copy(update={"on_lost_offsets": "earliest"})
    settings = settings.model_copy(update={"kafka": kafka})
    with producing(settings) as produce, running(settings):
        eventually(lambda: is_ready(settings))
        produce_to(produce, settings, 0, "ann", *range(10))
    delete_topics(settings)
    create_topics(settings, PARTITIONS)
    with producing(settings) as produce:
        for number in range(20, 23):
            send(produce, 0, "bob", number)
        with running(settings):
            eventually(lambda: one(settings, LOGGED) == 13)
            eventually(lambda: committed(settings)["interactions", 0] == 3)
        assert {p: n for t, p, n in rows(settings, READ) if t.endswith("interactions")}[0] == 3
        assert read_group(settings).committed[settings.topic("interactions"), 0] == 3
