"""How all commands speak: tables for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kindred.errors import KindredError, Outage
from kindred.safe_text import visible as visible

console = Console()
progress_console = Console(stderr=True)

ADDRESSES = {
    "kafka": "KINDRED_KAFKA__BOOTSTRAP_SERVERS",
    "postgres": "KINDRED_POSTGRES__URL",
    "qdrant": "KINDRED_QDRANT__URL",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output; what a terminal would obey instead of showing is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with one column for each key of the first row. Values are shown as they are: no markup."""
    table = Table(
        title=Text(visible(title)), title_justify="left", title_style="bold", header_style="dim", box=None
    )
    for column in rows[0] if rows else ():
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(visible(_shown(value))) for value in row.values()))
    console.print(table)


def fail(message: str) -> NoReturn:
    """Say what is wrong and what to do, and end with exit code 1."""
    progress_console.print("error", style="bold red", end=" ")
    # A message is no markup: `interactions[0]` and `kindred[worker]` would lose their brackets.
    progress_console.print(visible(message), highlight=False, soft_wrap=True, markup=False)
    sys.exit(1)


def silence_clients() -> None:
    """kafka-python logs every failed attempt; what matters of that is raised, and said in one sentence."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def explained(error: KindredError) -> str:
    """The error as a sentence; for a server that is away, with the setting that leads to it."""
    if not isinstance(error, Outage):
        return str(error)
    server = error.server.lower()
    if error.is_busy:
        return f"{server.capitalize()} could not do this now ({error.reason.rstrip('. ')}). Run it again."
    return (
        f"{server.capitalize()} does not answer ({error.reason.rstrip('. ')}). "
        f"Is it running, and is {ADDRESSES.get(server, 'its address')} right?"
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
