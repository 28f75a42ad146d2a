"""`kindred breaker`: partitions that are paused because most of their records are poison."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kindred.commands.output import AsJson, console, print_json, print_rows
from kindred.errors import Misconfigured
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.history.trips import Trip
    from kindred.settings import Settings

Topic = Annotated[str, typer.Argument(help="As `kindred breaker list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    commands = typer.Typer(help="Partitions that are paused: mostly poison.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command()(accept)
    app.add_typer(commands, name="breaker")


def list_(as_json: AsJson = False) -> None:
    """Partitions that are paused, since when, before which record, and what most of the poison is."""
    from kindred.composition import opened
    from kindred.history import trips

    with opened(load_settings(), "kindred-breaker") as servers:
        found = trips.standing(servers.database)
    if as_json:
        print_json([asdict(trip) for trip in found])
    elif found:
        print_rows("Paused partitions", [_shown(trip) for trip in found])
    else:
        console.print("No partition is paused.")


def accept(
    topic: Topic,
    partition: Annotated[int, typer.Argument(help="Its number.")],
    until: Annotated[
        int | None, typer.Option(help="Accept what lies before this offset; by default all there is now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the poison of a paused partition become dead letters: its worker goes on within seconds."""
    from kindred.composition import opened
    from kindred.history import trips

    settings = load_settings()
    with opened(settings, "kindred-breaker") as servers:
        trip = _paused(trips.standing(servers.database), topic, partition)
        before = _end(settings, trip) if until is None else until
        trips.accept(servers.database, (topic, partition), before)
    if as_json:
        print_json({"topic": topic, "partition": partition, "accepted_until": before})
    else:
        records = max(0, before - trip.record_offset)
        console.print(
            f"{topic}[{partition}] goes on: up to {records} records, before offset {before}, may be poison. "
            "`kindred dead-letters list` shows what became of them.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def _end(settings: Settings, trip: Trip) -> int:
    from kindred.events.group import end_offset

    return end_offset(settings, (trip.topic, trip.partition), trip.record_offset)


def _paused(standing: list[Trip], topic: str, partition: int) -> Trip:
    for trip in standing:
        if (trip.topic, trip.partition) == (topic, partition):
            return trip
    raise Misconfigured(f"{topic}[{partition}] is not paused: `kindred breaker list` shows what is.")


def _shown(trip: Trip) -> dict[str, Any]:
    state = "paused" if trip.accepted_until is None else f"accepted until {trip.accepted_until}"
    return {
        "topic": trip.topic,
        "partition": trip.partition,
        "offset": trip.record_offset,
        "mostly": trip.reason,
        "since": trip.tripped_at.isoformat(timespec="seconds"),
        "state": state,
    }
