"""The roles of `kindred roles` on a test's Postgres: workers run as the one that may do the least.

Tests begin with the URL of a superuser, make a schema, and go on with the URL of one of its roles.
`as_superuser` leads back, for what only a test does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from kindred.history import privileges
from kindred.history.connection import Database
from kindred.history.migrate import migrate
from kindred.settings import PostgresSettings

Role = Literal["owner", "worker", "reader"]
ROLES: tuple[Role, ...] = ("owner", "worker", "reader")


@dataclass(frozen=True, slots=True)
class Roles:
    """Three roles of one test run on one server, with the password of all of them."""

    prefix: str
    password: str
    superuser: str  # user info of a URL

    def name(self, role: Role) -> str:
        return f"{self.prefix}_{role}"

    def url(self, url: str, role: Role) -> str:
        return _with_user(url, f"{self.name(role)}:{self.password}")


_by_server: dict[int, Roles] = {}


def make_schema(settings: PostgresSettings, schema: str) -> Roles:
    """The schema, owned and migrated by one role, for the two others to use."""
    url = as_superuser(settings.url)
    with psycopg.connect(url, autocommit=True) as connection:
        roles = _roles(connection, url)
        script = privileges.setup(schema, roles.name("owner"), roles.name("worker"), roles.name("reader"))
        connection.execute(script)
    with closing(Database(settings.model_copy(update={"url": roles.url(url, "owner")}), schema)) as owner:
        migrate(owner)
        privileges.grant(owner, privileges.named(roles.name("worker"), roles.name("reader")))
    return roles


def as_superuser(url: str) -> str:
    """The same server, or proxy, for the user that the test began with."""
    user = urlsplit(url).username or ""
    named = (roles for roles in _by_server.values() if user.startswith(roles.prefix))
    return next((_with_user(url, roles.superuser) for roles in named), url)


@contextmanager
def dropped_at_the_end(url: str) -> Iterator[None]:
    """Roles belong to a whole server: one that outlives the tests shall not keep them."""
    yield
    with psycopg.connect(url, autocommit=True) as connection:
        roles = _by_server.pop(_identity(connection), None)
        for role in ROLES if roles else ():
            name = sql.Identifier(roles.name(role))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


def _roles(connection: psycopg.Connection[Any], url: str) -> Roles:
    """Made when a test first needs them, under names that no other run takes."""
    identity = _identity(connection)
    if identity not in _by_server:
        userinfo = urlsplit(url).netloc.rpartition("@")[0]
        roles = _by_server[identity] = Roles(f"test_{secrets.token_hex(4)}", secrets.token_hex(8), userinfo)
        for role in ROLES:
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            name, password = sql.Identifier(roles.name(role)), sql.Literal(roles.password)
            connection.execute(create.format(name, password))
    return _by_server[identity]


def _identity(connection: psycopg.Connection[Any]) -> int:
    # A server may be reached through several proxies.
    row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert row is not None
    return int(row[0])


def _with_user(url: str, userinfo: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{userinfo}@{parts.netloc.rpartition('@')[2]}"))
