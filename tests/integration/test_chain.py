"""From a produced record to a query's answer, through every server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kindred.client import KindredClient
from kindred.settings import Settings
from running import T0_MS, eventually, interaction, one, prepare, producing, running


@pytest.fixture
def prepared(settings: Settings, tmp_path: Path) -> Settings:
    """A migrated namespace and a checkpoint in which every film is known."""
    return prepare(settings, tmp_path)


def test_a_click_changes_what_a_user_is_recommended(prepared: Settings) -> None:
    with running(prepared), producing(prepared) as produce, _client(prepared) as kindred:
        produce.films()
        produce("users", "7", {"user_id": "7", "updated_at": T0_MS, "country": "DE"})
        cold = eventually(
            lambda: (a := _ask(kindred, "7")) and a.source == "cold_start" and len(a) == 20 and a
        )
        produce("interactions", "7", interaction("7", "3", 1))
        warm = eventually(lambda: (a := _ask(kindred, "7")) and a.source == "personal" and a)
        assert "3" not in {match.id for match in warm}
        assert [m.score for m in warm] != [m.score for m in cold]


def test_an_erased_user_stays_gone_when_a_late_event_arrives(prepared: Settings) -> None:
    with running(prepared), producing(prepared) as produce, _client(prepared) as kindred:
        produce.films()
        produce("users", "ann", {"user_id": "ann", "updated_at": T0_MS, "country": "DE"})
        produce("interactions", "ann", interaction("ann", "3", 1))
        eventually(lambda: (a := _ask(kindred, "ann")) and a.source == "personal")
        produce("users", "ann", None)
        eventually(lambda: _ask(kindred, "ann").source == "popular")
        produce("interactions", "ann", interaction("ann", "4", 2))
        produce("interactions", "bob", interaction("bob", "4", 3))
        eventually(lambda: _ask(kindred, "bob").source == "personal")
        assert _ask(kindred, "ann").source == "popular"
        assert one(prepared, "SELECT count(*) FROM interaction WHERE user_id = 'ann'") == 0


def _client(settings: Settings) -> KindredClient:
    return KindredClient(settings.qdrant.url, namespace=settings.namespace)


def _ask(kindred: KindredClient, user: str) -> Any:
    try:
        return kindred.recommend(user, limit=20)
    except Exception as error:
        if "model" in str(error).lower():  # the worker has not installed it yet
            return None
        raise
