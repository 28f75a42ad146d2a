"""Postgres against what must be there: every column that a record decides."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import namedtuple_row

from faults.expected import Expected, ExpectedItem
from faults.findings import Findings
from faults.life import Description, Life
from faults.popularity import compare_popularity
from faults.reading import EPOCH
from kindred.composition import Servers
from kindred.history.connection import Connection

# Millions of rows take plain Python minutes, in the middle of a transaction.
PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
USERS = "SELECT * FROM app_user"
INTERACTIONS = "SELECT * FROM interaction"
ITEMS = "SELECT * FROM item"
TYPES = "SELECT number, name FROM event_type"
LETTERS = "SELECT topic, partition, record_offset, reason, key, value, record_at FROM dead_letter"
ERASURES = "SELECT user_hash, erased_at FROM erasure"
STILL_THERE = "SELECT user_id FROM app_user WHERE user_id = ANY(%s)"
ERASURE_KEY = "SELECT erasure_key FROM lineage"

TOMBSTONE_BATCH_AGES = 24  # rule 17
REAPING_SECONDS = 30.0  # at most: a slice of tombstones, points first, rows after

Revisions = dict[str, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """Revisions of what is there, by id; and users who are rightly gone, for their tombstone was reaped."""

    users: Revisions
    items: Revisions
    reaped: frozenset[str]


def compare_postgres(servers: Servers, wanted: Expected, findings: Findings) -> Rows:
    """Note every difference; returns what Qdrant must agree with."""
    with servers.database.transaction() as connection:
        connection.execute(PATIENCE)
        items = {row.item_id: row for row in _rows(connection, ITEMS)}
        item_ids = {row.number: item_id for item_id, row in items.items()}
        types = dict(connection.execute(TYPES).fetchall())
        _compare_items(items, wanted, findings)
        compare_popularity(connection, servers.settings, items.values(), wanted, findings)
        users = _compare_users(connection, servers, item_ids, types, wanted, findings)
        _compare_log(connection, item_ids, types, wanted, findings)
        _compare_letters(connection, wanted, findings)
        _compare_erasures(connection, wanted, findings)
    gone = _reaped(servers, wanted).difference(users)
    findings.keys("user", set(users), set(wanted.lives) - gone)
    return Rows(users, {item_id: row.revision for item_id, row in items.items()}, gone)


def _compare_items(items: dict[str, Any], wanted: Expected, findings: Findings) -> None:
    findings.keys("item", set(items), set(wanted.items))
    for item_id, row in items.items():
        must = wanted.items.get(item_id, ExpectedItem())
        found = (_described(row.updated_at, row.digest, row.attributes, row.title), _us(row.removed_at))
        findings.compare("item", item_id, found, (must.description, must.removed_at_us))


def _compare_users(
    connection: Connection,
    servers: Servers,
    item_ids: dict[int, str],
    types: dict[int, str],
    wanted: Expected,
    findings: Findings,
) -> Revisions:
    limit = servers.settings.postgres.history_limit
    revisions = {}
    for row in _rows(connection, USERS):
        revisions[row.user_id] = row.revision
        life = wanted.lives.get(row.user_id, Life())
        _compare_user(row, life, findings)
        history = life.history()
        kept = [(each.occurred_at_us, each.item_id, each.type) for each in history[-limit:]]
        columns = zip(row.history_at, row.history_items, row.history_types, strict=True)
        found = [(_us(at), item_ids.get(item), types.get(type_)) for at, item, type_ in columns]
        findings.compare("history", row.user_id, found, kept)
        findings.compare("history_length", row.user_id, row.history_length, len(history))
        last = history[-1].occurred_at_us if history else None
        findings.compare("last_event_at", row.user_id, _us(row.last_event_at), last)
    return revisions


def _reaped(servers: Servers, wanted: Expected) -> frozenset[str]:
    """Those whose tombstones are old enough."""
    age_seconds = TOMBSTONE_BATCH_AGES * servers.settings.worker.max_batch_age_seconds
    latest_us = (time.time() - age_seconds) * 1e6
    return frozenset(
        user_id
        for user_id, life in wanted.lives.items()
        if life.is_erased and (life.erased_at_us or 0) < latest_us
    )


def reaped_since(servers: Servers, wanted: Expected, missing: Set[str]) -> Set[str]:
    """Of those whose points are gone, those whose rows go too: reaped while all of this was read."""
    old, deadline = missing & _reaped(servers, wanted), time.monotonic() + REAPING_SECONDS
    while True:
        with servers.database.transaction() as connection:
            left = {user_id for (user_id,) in connection.execute(STILL_THERE, [[*old]])}
        if not left or time.monotonic() > deadline:
            return old - left
        time.sleep(0.5)


def _compare_user(row: Any, life: Life, findings: Findings) -> None:
    profile = _described(row.profile_updated_at, row.profile_digest, row.profile)
    findings.compare("profile", row.user_id, profile, life.profile)
    findings.compare("erased_at", row.user_id, _us(row.erased_at), life.erased_at_us)


def _compare_log(
    connection: Connection,
    item_ids: dict[int, str],
    types: dict[int, str],
    wanted: Expected,
    findings: Findings,
) -> None:
    missing = {(user_id, *key) for user_id, life in wanted.lives.items() for key in life.events}
    for row in _rows(connection, INTERACTIONS):
        key = (row.user_id, _us(row.occurred_at), row.event_id.encode())
        if key not in missing:
            findings.note("surplus interaction", repr(key))
            continue
        missing.remove(key)
        event = wanted.lives[row.user_id].events[key[1:]]
        found = (item_ids.get(row.item), types.get(row.type), row.value, row.context)
        findings.compare("interaction", key, found, (event.item_id, event.type, event.value, event.context))
    for key in sorted(missing):
        findings.note("missing interaction", repr(key))


def _compare_letters(connection: Connection, wanted: Expected, findings: Findings) -> None:
    rows = list(_rows(connection, LETTERS))
    places = Counter((row.topic, row.partition, row.record_offset) for row in rows)
    findings.keys("dead letter", set(places), set(wanted.letters))
    for place, count in places.items():
        findings.compare("copies of a dead letter", place, count, 1)
    for row in rows:
        place = (row.topic, row.partition, row.record_offset)
        if place in wanted.letters:
            reason, record = wanted.letters[place]
            found = (row.reason, row.key, row.value, _us(row.record_at))
            must = (reason, record.key, record.value, record.timestamp_ms * 1000)
            findings.compare("dead letter", place, found, must)


def _compare_erasures(connection: Connection, wanted: Expected, findings: Findings) -> None:
    (key,) = connection.execute(ERASURE_KEY).fetchone() or (b"",)
    there = {bytes(row.user_hash): _us(row.erased_at) for row in _rows(connection, ERASURES)}
    erased = {
        hashlib.sha256(key + user_id.encode()).digest(): (user_id, life.erased_at_us)
        for user_id, life in wanted.lives.items()
        if life.erased_at_us is not None
    }
    for user_hash, (user_id, erased_at_us) in erased.items():
        findings.compare("erasure", user_id, there.pop(user_hash, None), erased_at_us)
    for user_hash in there:
        findings.note("surplus erasure", user_hash.hex())


def _described(
    updated_at: datetime | None, digest: bytes | None, attributes: Any, title: str | None = None
) -> Description | None:
    if updated_at is None and digest is None and attributes is None and title is None:
        return None
    return Description(_us(updated_at) or 0, digest or b"", attributes, title)


def _us(time: datetime | None) -> int | None:
    if time is None:
        return None
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _rows(connection: Connection, statement: str) -> Iterator[Any]:
    """Rows by column name, fetched in slices."""
    with connection.cursor("oracle", row_factory=namedtuple_row, binary=True) as cursor:
        cursor.itersize = 10_000
        yield from cursor.execute(statement)
