"""`kindred erase`: everything goes, wherever it was interrupted, and the proof is true."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain import NO_EVENT, Chain, chain, kindred
from kindred.errors import Misconfigured
from kindred.history import named_letters
from kindred.local.processes import ChildProcess
from kindred.settings import Settings
from kindred.vectors.collections import ensure_collections
from kindred.vectors.index import Index
from proxy import proxied
from running import T0_MS, environment, eventually, interaction, one, prepare, producing, rows, running
from truth import is_searchable

RETIRED = "an-old-model"
LETTERS = "SELECT count(*) FROM dead_letter"
WAITING = "SELECT (SELECT count(*) FROM pending_sync) + (SELECT count(*) FROM letter_search)"


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        yield here


def profile(user: str, at_ms: int) -> dict[str, Any]:
    return {"user_id": user, "updated_at": at_ms, "country": "DE"}


def lives(here: Chain, user: str) -> None:
    """A user with a profile, two interactions, and letters under the key and in the value."""
    at_ms = T0_MS + 3_000
    here.sync(
        here.record("users", user, profile(user, T0_MS), at_ms),
        here.record("interactions", user, interaction(user, "1", 1), at_ms),
        here.record("interactions", user, interaction(user, "2", 2), at_ms),
        here.record("interactions", user, NO_EVENT, at_ms),
        here.record("interactions", None, {"user_id": user, "type": "watch"}, at_ms),
        here.record("interactions", "other", {"user_id": "other", "type": user}, at_ms),
    )


def search_letters(here: Chain) -> int:
    return named_letters.search_waiting(here.servers.database, 100, here.settings.topic("items"))


def test_nothing_of_a_user_is_left_and_the_proof_says_what_went(here: Chain) -> None:
    settings = here.settings
    lives(here, "ann")
    preview = kindred(settings, "erase", "ann", "--dry-run")
    assert (preview["profiles"], preview["interactions"], preview["dead_letters"]) == (1, 2, 2)
    assert here.point("ann").has_vector  # type: ignore[union-attr]

    proof = kindred(settings, "erase", "ann", "--yes", "--reason", "ticket 7")

    assert proof["exit_code"] == 0
    assert (proof["complete"], proof["was_known"]) == (True, True)
    assert proof["deleted"] == {"profiles": 1, "interactions": 2, "dead_letters": 2}
    assert set(proof["left"]["postgres"].values()) == {0}
    assert proof["left"]["qdrant"] == {here.model: "tombstone"}
    assert {"kafka", "backups", "training files", "exports", "checkpoints"} == proof["out_of_reach"].keys()
    assert one(settings, LETTERS) == 1
    point = here.point("ann")
    assert point is not None
    assert (point.erased, point.has_vector) == (True, False)
    assert here.drain() == 0


def test_the_stored_proof_does_not_hold_the_id(here: Chain) -> None:
    lives(here, "recognisable")
    proof = kindred(here.settings, "erase", "recognisable", "--yes", "--reason", "asked for it")
    ((stored, reason),) = rows(here.settings, "SELECT e::text, reason FROM erasure e")
    assert "recognisable" not in stored
    assert reason == "asked for it"
    (kept,) = rows(here.settings, "SELECT proof FROM erasure")[0]
    assert kept["deleted"] == proof["deleted"]
    assert one(here.settings, "SELECT encode(user_hash, 'hex') FROM erasure") == kept["user_hash"]
    with pytest.raises(Misconfigured, match="must not hold the id"):
        kindred(here.settings, "erase", "recognisable", "--yes", "--reason", "recognisable asked")


def test_erasing_twice_says_the_same(here: Chain) -> None:
    lives(here, "ann")
    first = kindred(here.settings, "erase", "ann", "--yes")
    again = kindred(here.settings, "erase", "ann", "--yes")
    assert again["deleted"] == first["deleted"]
    assert again["complete"]


def test_a_user_nobody_has_seen_is_noted(here: Chain) -> None:
    assert not kindred(here.settings, "erase", "nobody", "--dry-run")["known"]
    assert one(here.settings, "SELECT count(*) FROM app_user") == 0
    proof = kindred(here.settings, "erase", "nobody", "--yes")
    assert (proof["was_known"], proof["complete"], proof["exit_code"]) == (False, True, 0)
    here.send("interactions", "nobody", interaction("nobody", "1", 1))
    assert here.point("nobody").erased  # type: ignore[union-attr]


def test_a_profile_that_a_fast_clock_dated_later_is_no_new_life(here: Chain) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + 120_000
    here.send("users", "ann", profile("ann", ahead_ms))
    assert kindred(here.settings, "erase", "ann", "--yes")["complete"]
    here.send("users", "ann", profile("ann", ahead_ms))
    assert here.point("ann").erased  # type: ignore[union-attr]
    here.send("users", "ann", profile("ann", ahead_ms + 1))
    assert here.point("ann").has_vector  # type: ignore[union-attr]


def test_a_worker_finishes_what_died_before_qdrant(here: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    lives(here, "ann")

    class KilledError(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Index, "write_user_tombstones", killed)
        with pytest.raises(KilledError):
            kindred(here.settings, "erase", "ann", "--yes")
    assert here.point("ann").has_vector  # type: ignore[union-attr]
    assert here.drain() == 1
    assert here.point("ann").erased  # type: ignore[union-attr]
    proof = kindred(here.settings, "erase", "ann", "--yes")
    assert proof["deleted"] == {"profiles": 1, "interactions": 2, "dead_letters": 2}
    assert proof["complete"]


@pytest.mark.slow
def test_a_worker_finishes_what_kill_9_left(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    with running(settings), producing(settings) as produce:
        produce("interactions", "ann", interaction("ann", "1", 1))
        produce("interactions", "other", {"user_id": "ann", "type": "watch"})
        eventually(lambda: one(settings, LETTERS) == 1 and is_searchable(settings))
    with proxied(settings.qdrant.url) as proxy:
        proxy.become("silent")
        qdrant = settings.qdrant.model_copy(update={"url": proxy.url})
        hanging = environment(settings.model_copy(update={"qdrant": qdrant}))
        command = [sys.executable, "-m", "kindred.cli", "erase", "ann", "--yes", "--reason", "ticket 7"]
        with ChildProcess("erase", command, log=tmp_path / "erase.log", environment=hanging) as erasing:
            eventually(lambda: one(settings, "SELECT count(*) FROM erasure") == 1)
            erasing.kill()
    assert one(settings, LETTERS) == 1
    with running(settings):
        eventually(lambda: one(settings, LETTERS) == 0)
        eventually(lambda: one(settings, WAITING) == 0)
    proof = kindred(settings, "erase", "ann", "--yes")
    assert (proof["complete"], proof["deleted"]["dead_letters"]) == (True, 1)
    assert list(proof["left"]["qdrant"].values()) == ["tombstone"]
    assert one(settings, "SELECT reason FROM erasure") == "ticket 7"


def test_while_qdrant_is_away_the_proof_is_not_complete(here: Chain) -> None:
    lives(here, "ann")
    with proxied(here.settings.qdrant.url) as proxy:
        qdrant = here.settings.qdrant.model_copy(update={"url": proxy.url})
        proxy.become("refusing")
        proof = kindred(here.settings.model_copy(update={"qdrant": qdrant}), "erase", "ann", "--yes")
    assert (proof["complete"], proof["exit_code"]) == (False, 1)
    assert "a worker writes the tombstone" in json.dumps(proof["because"])
    assert here.drain() == 1
    assert kindred(here.settings, "erase", "ann", "--yes")["complete"]


def test_collections_of_retired_models_get_the_tombstone_too(here: Chain) -> None:
    lives(here, "ann")
    ensure_collections(here.servers.qdrant, here.servers.names, RETIRED, 64, here.servers.declaration)
    proof = kindred(here.settings, "erase", "ann", "--yes")
    assert proof["left"]["qdrant"] == {here.model: "tombstone", RETIRED: "tombstone"}


def test_tombstones_of_records_reach_collections_of_retired_models(here: Chain) -> None:
    """Rule 16: what such a collection holds can be read until it is dropped."""
    ensure_collections(here.servers.qdrant, here.servers.names, RETIRED, 64, here.servers.declaration)
    lives(here, "ann")
    here.send("users", "ann", None)
    here.send("items", "1", None)
    points = here.points.retrieve(RETIRED, "user", ["ann"]), here.points.retrieve(RETIRED, "item", ["1"])
    assert [point.erased for found in points for point in found.values()] == [True, True]
    assert here.points.retrieve(RETIRED, "item", ["2"]) == {}


def test_an_erasure_by_record_ends_in_the_same_state(here: Chain) -> None:
    lives(here, "ann")
    here.send("users", "ann", None)
    assert search_letters(here) == 1
    assert one(here.settings, LETTERS) == 1, "found by key and by value, by whoever keeps house"
    assert search_letters(here) == 0
    again = kindred(here.settings, "erase", "ann", "--yes")
    assert (again["complete"], again["deleted"]["dead_letters"]) == (True, 2)


def test_letters_of_a_new_life_stay(here: Chain) -> None:
    """They may yet become events: by a replay, once their type is declared."""
    lives(here, "ann")
    here.send("users", "ann", None, at_ms=T0_MS + 5_000)
    here.send("users", "ann", profile("ann", T0_MS + 6_000), at_ms=T0_MS + 6_000)
    here.send("interactions", None, {"user_id": "ann", "type": "wave"}, at_ms=T0_MS + 7_000)
    assert search_letters(here) == 1
    assert one(here.settings, LETTERS) == 2
    assert one(here.settings, f"{LETTERS} WHERE position('wave'::bytea IN value) > 0") == 1


@pytest.mark.parametrize("user", ["'; DROP TABLE app_user; --", "😀\u200f\n", 'q"uo\\te', "é" * 128])
def test_ids_of_any_kind(here: Chain, user: str) -> None:
    lives(here, user)
    proof = kindred(here.settings, "erase", user, "--yes")
    assert proof["complete"]
    assert proof["deleted"]["dead_letters"] == 2


def test_what_is_no_id_is_refused(here: Chain) -> None:
    for user in ("", "x" * 257, "a\x00b"):
        with pytest.raises(Misconfigured, match="Nobody can have this id"):
            kindred(here.settings, "erase", user, "--yes")
