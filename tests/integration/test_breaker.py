"""A partition that is mostly poison waits for a person; everything else goes on (rule 21)."""

from __future__ import annotations

import json
from pathlib import Path

from kindred.settings import Settings
from running import (
    committed,
    eventually,
    interaction,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    ready,
    rows,
    running,
)

LOGGED = "SELECT count(*) FROM interaction"
LETTERS = "SELECT count(*) FROM dead_letter"


def test_poison_pauses_its_own_partition_alone(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        good = many(60, users=10)
        for partition in (0, 2):
            for event in good:
                produce.raw(
                    "interactions", f"u{partition}", json.dumps(_of(event, partition)).encode(), partition
                )
        for _ in range(300):
            produce.raw("interactions", "u1", b"{", 1)
        produce.flush()
        eventually(lambda: not ready(settings)["ready"])
        produce.raw("interactions", "u1", json.dumps(interaction("late", "3", 1)).encode(), 1)
        produce.raw("interactions", "u2", json.dumps(interaction("other", "3", 1)).encode(), 2)
        produce.flush()

        eventually(lambda: one(settings, LOGGED) == 121)
        topic = settings.topic("interactions")
        assert ready(settings)["reasons"] == {f"{topic}[1]": "paused: most records are poison"}
        eventually(lambda: committed(settings)["interactions", 2] == 61)
        assert committed(settings)["interactions", 1] == 0
        assert one(settings, LETTERS) == 0
        # What came after the poison waits behind it: syncing it would commit past what was left.
        assert rows(settings, "SELECT FROM interaction WHERE user_id = 'late'") == []
        eventually(lambda: metric(settings, "kindred_lag_records", topic=topic, partition="1") == 301)


def test_unknown_types_never_trip(settings: Settings, tmp_path: Path) -> None:
    settings = prepare(settings, tmp_path)
    with producing(settings) as produce:
        produce.interactions([interaction("u", "3", number, "teleport") for number in range(300)])
        produce.interactions([interaction("u", "3", 301)])
    with running(settings):
        eventually(lambda: one(settings, LOGGED) == 1)
        assert dict(rows(settings, "SELECT reason, count(*) FROM dead_letter GROUP BY 1")) == {
            "unknown_type": 300
        }
        eventually(lambda: is_ready(settings))


def _of(event: dict[str, object], partition: int) -> dict[str, object]:
    return event | {"user_id": f"{event['user_id']}-{partition}"}
