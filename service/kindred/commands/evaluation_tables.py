"""A report on a terminal: a table for each part, and what it says in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kindred.training.intervals import Interval
from kindred.training.reports import findings
from kindred.training.reports.cold_start import ColdStart
from kindred.training.reports.cold_start_findings import of_cold_start
from kindred.training.reports.comparison import Comparison, Group, Row
from kindred.training.reports.freshness import Freshness
from kindred.training.reports.in_demand import Demand
from kindred.training.reports.neighbours import Neighbours
from kindred.training.reports.report import Report

_WIDE = 118  # columns that a table with intervals needs
_NARROW = f"\nAll intervals: --json, --html, or a terminal of {_WIDE} columns."


def print_report(console: Console, report: Report) -> None:
    """All parts that the report has."""
    wide = console.width >= _WIDE
    for table, sentences in _parts(report, wide):
        console.print(table)
        for sentence in sentences:
            console.print(Padding(Text(sentence), (0, 0, 0, 1)))
        console.print()
    asked = report.asked
    console.print(
        f"[dim]{asked.cases:,} of {asked.held_out:,} events held out ({asked.split}) of {asked.users:,} "
        f"users, {asked.items:,} items compete. ±: half the 95 % interval,\nbootstrapped over users. All see "
        "the history up to each event; what a user had seen is left out; a tie counts as a loss."
        f"{'' if wide else _NARROW}[/]",
        highlight=False,
        soft_wrap=True,
    )
    for note in report.notes:
        console.print(f"[yellow]Note[/] {note}", highlight=False, soft_wrap=True)


def _parts(report: Report, wide: bool) -> Iterable[tuple[Table, Sequence[str]]]:
    comparison, k = report.comparison, report.comparison.k
    yield _rivals(report, wide), findings.of_comparison(comparison)
    yield _groups(comparison, [f"HR@{k}", f"NDCG@{k}"] if wide else [f"NDCG@{k}"]), ()
    if report.freshness:
        yield _freshness(report.freshness, k), findings.of_freshness(report.freshness, comparison)
    if report.demand:
        yield _demand(report.demand, k), findings.of_demand(report.demand, k)
    if report.cold_start:
        yield _cold_start(report.cold_start, k, wide), of_cold_start(report.cold_start, k)
    if report.neighbours:
        yield _neighbours(report.neighbours), findings.of_neighbours(report.neighbours)


def _rivals(report: Report, wide: bool) -> Table:
    comparison, k = report.comparison, report.comparison.k
    names = [name for name in report.measures if wide or not name.startswith("NDCG") or name == f"NDCG@{k}"]
    table = _table(f"Next items held out from {report.model}")
    _columns(table, [*names, "shown", "popularity"])
    for row in comparison.overall.rows:
        shown = (f"{row.taste.coverage:.0%}", interval(row.taste.percentile, wide=wide)) if row.taste else ()
        table.add_row(row.name, *(interval(row.measures[name], wide=wide) for name in names), *shown)
    table.add_row(
        "[dim]what was taken[/]", *[""] * len(names), "", interval(comparison.targets.percentile, wide=wide)
    )
    if best := _best(comparison.overall):
        table.add_row(f"gain over {best.name}", *(interval(best.gain[name], "+", wide) for name in names))
    return table


def _groups(comparison: Comparison, names: Sequence[str]) -> Table:
    main = f"NDCG@{comparison.k}"
    table = _table("The same apart")
    _columns(table, ["cases", *names])
    table.add_column("best baseline", no_wrap=True)
    _columns(table, [*names, "gain"], first=None)
    for group in comparison.groups:
        theirs: list[str] = []
        if best := _best(group):
            theirs = [best.name, *(f"{best.measures[name].mean:.3f}" for name in names)]
            theirs.append(interval(best.gain[main], "+"))
        own = (f"[bold]{group.rows[0].measures[name].mean:.3f}[/]" for name in names)
        table.add_row(group.name, f"{group.cases:,}", *own, *theirs)
    return table


def _best(group: Group) -> Row | None:
    return next((row for row in group.rows if row.name == group.best), None)


def _freshness(freshness: Freshness, k: int) -> Table:
    names = (f"HR@{k}", f"NDCG@{k}")
    table = _table("What freshness is worth")
    _columns(table, ["events missed", *names])
    for missing in freshness.by_events:
        label = f"all but the newest {missing.events}" if missing.events else "every event known"
        table.add_row(label, str(missing.events), *(interval(missing.measures[name]) for name in names))
    table.add_section()
    for schedule in freshness.by_clock:
        table.add_row(
            f"updated: {schedule.name}",
            f"{schedule.missed:.1f}",
            *(interval(schedule.measures[name]) for name in names),
        )
    return table


def _demand(demand: Demand, k: int) -> Table:
    names = (f"HR@{k}", f"NDCG@{k}")
    table = _table(f"Taste and demand, {demand.cases:,} later cases")
    _columns(table, [*names, f"gain in {names[1]}"], first="popularity weight")
    for each in demand.by_weight:
        values = (interval(each.measures[name]) for name in names)
        table.add_row(f"{each.weight:g}", *values, interval(each.gain[names[1]], "+"))
    table.add_row("demand alone", *(interval(demand.alone[name]) for name in names))
    return table


def _cold_start(cold: ColdStart, k: int, wide: bool) -> Table:
    name = f"NDCG@{k}"
    table = _table(f"Newcomers: {name} when so many of their events are known")
    _columns(table, [str(step.events) for step in cold.steps])
    table.add_row("[dim]cases[/]", *(f"[dim]{step.cases:,}[/]" for step in cold.steps))
    for rows in zip(*(step.rows for step in cold.steps), strict=True):
        table.add_row(rows[0].name, *(interval(row.measures[name], wide=wide) for row in rows))
    return table


def _neighbours(neighbours: Neighbours) -> Table:
    table = _table("Similar users: share of future items in common")
    _columns(table, ["nearest", "ten nearest", "gain over random"], first="neighbours by")
    for row in neighbours.rows:
        gain = interval(row.gain, "+") if row is not neighbours.rows[-1] else ""
        table.add_row(row.name, interval(row.nearest), interval(row.ten_nearest), gain)
    return table


def interval(value: Interval, sign: str = "", wide: bool = True) -> str:
    """A mean, and half the width of its interval where the terminal is wide enough."""
    if not wide:
        return f"[bold]{value.mean:{sign}.3f}[/]"
    half_width = (value.high - value.low) / 2
    return f"[bold]{value.mean:{sign}.3f}[/] [dim]±{f'{half_width:.3f}'.lstrip('0')}[/]"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None)


def _columns(table: Table, names: Sequence[str], first: str | None = "") -> None:
    if first is not None:
        table.add_column(first, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
