"""Commands that make and judge a model: train, evaluate."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from kindred.commands.output import AsJson, console, print_json, progress_console
from kindred.commands.training_source import From, Generated, ShopEvents, ShopSeed, Source
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.commands.held_out import Evaluation
    from kindred.embedding.checkpoint import Manifest
    from kindred.training.evaluate import Interval

DAY_US = 86_400e6


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(train)
    app.command()(evaluate)


def train(
    place: From = None,
    generated: Generated = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The checkpoint's folder; KINDRED_CHECKPOINT.")
    ] = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where a valid checkpoint lies already.")
    ] = False,
    holdout: Annotated[
        float,
        typer.Option(help="Newest share of the events to leave for `kindred evaluate`.", min=0, max=0.9),
    ] = 0.0,
    max_minutes: Annotated[float | None, typer.Option(help="Time budget.", min=0.01)] = None,
    epochs: Annotated[int, typer.Option(help="At most.", min=1)] = 40,
    patience: Annotated[int, typer.Option(help="Epochs without a better NDCG@10.", min=1)] = 5,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-3,
    dimension: Annotated[int, typer.Option(help="Of the vectors, d.", min=8, max=1024)] = 64,
    max_length: Annotated[int, typer.Option(help="Newest interactions that are read, L.", min=1)] = 50,
    validation_by: Annotated[
        Literal["time", "last_target"], typer.Option(help="The newest share, or each user's newest event.")
    ] = "time",
    seed: int = 0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    shop_events: ShopEvents = None,
    shop_seed: ShopSeed = 7,
    as_json: AsJson = False,
) -> None:
    """Train both towers and write a checkpoint. Ctrl-C ends early and keeps the best epoch."""
    from datetime import UTC, datetime

    from kindred.embedding import checkpoint
    from kindred.embedding.options import TowerOptions
    from kindred.local.training_bar import training_bar
    from kindred.training.options import TrainingOptions
    from kindred.training.train import train as run

    settings = load_settings()
    directory = output or settings.checkpoint
    if if_missing and directory.exists():
        manifest = checkpoint.load(directory)[1]
        return _report(directory, manifest, as_json, "was there already")
    options = TrainingOptions(
        max_minutes=max_minutes, epochs=epochs, patience=patience, learning_rate=learning_rate,
        validation_by=validation_by, seed=seed, threads=threads,
        towers=TowerOptions(dimension=dimension, max_length=max_length),
    )  # fmt: skip
    with progress_console.status("reading events"):
        log, declaration = Source(place, generated, shop_events, shop_seed).read(settings)
    known = log.before(log.time_at(1 - holdout)) if holdout else log
    with training_bar(progress_console) as on_progress:
        run(known, declaration, options, directory, now=datetime.now(UTC), on_progress=on_progress)
    return _report(directory, checkpoint.read_manifest(directory), as_json, "trained")


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    place: From = None,
    generated: Generated = False,
    cases: Annotated[int, typer.Option(help="At most, evenly spaced in time.", min=1)] = 10_000,
    shop_events: ShopEvents = None,
    shop_seed: ShopSeed = 7,
    as_json: AsJson = False,
) -> None:
    """Judge a model by the next items after its training's end, against popularity and item-kNN."""
    from kindred.commands import held_out
    from kindred.embedding.checkpoint import read_manifest
    from kindred.embedding.embedder import Embedder

    settings = load_settings()
    manifest, embedder = read_manifest(checkpoint), Embedder.load(checkpoint)
    with progress_console.status("reading events"):
        log, _ = Source(place, generated, shop_events, shop_seed).read(settings)
    with progress_console.status("ranking"):
        half_life_us = settings.worker.popularity_half_life_days * DAY_US
        found = held_out.evaluate(embedder, log, manifest.trained_on.last_us or 0, half_life_us, cases)
    if as_json:
        return print_json(_as_json(manifest.name, found))
    return _print(manifest.name, found)


def _report(directory: Path, manifest: Manifest, as_json: bool, how: str) -> None:
    learned = manifest.trained_on
    if as_json:
        return print_json(
            {
                "checkpoint": str(directory), "model": manifest.name, "trained": how == "trained",
                "interactions": learned.interactions, "users": learned.users, "items": learned.items,
                "validation": manifest.metrics,
            }
        )  # fmt: skip
    console.print(f"Model [bold]{manifest.name}[/] {how}, in {directory}.", soft_wrap=True, highlight=False)
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.metrics.items())
    console.print(
        f"[dim]{learned.interactions:,} events of {learned.users:,} users on {learned.items:,} items. "
        f"Validation: {metrics or 'none'}.[/]",
        soft_wrap=True,
        highlight=False,
    )
    return None


def _as_json(model: str, found: Evaluation) -> dict[str, Any]:
    return {
        "model": model, "held_out": found.held_out, "cases": found.cases, "users": found.users,
        "scorers": {
            name: {measure: astuple(interval) for measure, interval in measures.items()}
            for name, measures in found.by_scorer.items()
        },
        "best_baseline": found.best_baseline,
        "gain": {measure: astuple(interval) for measure, interval in found.gain.items()},
    }  # fmt: skip


def _print(model: str, found: Evaluation) -> None:
    table = Table(
        title=f"Next items held out from {model}",
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
    )
    table.add_column("", no_wrap=True)
    for measure in next(iter(found.by_scorer.values())):
        table.add_column(measure, justify="right", no_wrap=True)
    for name, measures in found.by_scorer.items():
        table.add_row(name, *(_interval(each) for each in measures.values()))
    table.add_row(f"gain over {found.best_baseline}", *(_interval(each, "+") for each in found.gain.values()))
    console.print(table)
    counts = f"{found.cases:,} of {found.held_out:,} events after the training's end, {found.users:,} users"
    console.print(f"[dim]{counts}; ±: half the\n{_HOW_JUDGED}[/]", highlight=False, soft_wrap=True)


_HOW_JUDGED = (
    "95 % interval, bootstrapped over users. All see the history up to each event;\n"
    "every item competes that the user had not seen by then."
)


def _interval(interval: Interval, sign: str = "") -> str:
    half_width = (interval.high - interval.low) / 2
    return f"[bold]{interval.mean:{sign}.3f}[/] [dim]±{f'{half_width:.3f}'.lstrip('0')}[/]"
