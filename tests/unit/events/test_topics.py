from __future__ import annotations

import pytest

from kindred.events import topics
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


@pytest.mark.parametrize(
    ("policy", "retention_ms", "is_short"),
    [("compact", "1000", True), ("compact,delete", "1000", True), ("delete", "1000", False),
     ("compact", "604800000", False), ("compact", None, False)],
)  # fmt: skip
def test_a_compacted_topic_may_forget_its_tombstones_too_soon(
    policy: str, retention_ms: str | None, is_short: bool
) -> None:
    told = {"cleanup.policy": {"value": policy}}
    if retention_ms is not None:
        told["delete.retention.ms"] = {"value": retention_ms}
    assert topics._forgets_within(told, 7 * 86_400_000) == is_short


def test_a_broker_that_does_not_tell_is_not_judged() -> None:
    assert not topics._forgets_within({}, 7 * 86_400_000)
