"""Every kind of bad input, through Kafka and among good events: a dead letter each, nothing disturbed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from kindred.settings import Settings
from running import (
    T0_MS,
    committed,
    eventually,
    interaction,
    is_ready,
    many,
    metric,
    one,
    prepare,
    producing,
    rows,
    running,
)
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"


def changed(**fields: Any) -> bytes:
    """A good event but for these fields; lone surrogates stay as JSON escapes."""
    return json.dumps(interaction("bad", "3", 1) | fields).encode()


def without(name: str) -> bytes:
    """A good event but for one field that is missing."""
    return json.dumps({k: v for k, v in interaction("bad", "3", 1).items() if k != name}).encode()


BAD: list[tuple[str, bytes | None]] = [
    ("not_json", b"{"),
    ("not_json", b"hello"),
    ("not_json", None),
    ("wrong_type", b"[1, 2]"),
    ("wrong_type", changed(item_id=["3"])),
    ("wrong_type", changed(value="many")),
    ("missing_field", without("event_id")),
    ("invalid_id", changed(user_id="")),
    ("invalid_id", changed(user_id="x" * 257)),
    ("invalid_id", changed(user_id="a\x00b")),
    ("invalid_id", changed(item_id="\ud800")),
    ("invalid_text", changed(context={"note": "a\x00b"})),
    ("invalid_text", changed(context={"note": "\udfff"})),
    ("invalid_time", changed(occurred_at="yesterday")),
    ("time_ahead", changed(occurred_at=T0_MS + 40 * 365 * 86_400_000)),
    ("invalid_number", changed().replace(b'"type"', b'"value": NaN, "type"')),
    ("invalid_number", changed().replace(b'"type"', b'"value": 1e999, "type"')),
    ("too_large", changed(context={"note": "x" * 65_536})),
    (
        "too_deep",
        changed().replace(b'"type"', b'"context": ' + b'{"a":' * 100 + b"1" + b"}" * 100 + b', "type"'),
    ),
    ("duplicate_key", changed().replace(b'"type"', b'"user_id": "other", "type"')),
    ("invalid_utf8", changed().replace(b"bad", b"\xff\xfe")),
    ("unknown_type", changed(type="teleport")),
]


def test_bad_input_becomes_dead_letters_and_disturbs_nothing(settings: Settings, tmp_path: Path) -> None:
    settings, good = prepare(settings, tmp_path), many(200)
    with running(settings), producing(settings) as produce:
        eventually(lambda: is_ready(settings))
        produce.films()
        _send_mixed(produce, good)
        eventually(lambda: one(settings, LOGGED) == len(good))
        expected = Counter(reason for reason, _ in BAD)
        eventually(lambda: one(settings, "SELECT count(*) FROM dead_letter") == len(BAD))
        found = dict(rows(settings, "SELECT reason, count(*) FROM dead_letter GROUP BY reason"))
        assert found == expected
        assert set(rows(settings, "SELECT reason, value FROM dead_letter")) == set(BAD)
        eventually(lambda: sum(v for (t, _), v in committed(settings).items() if t == "interactions") == 222)
        eventually(lambda: is_searchable(settings))
        for reason, number in expected.items():
            assert metric(settings, "kindred_dead_letters_total", reason=reason) >= number
        assert is_ready(settings)
    assert_exact(settings, good)


def test_what_postgres_refuses_is_found_by_bisection(settings: Settings, tmp_path: Path) -> None:
    """Nothing is known that passes decode and is refused, so a constraint (SQLSTATE 23514) stands for it."""
    settings, good = prepare(settings, tmp_path), many(64)
    item = "INSERT INTO item (item_id, revision) VALUES ('forbidden', 0) RETURNING number"
    number = one(settings, item)
    rows(settings, f"ALTER TABLE interaction ADD CONSTRAINT no_such_film CHECK (item <> {number})")
    refused = [
        interaction("bad", "forbidden", 1),
        interaction("worse", "forbidden", 2),
    ]
    with producing(settings) as produce:
        produce.interactions([*good[:20], refused[0], *good[20:40], refused[1], *good[40:]])
    with running(settings):
        eventually(lambda: one(settings, LOGGED) == len(good))
        eventually(lambda: one(settings, "SELECT count(*) FROM dead_letter") == 2)
        letters = rows(settings, "SELECT reason, value FROM dead_letter")
        assert {reason for reason, _ in letters} == {"refused_by_postgres"}
        assert [json.loads(value) for _, value in sorted(letters)] == refused
        eventually(lambda: is_searchable(settings))
    assert_exact(settings, good)


def _send_mixed(produce: Any, good: list[dict[str, Any]]) -> None:
    """All on their way before the worker sees the first, so that they share batches."""
    for number, event in enumerate(good):
        produce.raw("interactions", event["user_id"], json.dumps(event).encode())
        if number % 9 == 0 and number // 9 < len(BAD):
            produce.raw("interactions", "bad", BAD[number // 9][1])
    produce.flush()
