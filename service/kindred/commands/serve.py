"""Commands that run things: migrate, topics, worker, local, demo."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(migrate)
    app.command()(worker)
    topics = typer.Typer(help="The three topics.", no_args_is_help=True)
    topics.command("create")(topics_create)
    app.add_typer(topics, name="topics")


def migrate(as_json: AsJson = False) -> None:
    """Bring the Postgres schema to this version; safe to run again, and beside running workers."""
    from datetime import UTC, datetime

    from kindred.composition import opened
    from kindred.history import migrate as migrations
    from kindred.history import partitions

    settings = load_settings()
    with opened(settings, "kindred-migrate") as servers:
        before, after = migrations.migrate(servers.database)
        made = partitions.make_ahead(servers.database, datetime.now(UTC))
    if as_json:
        print_json({"schema": settings.schema_name, "before": before, "after": after, "partitions": made})
    else:
        came = "was already" if before == after else "is now"
        console.print(f"Schema [bold]{settings.schema_name}[/] {came} at {after}.")


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
