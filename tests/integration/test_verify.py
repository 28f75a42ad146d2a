"""`kindred verify`: whatever differs between Postgres and Qdrant is found, and repaired through workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client.models import PointStruct

from chain import Chain, chain, kindred
from kindred.embedding.embedder import Embedder
from kindred.history import samples
from kindred.operations import verify
from kindred.operations.vector_check import TOLERANCE
from kindred.operations.verify import Findings, Verification
from kindred.vectors.ids import point_id
from running import T0_MS, film, many, rows


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        here.sync(*(here.record("items", str(each), film(str(each), genres=["Drama"])) for each in range(20)))
        here.sync(*(here.record("interactions", e["user_id"], e) for e in many(30, users=10)))
        here.sync(here.record("users", "gone", None), here.record("items", "3", None))
        here.drain()
        yield here


def verified(here: Chain, *, repairs: bool = False) -> Findings:
    check = Verification(here.servers.database, here.points, repairs=repairs, wait=lambda _: None)
    return check.run([here.model])


def faults(here: Chain, **options: Any) -> dict[tuple[str, str], int]:
    return {(kind, fault): number for (_, kind, fault), number in verified(here, **options).faults.items()}


def test_what_is_equal_is_found_equal(here: Chain) -> None:
    found = kindred(here.settings, "verify")
    assert (found["faults"], found["exit_code"]) == ([], 0)
    assert found["compared"] == {"user": 11, "item": 20}
    assert found["vectors_compared"] == {"user": 10, "item": 19}
    assert kindred(here.settings, "verify", "--vectors", "3")["vectors_compared"] == {"user": 3, "item": 3}


def test_a_vector_that_its_model_never_gave_is_found_and_repaired(
    here: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its row's revision, so that nothing else shows it."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    names, client = here.servers.names, here.servers.qdrant
    for kind, collection, each in (
        ("user", names.users(here.model), "u1"),
        ("user", names.users(here.model), "u2"),
        ("item", names.items(here.model), "7"),
    ):
        payload = here.points.retrieve(here.model, kind, [each])[each].payload
        point = PointStruct(id=point_id(each), vector=[0.5, *[0.1] * 63], payload=dict(payload))
        client.upsert(collection, [point])
    rows(here.settings, "INSERT INTO pending_sync (kind, id) VALUES ('user', 'u2')")

    assert kindred(here.settings, "verify", "--vectors", "0")["faults"] == []
    found = kindred(here.settings, "verify", "--repair")
    faults = {(each["kind"], each["fault"], *each["examples"]) for each in found["faults"]}
    assert faults == {("user", "wrong_vector", "u1"), ("item", "wrong_vector", "7")}
    assert here.drain() == 3
    assert kindred(here.settings, "verify")["faults"] == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_each_dtypes_tolerance_tells_a_rounded_vector_from_a_stale_one(here: Chain, dtype: Any) -> None:
    embedder = Embedder.load(here.settings.checkpoint, dtype=dtype)
    sample = samples.draw(here.servers.database, 100)
    embedder.update_items(sample.items)
    rounded = embedder.embed(sample.histories)
    here.fleet.update_items(sample.items)
    exact = here.fleet.embed([here.model], sample.histories)[here.model]
    assert np.linalg.norm(rounded - exact, axis=1).max() < TOLERANCE[dtype]
    here.sync(*(here.record("interactions", e["user_id"], e) for e in many(10, users=10, first=30)))
    later = here.fleet.embed(
        [here.model], samples.again(here.servers.database, sample.histories.user_ids).histories
    )
    assert np.linalg.norm(later[here.model] - exact, axis=1).min() > TOLERANCE[dtype]


def test_each_difference_is_found_and_repaired(here: Chain) -> None:
    names, client = here.servers.names, here.servers.qdrant
    here.points.delete_surplus(here.model, "user", [here.point("u1")])  # type: ignore[list-item]
    rows(here.settings, "UPDATE app_user SET revision = revision + 100 WHERE user_id = 'u2'")
    here.points.delete_tombstones(here.model, {"gone": here.point("gone").revision})  # type: ignore[union-attr]
    here.points.delete_surplus(here.model, "item", [here.points.retrieve(here.model, "item", ["7"])["7"]])
    here.index.write_user_tombstones(here.model, ["nobody"], revision=5)
    revision = here.point("u4").revision  # type: ignore[union-attr]
    client.set_payload(names.users(here.model), {"erased": True}, points=_selected("u4"))
    rows(here.settings, "ALTER SEQUENCE revision RESTART WITH 1000")

    assert faults(here) == {
        ("user", "missing"): 2, ("user", "stale"): 1, ("user", "a_tombstone"): 1, ("user", "surplus"): 1,
        ("item", "missing"): 1,
    }  # fmt: skip
    assert faults(here, repairs=True) == faults(here) | {("user", "surplus"): 1}
    assert here.drain() == 5
    assert faults(here) == {}
    assert here.point("nobody") is None
    assert here.point("gone").erased  # type: ignore[union-attr]
    assert here.point("u4").revision > revision  # type: ignore[union-attr]


def test_a_batch_between_postgres_and_qdrant_is_no_fault(here: Chain) -> None:
    event = here.record("interactions", "u1", many(1, users=1, first=99)[0] | {"user_id": "u1"})
    under_way = here.syncer.apply([event])

    def meanwhile(_: float) -> None:
        for affected in under_way:
            here.syncer.upsert(here.syncer.embed(affected))

    check = Verification(here.servers.database, here.points, wait=meanwhile)
    assert not check.run([here.model]).faults


def test_a_surplus_point_that_moved_on_is_not_deleted(here: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user came into being between the two looks."""
    here.index.write_user_tombstones(here.model, ["new"], revision=1)
    delete = here.points.delete_surplus

    def after_the_user_came(*arguments: Any) -> None:
        here.send("users", "new", {"user_id": "new", "updated_at": T0_MS})
        delete(*arguments)

    monkeypatch.setattr(here.points, "delete_surplus", after_the_user_came)
    verified(here, repairs=True)
    assert here.point("new").has_vector  # type: ignore[union-attr]


def test_many_slices_and_pages_are_compared_once(here: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SLICE_ROWS", 3)
    monkeypatch.setattr("kindred.vectors.points._PAGE_POINTS", 4)
    found = verified(here)
    assert (found.compared, dict(found.faults)) == ({"user": 11, "item": 20}, {})


def _selected(user: str) -> list[int | str]:
    return [point_id(user)]
