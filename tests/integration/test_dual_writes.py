"""What a worker writes beside the users of its records: other models, pending rows, items, popularity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain import chain
from kindred.client import KindredClient
from kindred.composition import opened
from kindred.embedding.checkpoint import read_manifest
from kindred.errors import ModelMismatch
from kindred.operations.models import Models
from kindred.settings import Settings
from kindred.vectors.collections import ensure_collections
from kindred.vectors.ids import point_id
from running import (
    FILMS,
    T0_MS,
    Sender,
    eventually,
    film,
    interaction,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    rows,
    running,
    save_model,
)
from servers.namespace import fresh_namespace
from truth import assert_exact, assert_searchable, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
PENDING = "SELECT count(*) FROM pending_sync"
CANDIDATE = "INSERT INTO model (name, state, checkpoint, dimension) VALUES (%s, 'candidate', %s, 64)"


@pytest.fixture(scope="module")
def shared(
    kafka_bootstrap: str, postgres_url: str, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Sender]]:
    """One worker for the tests that do not end it, with the films described and 40 users."""
    with fresh_namespace(kafka_bootstrap, postgres_url, qdrant_url) as settings:
        settings = prepare(settings, tmp_path_factory.mktemp("shared"))
        with running(settings), producing(settings) as produce:
            eventually(lambda: is_ready(settings))
            produce.films()
            produce.interactions(many(200))
            eventually(lambda: one(settings, LOGGED) == 200)
            eventually(lambda: is_searchable(settings))
            yield settings, produce


def test_a_new_description_reaches_whoever_holds_the_item(shared: tuple[Settings, Sender]) -> None:
    settings, produce = shared
    before = _revisions(settings)
    produce("items", "7", film("7", updated_at=T0_MS + 1) | FILMS["7"] | {"genres": ["Drama", "Comedy"]})
    holders = {user for (user,) in rows(settings, HOLDERS, "7")}
    assert holders
    eventually(lambda: {u for u, r in _revisions(settings).items() if r > before[u]} == holders)
    eventually(lambda: is_searchable(settings))
    assert_searchable(settings)
    eventually(lambda: one(settings, PENDING) == 0 == one(settings, "SELECT count(*) FROM item_sweep"))


def test_a_payload_field_embeds_nobody_and_arrives(shared: tuple[Settings, Sender]) -> None:
    settings, produce = shared
    before, embedded = _revisions(settings), metric(settings, "kindred_users_embedded_total")
    produce("items", "8", film("8", updated_at=T0_MS + 1, available=False) | FILMS["8"])
    eventually(lambda: _item(settings, "8")["available"] is False)
    assert _revisions(settings) == before
    assert metric(settings, "kindred_users_embedded_total") == embedded


def test_popularity_orders_what_an_unknown_user_gets(shared: tuple[Settings, Sender]) -> None:
    settings, produce = shared
    produce.interactions([interaction(f"fan{number}", "5", 300 + number) for number in range(60)])
    with KindredClient(settings.qdrant.url, namespace=settings.namespace) as kindred:
        answer = eventually(lambda: (a := kindred.recommend("stranger", 3)).matches[0].id == "5" and a)
    assert answer.source == "popular"
    counts = [match.payload["popularity"] for match in answer]
    assert counts == sorted(counts, reverse=True)


def test_pending_rows_are_drained(shared: tuple[Settings, Sender]) -> None:
    settings, _ = shared
    before = _revisions(settings)
    rows(settings, "INSERT INTO pending_sync (kind, id) SELECT 'user', user_id FROM app_user")
    rows(settings, "INSERT INTO pending_sync (kind, id) VALUES ('item', '3')")
    eventually(lambda: one(settings, PENDING) == 0)
    assert all(revision > before[user] for user, revision in _revisions(settings).items())
    assert_searchable(settings)


def test_a_candidate_is_written_from_its_first_moment(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path), many(100)
    name = save_model(tmp_path / "candidate", seed=1)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        with opened(settings) as servers:
            ensure_collections(servers.qdrant, servers.names, name, 64, servers.declaration)
        rows(settings, CANDIDATE, name, str(tmp_path / "candidate"))
        produce.films()
        produce.interactions(events)
        eventually(lambda: one(settings, LOGGED) == len(events))
        eventually(lambda: is_searchable(settings))
    assert_exact(settings, events)  # in both models


def test_a_model_retired_after_a_batchs_transaction_is_skipped(
    postgres_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    name = save_model(tmp_path / "candidate", seed=1)
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        models = Models(here.servers.database, here.fleet)
        ensure_collections(here.servers.qdrant, here.servers.names, name, 64, here.servers.declaration)
        rows(here.settings, CANDIDATE, name, str(tmp_path / "candidate"))
        (affected,) = here.syncer.apply([here.record("interactions", "u", interaction("u", "3", 1))])
        assert set(affected.models) == {here.model, name}
        rows(here.settings, "UPDATE model SET state = 'retired' WHERE name = %s", name)
        left = models.require(affected.models)
        assert left == [here.model]
        here.syncer.upsert(here.syncer.embed(replace(affected, models=left)))
        assert here.point("u").has_vector  # type: ignore[union-attr]

        rows(here.settings, "UPDATE model SET state = 'candidate' WHERE name = %s", name)
        assert models.require([here.model, name]) == [here.model, name]
        models.require([here.model])
        assert here.fleet.names == {here.model}


@pytest.mark.parametrize("checkpoint", ["nothing", "other"])
def test_a_model_that_cannot_be_loaded_stops_the_worker(
    settings: Settings, tmp_path: Path, checkpoint: str
) -> None:
    settings = prepare(settings, tmp_path)
    save_model(tmp_path / "other", seed=1)
    with pytest.raises(ModelMismatch, match=str(tmp_path / checkpoint)):
        _run_with_another_model(settings, tmp_path / checkpoint)


def test_the_first_model_of_an_old_installation_embeds_everybody(settings: Settings, tmp_path: Path) -> None:
    settings, events = prepare(settings, tmp_path), many(50)
    rows(settings, "INSERT INTO app_user (user_id) SELECT 'old' || n FROM generate_series(1, 30) n")
    rows(settings, "INSERT INTO item (item_id, revision) VALUES ('heirloom', 0)")
    with running(settings), producing(settings) as produce:
        produce.interactions(events)
        eventually(lambda: one(settings, LOGGED) == len(events) and one(settings, PENDING) == 0)
        eventually(lambda: is_searchable(settings))
        assert _item(settings, "heirloom")["model"] == read_manifest(settings.checkpoint).name


HOLDERS = """
SELECT user_id FROM app_user JOIN item ON number = ANY(history_items) WHERE item_id = %s
"""


def _run_with_another_model(settings: Settings, checkpoint: Path) -> None:
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        rows(settings, CANDIDATE, "missing", str(checkpoint))
        produce.interactions(many(3))
        eventually(lambda: not is_ready(settings))


def _revisions(settings: Settings) -> dict[str, int]:
    return dict(rows(settings, "SELECT user_id, revision FROM app_user"))


def _item(settings: Settings, item_id: str) -> dict[str, Any]:
    with opened(settings) as servers:
        found = servers.qdrant.retrieve(servers.names.items_alias, [point_id(item_id)])
    return dict(found[0].payload or {}) if found else {}
