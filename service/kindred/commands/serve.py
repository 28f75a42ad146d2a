"""Commands that run things: migrate, roles, topics, worker."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(migrate)
    app.command()(roles)
    app.command()(worker)
    topics = typer.Typer(help="The three topics.", no_args_is_help=True)
    topics.command("create")(topics_create)
    app.add_typer(topics, name="topics")


def migrate(as_json: AsJson = False) -> None:
    """Bring the Postgres schema to this version; safe to run again, and beside running workers."""
    from kindred.composition import opened
    from kindred.history import clocks, partitions, privileges
    from kindred.history import migrate as migrations

    settings = load_settings()
    roles = privileges.named(settings.postgres.worker_role, settings.postgres.reader_role)
    with opened(settings, "kindred-migrate") as servers:
        privileges.check_roles(servers.database, roles)
        before, after = migrations.migrate(servers.database)
        made = partitions.make_ahead(servers.database, clocks.now(servers.database))
        privileges.grant(servers.database, roles)
    if as_json:
        done = {"before": before, "after": after, "partitions": made, "granted": [*roles]}
        return print_json({"schema": settings.schema_name} | done)
    came = "was already" if before == after else "is now"
    granted = f" {' and '.join(roles)} may do what they need." if roles else ""
    return console.print(f"Schema [bold]{settings.schema_name}[/] {came} at {after}.{granted}")


def roles(
    owner: Annotated[str | None, typer.Option(help="Owns the schema; by default SCHEMA_owner.")] = None,
) -> None:
    """Print SQL for an administrator: three roles in Postgres, each with the least it needs."""
    from kindred.history import privileges

    settings = load_settings()
    schema, postgres = settings.schema_name, settings.postgres
    worker = postgres.worker_role or f"{schema}_worker"
    reader = postgres.reader_role or f"{schema}_reader"
    sys.stdout.write(privileges.setup(schema, owner or f"{schema}_owner", worker, reader))


def topics_create(
    partitions: Annotated[int, typer.Option(help="Of a topic that is created.")] = 6,
    replication_factor: Annotated[int, typer.Option(help="-1: the broker's default.")] = -1,
    as_json: AsJson = False,
) -> None:
    """Create those of the three topics that are missing; existing ones stay as they are."""
    from kindred.events.topics import create_topics

    created = create_topics(load_settings(), partitions, replication_factor)
    if as_json:
        print_json({"created": created})
    else:
        console.print(f"Created: {', '.join(created)}." if created else "All three topics are there.")


def worker() -> None:
    """Consume events and keep the vectors fresh, until SIGTERM or Ctrl-C."""
    from kindred.composition import run_worker
    from kindred.logs import configure

    settings = load_settings()
    configure(settings.log_format, settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_worker(settings, stop)
