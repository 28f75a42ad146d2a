"""Where `kindred train` and `kindred evaluate` take their events from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kindred.errors import Misconfigured
from kindred.settings import Settings

if TYPE_CHECKING:
    from kindred.declaration import Declaration
    from kindred.training.event_log import EventLog

POSTGRES = "postgres"

From = Annotated[
    str | None,
    typer.Option("--from", help="`postgres`, or a file of JSON lines as docs/events.md has it; - is stdin."),
]
DataSetName = Annotated[
    str | None, typer.Option("--dataset", help="ml-100k, ml-1m or deskdrop instead, from --data-dir.")
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of that data set's own files.")]
Generated = Annotated[bool, typer.Option("--generated", help="The generated film shop instead.")]
ShopEvents = Annotated[int | None, typer.Option(help="Size of the generated shop.", min=500)]
ShopSeed = Annotated[int, typer.Option(help="Of the generated shop.")]


@dataclass(frozen=True, slots=True)
class Source:
    """The person's choice: exactly one of a place, the generated shop and a public data set."""

    place: str | None
    generated: bool
    shop_events: int | None
    shop_seed: int
    dataset: str | None = None
    data_dir: Path | None = None

    def read(self, settings: Settings) -> tuple[EventLog, Declaration]:
        """The events, and what they mean. Raises Misconfigured, Outage."""
        if self.generated + (self.place is not None) + (self.dataset is not None) != 1:
            raise Misconfigured(
                "Say where the events are: --from postgres, --from FILE, --generated, or --dataset NAME."
            )
        if self.generated:
            return _generated(self.shop_events, self.shop_seed)
        if self.dataset is not None:
            return _public(self.dataset, self.data_dir)
        return _from_postgres(settings) if self.place == POSTGRES else _from_file(str(self.place), settings)


def _generated(events: int | None, seed: int) -> tuple[EventLog, Declaration]:
    from kindred.local import shop
    from kindred.local.shop_size import sized
    from kindred.training.dataset import build_log

    dataset = shop.generate(sized(events), seed=seed)
    return build_log(dataset.in_time_order()), dataset.declaration


def _public(name: str, directory: Path | None) -> tuple[EventLog, Declaration]:
    from kindred.local import datasets
    from kindred.training.dataset import build_log

    if directory is None:
        raise Misconfigured(f"Where are the files of {name}? Name their folder with --data-dir.")
    dataset = datasets.load(name, directory)
    return build_log(dataset.in_time_order()), dataset.declaration


def _from_postgres(settings: Settings) -> tuple[EventLog, Declaration]:
    from kindred.composition import opened
    from kindred.history.log import opened_log
    from kindred.training.copied_log import copied_log

    with opened(settings, "kindred-train") as servers, opened_log(servers.database) as reader:
        return copied_log(reader), servers.declaration


def _from_file(path: str, settings: Settings) -> tuple[EventLog, Declaration]:
    from kindred import declaration as declarations
    from kindred.composition import contract
    from kindred.training.dataset import read_log

    declaration = declarations.load(settings.declaration)
    return read_log(path, contract(settings, declaration)), declaration
