"""How the demo looks: a line for each stage as it ends, then the four answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kindred.local.demo import recall_table
from kindred.local.demo.newcomer import Newcomer
from kindred.local.demo.person import Portrait, Recommended
from kindred.local.demo.recall import Comparison
from kindred.local.demo.report import Findings, Streams, Training
from kindred.local.demo.scenario import Scenario
from kindred.local.demo.stream import Streamed

TITLES = {
    "film-shop": "a generated film shop",
    "ml-100k": "MovieLens 100K",
    "ml-1m": "MovieLens 1M",
    "deskdrop": "Deskdrop",
}


class Screen:
    """Prints to one console, 80 columns wide or more."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def heading(self, dataset: str, scenario: Scenario) -> None:
        """What data this is."""
        log = scenario.log
        first, last = (_day(int(each)) for each in (log.times_us.min(), log.times_us.max()))
        self._print(f"\n[bold]Kindred[/], on {TITLES[dataset]}")
        self._print(
            f"[dim]{len(log.item_ids):,} {scenario.noun}s, {len(log.user_ids):,} users, {len(log):,} events, "
            f"{first} to {last}\n"
            "(moved to end now). A model learns from the first 80 %; the rest is a stream.[/]\n"
        )

    def stage(self, name: str, text: str) -> None:
        """One stage is done."""
        self._print(f"  [green]✓[/] {name:<9} {text}")

    def trained(self, training: Training) -> None:
        self.stage(
            "training",
            f"{training.events:,} events, {training.epochs} epochs in {training.seconds:.0f} s, "
            f"validation NDCG@10 {training.ndcg_at_10:.3f}",
        )

    def streamed(self, name: str, streamed: Streamed, how: str) -> None:
        self.stage(
            name,
            f"{streamed.records:,} events in {streamed.seconds:.1f} s, {streamed.per_second:,.0f}/s, {how}",
        )

    def answers(self, scenario: Scenario, found: Findings) -> None:
        """The four parts."""
        self._part(1, "Throughput and freshness")
        self._throughput(found.streams)
        self._part(2, f"User {escape(found.portrait.user_id)}: {_profile(found.portrait.profile)}")
        self._portrait(scenario, found.portrait)
        self._part(3, "Two people who signed up a second ago")
        self._newcomers(scenario, found.newcomers)
        self._part(4, f"Recall of the next {scenario.noun}: frozen at training, or kept fresh")
        self._recall(scenario, found.known, found.new)

    def closing(self, found: Findings, report: object) -> None:
        """How long it took, and where the figures are."""
        written = f" All figures are in\n{escape(str(report))}" if report else ""
        self._print(f"\n[dim]{found.seconds_total:.0f} s in all.{written}[/]")

    def _throughput(self, streams: Streams) -> None:
        full, paced = streams.full_speed, streams.paced
        p50, p99 = (_milliseconds(paced.freshness_ms(share)) for share in (0.5, 0.99))
        self._print(
            f"  [bold]{full.per_second:,.0f} events/s[/] from Kafka to searchable vectors, at full speed\n"
            f"  [dim]({full.records:,} events; producer, worker and all three servers on this machine)[/]\n\n"
            f"  [bold]{p50}[/] (p50), [bold]{p99}[/] (p99) from an event's production until its user's\n"
            f"  vector is searchable, at a steady {streams.paced_rate:,.0f} events/s "
            f"[dim]({paced.records:,} events)[/]"
        )

    def _portrait(self, scenario: Scenario, portrait: Portrait) -> None:
        self._print(
            f"  {portrait.events_before:,} events before the cut, {portrait.events_since:,} since. "
            "The latest:\n"
        )
        for seen in portrait.last_seen:
            self._print(f"    [dim]{seen.type:<9}[/] {_film(seen.title, seen.genres)}")
        self._print()
        table = _table("recommended as of training", f"now, after {portrait.events_since:,} more events")
        for then, now in zip_longest(portrait.then, portrait.now):
            table.add_row(_recommended(then, "✓"), _recommended(now, "+"))
        self.console.print(table)
        self._print(f"  [dim]{_legend(portrait)}+ not recommended then[/]\n")
        self._print("  Users most like this one:\n")
        width = max((len(alike.user_id) for alike in portrait.alike), default=0) + 1
        for alike in portrait.alike:
            self._print(
                f"    [bold]{alike.cosine:.2f}[/]  {escape(alike.user_id):<{width}} "
                f"{alike.in_common:>3} {scenario.noun}s in common   [dim]{_profile(alike.profile)}[/]"
            )

    def _newcomers(self, scenario: Scenario, newcomers: Sequence[Newcomer]) -> None:
        waited = " and ".join(f"[bold]{each.milliseconds:,.0f} ms[/]" for each in newcomers)
        self._print(
            f"  No {scenario.noun} seen yet: a profile went into Kafka, and recommendations made\n"
            f"  from it came out of Qdrant {waited} later.\n"
        )
        table = _table(*(f"  {_profile(each.profile)}" for each in newcomers))
        for lines in zip_longest(*(each.recommended for each in newcomers)):
            table.add_row(*(_recommended(line, "") for line in lines))
        self.console.print(table)

    def _recall(self, scenario: Scenario, known: Comparison, new: Comparison) -> None:
        self.console.print(recall_table.table(known, new))
        self._print(f"\n[dim]{recall_table.explained(scenario.noun, known, new)}[/]")
        if surprise := recall_table.surprise(scenario.noun, known):
            self._print(f"\n[yellow]{surprise}[/]")

    def _part(self, number: int, title: str) -> None:
        self._print(f"\n[bold cyan]{number}[/]  [bold]{title}[/]\n")

    def _print(self, text: str = "") -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 2), expand=True)
    for heading in headings:
        table.add_column(heading, ratio=1, no_wrap=True, overflow="ellipsis")
    return table


def _film(title: str, genres: str) -> str:
    return f"{escape(title)}  [dim]{escape(genres)}[/]"


def _recommended(line: Recommended | None, mark: str) -> str:
    if line is None:
        return ""
    return f"{f'[green]{mark}[/]' if line.is_marked else ' '} {_film(line.title, line.genres)}"


def _legend(portrait: Portrait) -> str:
    return "✓ taken since   " if any(line.is_marked for line in portrait.then) else ""


def _profile(attributes: Mapping[str, Any]) -> str:
    return escape(", ".join(_values(attributes))) or "no profile"


def _values(attributes: Mapping[str, Any]) -> Iterable[str]:
    return (str(value).replace("_", " ") for value in attributes.values())


def _day(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%-d %b %Y}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
