"""A batch that grew too old is asked for again, never upserted (rule 7)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain import chain
from kindred.history.store import Affected
from kindred.vectors.index import Index
from running import T0_MS, interaction


def test_a_batch_that_slept_writes_nothing_and_is_written_by_a_later_one(
    postgres_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        record = here.record("interactions", "7", interaction("7", "3", 1), at_ms=T0_MS + 1_000)
        (affected,) = here.syncer.apply([record])
        embedded = here.syncer.embed(affected)
        slept = replace(
            embedded, affected=replace(affected, began_at_seconds=affected.began_at_seconds - 301)
        )
        here.syncer.upsert(slept)
        assert here.point("7") is None
        assert here.drain() > 0
        written = here.point("7")
        assert written is not None
        assert written.revision > affected.revision


def test_a_batch_that_grows_old_between_its_requests_is_asked_for_again(
    postgres_url: str, qdrant_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        servers = here.servers
        here.syncer._index = Index(servers.qdrant, servers.names, servers.declaration, max_request_bytes=100)
        clicks = [here.record("interactions", user, interaction(user, "3", 1)) for user in ("7", "8")]
        (affected,) = here.syncer.apply(clicks)
        ages = iter([0.0])  # of the first request, which has room for one user
        monkeypatch.setattr(Affected, "age_seconds", property(lambda self: next(ages, 301.0)))
        here.syncer.upsert(here.syncer.embed(affected))
        monkeypatch.undo()
        assert [here.point(user) is not None for user in ("7", "8")] == [True, False]
        assert here.drain() > 0
        assert here.point("8") is not None
