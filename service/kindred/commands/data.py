"""Commands that put events in: produce, load-items."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from kindred.commands.output import AsJson, console, print_json, progress_console
from kindred.settings import load_settings

T = TypeVar("T")
File = Annotated[Path, typer.Argument(help="JSON lines, .gz allowed; - is standard input.")]
Rate = Annotated[float, typer.Option(help="Events a second; 0: as fast as Kafka takes them.", min=0)]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(produce)
    app.command("load-items")(load_items)


def produce(file: File, rate: Rate = 0.0, as_json: AsJson = False) -> None:
    """Send events from JSON lines to their topics, keyed by user or item; docs/events.md has the format."""
    _send(file, rate, as_json, only_items=False)


def load_items(file: File, as_json: AsJson = False) -> None:
    """Send item descriptions from JSON lines to the items topic, as fast as Kafka takes them."""
    _send(file, 0.0, as_json, only_items=True)


def _send(file: Path, rate: float, as_json: bool, *, only_items: bool) -> None:
    from kindred import declaration
    from kindred.composition import contract
    from kindred.events.lines import read_records
    from kindred.events.producer import Producer

    settings = load_settings()
    terms = contract(settings, declaration.load(settings.declaration))
    accepted = {terms.items_topic} if only_items else None
    began = time.monotonic()
    with Producer(settings.kafka) as producer:
        for record in _paced(_progress(read_records(file, terms)), rate):
            producer.send(record, accepted)
    seconds = time.monotonic() - began
    sent = dict(producer.sent)
    if as_json:
        print_json({"sent": sent, "seconds": round(seconds, 3)})
    else:
        counts = ", ".join(f"{number:,} to {topic}" for topic, number in sorted(sent.items())) or "nothing"
        console.print(f"Sent {counts} in {seconds:.1f} s.")


def _progress(records: Iterable[T]) -> Iterator[T]:
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("sending"), MofNCompleteColumn())
    with Progress(*columns, console=progress_console, transient=True) as progress:
        yield from progress.track(records)


def _paced(records: Iterable[T], rate: float) -> Iterator[T]:
    """The same records, no faster than `rate` a second; 0: unhindered."""
    began = time.monotonic()
    for number, record in enumerate(records):
        if rate and (early := began + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        yield record
