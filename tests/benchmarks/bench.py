"""`make bench`: events/s, freshness, burst, memory and the loop people write first, in one run.

Servers: KINDRED_TEST_KAFKA, KINDRED_TEST_POSTGRES_URL and KINDRED_TEST_QDRANT_URL, or the embedded ones.
Prints a table and writes build/bench.json. What counts is the ratio within a run: machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import load
import measure
import naive
from rich.console import Console
from rich.table import Table

from kindred.settings import Settings
from servers.ladder import first_of
from servers.namespace import fresh_namespace
from servers.sources import kafka, postgres, qdrant

console = Console()


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        taken: dict[str, str] = {}
        addresses = [
            stack.enter_context(first_of(choice(), lambda source, _, name=name: taken.update({name: source})))
            for name, choice in (("kafka", kafka), ("postgres", postgres), ("qdrant", qdrant))
        ]
        settings = _reading(stack.enter_context(fresh_namespace(*addresses)), options.max_length)
        console.print(f"servers: {taken}")
        figures = run(settings, options)
    report(figures | {"servers": taken}, Path(options.out))


def run(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """All measurements, in an order in which none disturbs the next."""
    ready = load.prepare(settings, options.users, options.items, options.max_length, console)
    figures: dict[str, Any] = {"users": options.users, "items": options.items, "length": options.max_length}
    figures["users_embedded_per_second"] = measure.embedded_per_second(ready, console)
    events = load.Events(options.users, options.items)
    with measure.worker(ready) as worker:
        figures["backfill_points_per_second"] = worker.wait_for_backfill(
            options.users + options.items, console
        )
        if not options.quick:
            figures |= worker.freshness(events, 1_000, options.freshness_seconds, console)
    figures |= measure.sustained(ready, events, options.events, console)
    if options.quick:
        return figures
    figures |= measure.burst(ready, events, console)
    figures |= measure.without_qdrant(ready, events, options.events, console)
    figures["naive_events_per_second"] = naive.events_per_second(ready, events, options.naive_events, console)
    figures["ratio"] = figures["events_per_second"] / figures["naive_events_per_second"]
    return figures


def _reading(settings: Settings, max_length: int) -> Settings:
    """A worker keeps at least what its tower reads."""
    kept = max(settings.postgres.history_limit, max_length)
    postgres = settings.postgres.model_copy(update={"history_limit": kept})
    return settings.model_copy(update={"postgres": postgres})


def report(figures: dict[str, Any], path: Path) -> None:
    table = Table(box=None, title="Kindred, whole chain", title_justify="left")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    for name, value in figures.items():
        if isinstance(value, (int, float)):
            table.add_row(name, f"{value:,.1f}")
    console.print(table)
    for name, seconds in figures["stages"].items():
        console.print(f"  {name:<10} {seconds:7.2f} s")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written to {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=60_000, help="of the sustained measurement")
    parser.add_argument("--max-length", type=int, default=50, help="L: interactions that the tower reads")
    parser.add_argument("--quick", action="store_true", help="the tower alone and the sustained rate only")
    parser.add_argument("--freshness-seconds", type=int, default=20)
    parser.add_argument("--naive-events", type=int, default=300)
    parser.add_argument("--out", default="build/bench.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
