"""Postgres restored to an older state: workers refuse it, `kindred recover` reads and embeds what is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups import back_up, restore
from chain import kindred
from kindred.composition import opened
from kindred.errors import LostHistory, Misconfigured
from kindred.settings import Settings
from kindred.vectors.ids import point_id
from running import (
    committed,
    eventually,
    is_ready,
    many,
    one,
    prepare,
    producing,
    rows,
    running,
)
from truth import assert_exact, assert_searchable, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
PENDING = "SELECT count(*) FROM pending_sync"


def all_synced(settings: Settings, events: int, records: int) -> None:
    eventually(lambda: one(settings, LOGGED) == events)
    eventually(lambda: sum(committed(settings).values()) == records)
    eventually(lambda: one(settings, PENDING) == 0)
    eventually(lambda: is_searchable(settings))


def offsets(settings: Settings) -> dict[str, int]:
    return {f"{topic}[{partition}]": offset for (topic, partition), offset in committed(settings).items()}


def test_what_a_restore_lost_comes_again(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path), many(300, users=30)
    with producing(settings) as produce:
        with running(settings):
            produce.films()
            produce.interactions(events[:200])
            produce("users", "u1", {"user_id": "u1", "updated_at": 1_600_000_000_000})
            all_synced(settings, 200, 221)
            before, drawn = offsets(settings), back_up(settings)
            produce.interactions(events[200:])
            all_synced(settings, 300, 321)
            assert kindred(settings, "erase", "u2", "--yes")["complete"]
        produce.interactions(many(1, users=1, first=1_000))  # while nobody reads
    after = offsets(settings)
    restore(settings, drawn)

    with pytest.raises(LostHistory, match="kindred recover"), running(settings):
        pass
    plan = kindred(settings, "recover", "--dry-run")
    assert (plan["needed"], plan["done"]) == (True, None)
    changed = {name.rpartition(".")[2]: offset for name, offset in plan["rewind"].items()}
    assert changed == {name: before[name] for name in before if before[name] < after[name]}
    assert all("--to-offset" in command for command in plan["by_hand"])
    assert offsets(settings) == after

    done = kindred(settings, "recover")["done"]
    assert (done["epoch"], done["erased_again"], done["gaps"]) == (1, 1, {})
    assert offsets(settings) == before
    assert not kindred(settings, "recover", "--dry-run")["needed"]

    with running(settings):
        left = [event for event in events if event["user_id"] != "u2"] + many(1, users=1, first=1_000)
        eventually(lambda: one(settings, LOGGED) == len(left))
        eventually(lambda: one(settings, PENDING) == 0)
        eventually(lambda: is_searchable(settings))
        eventually(lambda: is_ready(settings))
        with pytest.raises(Misconfigured, match="stop all workers"):
            kindred(settings, "recover", "--force")
    assert one(settings, "SELECT epoch FROM lineage") == 1
    assert kindred(settings, "verify")["faults"] == []
    assert_searchable(settings)
    assert one(settings, "SELECT min(revision >> 40) FROM app_user") == 1
    rows(settings, "DELETE FROM app_user WHERE user_id = 'u2'")  # of whom only the tombstone is left
    assert_exact(settings, left)
    with opened(settings) as servers:
        (model,) = [name for (name,) in rows(settings, "SELECT name FROM model")]
        (point,) = servers.qdrant.retrieve(servers.names.users(model), [point_id("u2")])
    assert point.payload["erased"] is True


def test_where_nothing_is_lost_nothing_is_done(settings: Settings, tmp_path: Path) -> None:
    found = kindred(prepare(settings, tmp_path), "recover")
    assert (found["needed"], found["done"], found["rewind"]) == (False, None, {})
