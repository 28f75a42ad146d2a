"""Where `kindred train` and `kindred evaluate` take their events from."""

from __future__ import annotations

from dataclasses import dataclass
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
Generated = Annotated[bool, typer.Option("--generated", help="The generated film shop instead.")]
ShopEvents = Annotated[int | None, typer.Option(help="Size of the generated shop.", min=500)]
ShopSeed = Annotated[int, typer.Option(help="Of the generated shop.")]


@dataclass(frozen=True, slots=True)
class Source:
    """The person's choice: exactly one of a place and the generated shop."""

    place: str | None
    generated: bool
    shop_events: int | None
    shop_seed: int

    def read(self, settings: Settings) -> tuple[EventLog, Declaration]:
        """The events, and what they mean. Raises Misconfigured, Outage."""
        if self.generated == (self.place is not None):
            raise Misconfigured("Say where the events are: --from postgres, --from FILE, or --generated.")
        if self.generated:
            return _generated(self.shop_events, self.shop_seed)
        return _from_postgres(settings) if self.place == POSTGRES else _from_file(str(self.place), settings)


def _generated(events: int | None, seed: int) -> tuple[EventLog, Declaration]:
    from kindred.local import shop
    from kindred.local.shop_size import sized
    from kindred.training.dataset import build_log

    dataset = shop.generate(sized(events), seed=seed)
    return build_log(dataset.in_time_order()), dataset.declaration


def _from_postgres(settings: Settings) -> tuple[EventLog, Declaration]:
    from kindred.composition import opened
    from kindred.history.log import read_events
    from kindred.training.dataset import build_log

    with opened(settings, "kindred-train") as servers:
        return build_log(read_events(servers.database)), servers.declaration


def _from_file(path: str, settings: Settings) -> tuple[EventLog, Declaration]:
    from kindred import declaration as declarations
    from kindred.composition import contract
    from kindred.training.dataset import read_log

    declaration = declarations.load(settings.declaration)
    return read_log(path, contract(settings, declaration)), declaration
