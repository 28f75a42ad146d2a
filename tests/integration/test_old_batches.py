"""A batch that grew too old is asked for again, never upserted (rule 7)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chain import chain
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
