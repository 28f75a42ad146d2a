from __future__ import annotations

from kindred.events.topics import declared_topics
from kindred.settings import Settings

NINETY_DAYS_MS = 90 * 24 * 60 * 60 * 1000


def test_tombstones_outlast_any_lag_on_the_compacted_topics() -> None:
    _, users, items = declared_topics(Settings(_env_file=None))
    for topic in (users, items):
        assert topic.configs["cleanup.policy"] == "compact"
        assert int(topic.configs["delete.retention.ms"]) >= NINETY_DAYS_MS


def test_interactions_are_never_compacted_away() -> None:
    interactions, _, _ = declared_topics(Settings(_env_file=None))
    assert "cleanup.policy" not in interactions.configs
