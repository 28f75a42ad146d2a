"""The end state that every fault must lead to: each event once, and no stale vector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faults.oracle import under_way
from kindred.composition import Servers, opened
from kindred.embedding.embedder import Embedder
from kindred.history.window import Histories, Item
from kindred.settings import Settings
from kindred.vectors.ids import point_id
from running import rows

LIMIT = 100
HISTORIES = """
SELECT u.user_id, u.revision, u.history_length, u.profile,
       ARRAY(SELECT i.item_id FROM unnest(u.history_items) WITH ORDINALITY AS h (number, place)
             JOIN item i USING (number) ORDER BY place),
       u.history_items, u.history_types, ARRAY(SELECT (extract(epoch FROM at) * 1e6)::bigint
                                               FROM unnest(u.history_at) WITH ORDINALITY AS h (at, place)
                                               ORDER BY place)
FROM app_user u WHERE erased_at IS NULL ORDER BY u.user_id
"""
ITEMS = "SELECT number, item_id, title, attributes, removed_at IS NOT NULL, revision, popularity FROM item"
TYPES = "SELECT number, name FROM event_type"


def assert_exact(settings: Settings, events: Iterable[dict[str, Any]]) -> None:
    """Every event is in the log once, every history is right, every vector is of its history."""
    events = list(events)
    found = rows(settings, HISTORIES)
    assert_each_once(settings, events)
    assert {row[0]: (row[2], row[4]) for row in found} == _expected(events)
    assert_searchable(settings, found)


def assert_each_once(settings: Settings, events: Sequence[dict[str, Any]]) -> None:
    """The log holds exactly these."""
    logged = rows(settings, "SELECT user_id, event_id FROM interaction")
    assert sorted(logged) == sorted({(each["user_id"], each["event_id"]) for each in events})


def assert_searchable(settings: Settings, found: Sequence[Any] | None = None) -> None:
    """Each user's point has the revision of its row, and the vector of its history, in every model."""
    found = rows(settings, HISTORIES) if found is None else found
    with opened(settings) as servers:
        for name, directory in rows(settings, "SELECT name, checkpoint FROM model WHERE state <> 'retired'"):
            points = _points(servers, name, [row[0] for row in found])
            assert {user: points[user].payload["revision"] for user in points} == {r[0]: r[1] for r in found}
            vectors = _embedded(settings, directory, found)
            written = np.array([points[row[0]].vector for row in found])
            np.testing.assert_allclose(written, vectors, atol=1e-5)


def is_searchable(settings: Settings) -> bool:
    """Whether that is so, and stays so: nothing waits to be read, swept for or written again."""
    try:
        assert_searchable(settings)
    except (AssertionError, KeyError):
        return False
    return not under_way(settings)


def _expected(events: Sequence[dict[str, Any]]) -> dict[str, tuple[int, list[str]]]:
    by_user: dict[str, dict[tuple[int, str], str]] = defaultdict(dict)
    for each in events:
        by_user[each["user_id"]].setdefault((each["occurred_at"], each["event_id"]), each["item_id"])
    return {user: (len(kept), [kept[key] for key in sorted(kept)][-LIMIT:]) for user, kept in by_user.items()}


def _points(servers: Servers, model: str, user_ids: Sequence[str]) -> dict[str, Any]:
    found = servers.qdrant.retrieve(
        servers.names.users(model), [point_id(user) for user in user_ids], with_vectors=True
    )
    return {str((point.payload or {})["user_id"]): point for point in found}


def _embedded(settings: Settings, directory: str, found: Sequence[Any]) -> NDArray[np.float32]:
    embedder = Embedder.load(Path(directory))
    embedder.update_items([Item(*row) for row in rows(settings, ITEMS)])
    return embedder.embed(_histories(found, dict(rows(settings, TYPES))))


def _histories(found: Sequence[Any], names: dict[int, str]) -> Histories:
    return Histories(
        user_ids=[row[0] for row in found],
        profiles=[row[3] or {} for row in found],
        offsets=np.cumsum([0, *(len(row[5]) for row in found)], dtype=np.int64),
        items=np.array([number for row in found for number in row[5]], np.int32),
        types=np.array([number for row in found for number in row[6]], np.int16),
        times_us=np.array([time_us for row in found for time_us in row[7]], np.int64),
        type_names=[names.get(number, "") for number in range(max(names) + 1)],
        history_lengths=[row[2] for row in found],
    )
