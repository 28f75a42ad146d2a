"""What each role of Postgres may do. The owner migrates; a worker does its work; a reader reads.

`kindred roles` prints the SQL that makes the roles (roles.sql). `kindred migrate` grants what stands here,
and takes back what doesn't, each time: a table that a migration adds needs its line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

from psycopg import sql

from kindred.errors import Misconfigured
from kindred.history import locks
from kindred.history.connection import Connection, Database

Grants = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Privileges:
    """By name: what may be done with each table, sequence and function."""

    tables: Grants
    sequences: Grants = field(default_factory=dict)
    functions: Sequence[str] = ()


# Where rows are only locked: `FOR UPDATE` asks for the right to change some column, and this one can't be
# changed, for it is generated.
_LOCK_ROWS = "UPDATE (id)"

_NOTED = "erased_at, requested_at, reason, profiles, interactions, dead_letters, proof"

WORKER: Final = Privileges(
    tables={
        "alembic_version": ["SELECT"],
        "lineage": ["SELECT", "UPDATE (epoch, retention_floor)"],  # never the key that hashes erased ids
        "app_user": ["SELECT", "INSERT", "UPDATE", "DELETE"],
        "interaction": ["SELECT", "INSERT", "DELETE"],  # nothing rewrites the log
        "interaction_default": ["SELECT", "DELETE"],
        "item": ["SELECT", "INSERT", "UPDATE"],
        "item_sweep": ["SELECT", "INSERT", "UPDATE", "DELETE"],
        "event_type": ["SELECT", "INSERT"],
        "popularity_delta": ["SELECT", "INSERT", _LOCK_ROWS, "DELETE"],
        "model": ["SELECT", "INSERT", "UPDATE"],
        "dead_letter": ["SELECT", "INSERT", _LOCK_ROWS, "DELETE"],
        "erasure": ["SELECT", "INSERT", f"UPDATE ({_NOTED})"],  # what was noted stays, and whose it is
        "pending_sync": ["SELECT", "INSERT", "UPDATE", "DELETE"],
        "synced_offset": ["SELECT", "INSERT", "UPDATE"],
        "breaker_trip": ["SELECT", "INSERT", "UPDATE", "DELETE"],
        "letter_search": ["SELECT", "INSERT", "UPDATE", "DELETE"],
    },
    sequences={"revision": ["USAGE", "SELECT"]},
    functions=["make_log_partition", "drop_expired_log_partitions"],
)
READER: Final = Privileges(
    tables={table: ["SELECT"] for table in WORKER.tables if table not in {"lineage", "interaction_default"}}
    | {"lineage": ['SELECT ("only", epoch, retention_floor)']},
    sequences={"revision": ["SELECT"]},
)

LOCK: Final = f"SELECT pg_advisory_xact_lock({locks.MIGRATION})"
CAN_DO_ALL: Final = """
SELECT bool_or(pg_has_role(r.rolname, owner, 'MEMBER'))
FROM pg_roles r,
     (SELECT current_user UNION ALL
      SELECT nspowner::regrole::name FROM pg_namespace WHERE nspname = current_schema()) AS o (owner)
WHERE r.rolname = %s GROUP BY r.rolname
"""
MISSING: Final = """
SELECT object, privilege FROM unnest(%s::text[], %s::text[]) AS needed (object, privilege)
WHERE NOT CASE WHEN privilege = 'DELETE' THEN has_table_privilege(object, privilege)
               ELSE has_any_column_privilege(object, privilege) END
ORDER BY 1, 2
"""


def named(worker: str | None, reader: str | None) -> dict[str, Privileges]:
    """The roles that have a name; where both are one, it is the worker."""
    return {role: granted for role, granted in ((reader, READER), (worker, WORKER)) if role}


def setup(schema: str, owner: str, worker: str, reader: str) -> str:
    """SQL for an administrator to run once: three roles, and the schema in the hands of the first."""
    names = {"schema": schema, "owner": owner, "worker": worker, "reader": reader}
    script = resources.files("kindred.history").joinpath("roles.sql").read_text()
    return sql.SQL(script).format(**{name: sql.Literal(text) for name, text in names.items()}).as_string()


def check_roles(database: Database, roles: Iterable[str]) -> None:
    """Raises Misconfigured for a role that is not there, or from which nothing can be kept."""
    with database.transaction() as connection:
        for role in roles:
            _check_role(connection, role)


def grant(database: Database, roles: Mapping[str, Privileges]) -> None:
    """Give each role exactly its privileges, in one transaction, as the schema's owner."""
    with database.transaction() as connection:
        connection.execute(LOCK)
        for role, privileges in roles.items():
            for statement in _statements(database.schema, role, privileges):
                connection.execute(statement)


def check_worker(database: Database) -> None:
    """Raises Misconfigured unless this connection's user may do all that a worker does."""
    needed = [(table, each.split()[0]) for table, granted in WORKER.tables.items() for each in granted]
    tables, privileges = map(list, zip(*needed, strict=True))
    with database.transaction() as connection:
        missing = connection.execute(MISSING, [tables, privileges]).fetchall()
        user = connection.info.user
    if missing:
        table, privilege = missing[0]
        raise Misconfigured(
            f"{user} may not {privilege} in table {table} ({len(missing)} rights of a worker are missing). "
            f"Connect as the worker's role; if {user} is that, run `kindred migrate` as the schema's owner, "
            f"with KINDRED_POSTGRES__WORKER_ROLE={user}."
        )


def _check_role(connection: Connection, role: str) -> None:
    row = connection.execute(CAN_DO_ALL, [role]).fetchone()
    if row is None:
        raise Misconfigured(
            f"Postgres has no role {role!r}. `kindred roles` prints the SQL that makes the roles; or mend "
            "KINDRED_POSTGRES__WORKER_ROLE and KINDRED_POSTGRES__READER_ROLE."
        )
    if row[0]:
        raise Misconfigured(
            f"Nothing can be kept from the role {role!r}: it migrates, owns the schema, or is a superuser. "
            "Name another in KINDRED_POSTGRES__WORKER_ROLE or KINDRED_POSTGRES__READER_ROLE, or none."
        )


def _statements(schema: str, role: str, privileges: Privileges) -> Iterator[sql.Composed]:
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        revoke = sql.SQL(f"REVOKE ALL ON ALL {kind} IN SCHEMA {{schema}} FROM {{role}}")
        yield revoke.format(**names)
    yield sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**names)
    functions = {function: ["EXECUTE"] for function in privileges.functions}
    granted = {"TABLE": privileges.tables, "SEQUENCE": privileges.sequences, "FUNCTION": functions}
    for kind, grants in granted.items():
        for name, allowed in grants.items():
            give = sql.SQL(f"GRANT {', '.join(allowed)} ON {kind} {{schema}}.{{object}} TO {{role}}")
            yield give.format(object=sql.Identifier(name), **names)
