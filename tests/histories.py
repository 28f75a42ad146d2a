"""A migrated schema of a test module's own, and short ways to write events. Times are seconds after T0."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from psycopg import sql

from kindred.declaration import Declaration, load
from kindred.events.schema import Decoded, Erasure, Interaction, ItemDescription, ItemRemoval, Profile
from kindred.history.connection import Database
from kindred.history.store import Affected, HistoryStore
from kindred.history.window import Histories
from kindred.settings import PostgresSettings
from servers.roles import as_superuser, make_schema

T0_US = 1_790_000_000_000_000  # in September 2026
FILM_SHOP: Declaration = load()

_FIELDS = {
    Interaction: "interactions",
    Profile: "profiles",
    Erasure: "erasures",
    ItemDescription: "descriptions",
    ItemRemoval: "removals",
}


@contextmanager
def empty_database(postgres_url: str, **settings: Any) -> Iterator[Database]:
    """A superuser's database whose schema does not exist yet; it goes at the end."""
    database = Database(PostgresSettings(url=postgres_url, **settings), f"t{uuid.uuid4().hex[:12]}")
    try:
        yield database
    finally:
        with database.transaction() as connection:
            connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(database.schema))
            )
        database.close()


@contextmanager
def migrated_database(postgres_url: str, **settings: Any) -> Iterator[Database]:
    """A schema at this version's head, as a worker's role sees it."""
    with empty_database(postgres_url) as superuser:
        given = PostgresSettings(url=postgres_url, **settings)
        roles = make_schema(given, superuser.schema)
        given = given.model_copy(update={"url": roles.url(postgres_url, "worker")})
        with closing(Database(given, superuser.schema)) as database:
            yield database


@contextmanager
def privileged(database: Database) -> Iterator[Database]:
    """The same schema for a superuser: for what only a test does."""
    url = database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(Database(PostgresSettings(url=as_superuser(url)), database.schema)) as superuser:
        yield superuser


def at_us(seconds: float) -> int:
    return T0_US + round(seconds * 1_000_000)


def watch(user: str, item: str, at: float, event: str | None = None, type_: str = "watch") -> Interaction:
    return Interaction(event or f"{user}-{item}-{at}", user, item, type_, at_us(at), None, None)


def profile(user: str, at: float, **attributes: Any) -> Profile:
    text = json.dumps(attributes, sort_keys=True)
    return Profile(user, at_us(at), text, hashlib.sha256(text.encode()).digest())


def erase(user: str, at: float) -> Erasure:
    return Erasure(user, at_us(at))


def describe(item: str, at: float, title: str | None = None, **attributes: Any) -> ItemDescription:
    text = json.dumps(attributes, sort_keys=True)
    digest = hashlib.sha256(f"{title}{text}".encode()).digest()
    return ItemDescription(item, at_us(at), title, text, digest)


def remove(item: str, at: float) -> ItemRemoval:
    return ItemRemoval(item, at_us(at))


def batch(*events: Any) -> Decoded:
    columns: dict[str, list[Any]] = {name: [] for name in _FIELDS.values()}
    for event in events:
        columns[_FIELDS[type(event)]].append(event)
    return Decoded(**columns)


def apply(store: HistoryStore, *events: Any) -> Affected:
    return store.apply(batch(*events))


def sent(histories: Histories, store: HistoryStore) -> dict[str, list[tuple[str, str, float]]]:
    """What leaves the room: item, type and time of each user's kept interactions, oldest first."""
    item_ids = {item.number: item.item_id for item in store.catalogue.by_id.values()}
    kept = [
        (item_ids[number], histories.type_names[type_], (time_us - T0_US) / 1_000_000)
        for number, type_, time_us in zip(
            histories.items.tolist(), histories.types.tolist(), histories.times_us.tolist(), strict=True
        )
    ]
    ends = histories.offsets.tolist()
    return {
        user: kept[start:end]
        for user, start, end in zip(histories.user_ids, ends[:-1], ends[1:], strict=True)
    }


def rows(database: Database, query: str, *parameters: Any) -> list[Any]:
    with database.transaction() as connection:
        return connection.execute(query, parameters or None).fetchall()


def value(database: Database, query: str, *parameters: Any) -> Any:
    """The only column of the only row."""
    ((found,),) = rows(database, query, *parameters)
    return found


def kept_in_postgres(database: Database, user: str) -> list[tuple[str, str, float]]:
    """The same as `sent`, read from the table."""
    query = """
        SELECT i.item_id, e.name, (extract(epoch FROM w.at) * 1e6)::bigint
        FROM app_user u CROSS JOIN LATERAL unnest(u.history_at, u.history_items, u.history_types)
             WITH ORDINALITY AS w (at, item, type, place)
        JOIN item i ON i.number = w.item JOIN event_type e ON e.number = w.type
        WHERE u.user_id = %s ORDER BY w.place
    """
    return [(item, type_, (at - T0_US) / 1_000_000) for item, type_, at in rows(database, query, user)]
