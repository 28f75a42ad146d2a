"""`kindred train`: both towers from a log of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kindred.commands.output import AsJson, progress_console
from kindred.commands.trained import report
from kindred.commands.training_source import (
    DataDir,
    DataSetName,
    From,
    Generated,
    ShopEvents,
    ShopSeed,
    Source,
)
from kindred.settings import Settings, load_settings

if TYPE_CHECKING:
    from kindred.declaration import Declaration
    from kindred.embedding.manifest import HeldOut, Manifest
    from kindred.training.event_log import EventLog
    from kindred.training.options import TrainingOptions
    from kindred.training.saved_run import Plan, SavedRun


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(train)


def train(
    place: From = None,
    generated: Generated = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The checkpoint's folder; KINDRED_CHECKPOINT.")
    ] = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where a valid checkpoint lies already.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the interrupted training beside the checkpoint, its own events and options, "
            "where there is one.",
        ),
    ] = False,
    loss: Annotated[
        Literal["auto", "full", "sampled", "in-batch", "triplet"],
        typer.Option(help="auto: full softmax, sampled where the catalogue is large."),
    ] = "auto",
    holdout: Annotated[
        float,
        typer.Option(help="Newest share of the events to leave for `kindred evaluate`.", min=0, max=0.9),
    ] = 0.0,
    hold_out_last: Annotated[
        bool,
        typer.Option(
            "--hold-out-last",
            help="Leave each user's newest target for `kindred evaluate`; the one before validates.",
        ),
    ] = False,
    hold_out_users: Annotated[float, typer.Option(help="Share of users to leave.", min=0, max=0.9)] = 0.0,
    hold_out_items: Annotated[float, typer.Option(help="Share of items to leave.", min=0, max=0.9)] = 0.0,
    align_to: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint, such as the live one: the new vectors stay in the space of its own."
        ),
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Time budget.", min=0.01)] = None,
    epochs: Annotated[int, typer.Option(help="At most.", min=1)] = 40,
    patience: Annotated[int, typer.Option(help="Epochs without a better NDCG@10 (ties: MRR).", min=1)] = 5,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-3,
    batch_tokens: Annotated[int, typer.Option(help="Interactions of a step.", min=16)] = 4_096,
    weight_decay: Annotated[float, typer.Option(help="More for small logs.", min=0)] = 0.3,
    dropout: Annotated[float, typer.Option(help="More for small logs.", min=0, max=0.9)] = 0.1,
    id_dropout: Annotated[
        float,
        typer.Option(
            help="Share of items that a step knows by their attributes alone. More where many are new.",
            min=0,
            max=0.9,
        ),
    ] = 0.1,
    negative_weight: Annotated[
        float,
        typer.Option(help="Of pushing a disliked item away, against drawing a wanted one near.", min=0),
    ] = 1.0,
    sampled_items: Annotated[
        int, typer.Option(help="Candidates of a step, of the losses sampled and triplet.", min=1)
    ] = 8_192,
    half_life_days: Annotated[
        float | None,
        typer.Option(
            help="Second half of the training: ask half as often about a target so much older than the "
            "newest. For news and fashions. Patience counts from there.",
            min=0.01,
        ),
    ] = None,
    dimension: Annotated[
        int, typer.Option(help="Of the vectors, d; beyond 64 the towers widen with it.", min=8, max=1024)
    ] = 64,
    max_length: Annotated[int, typer.Option(help="Newest interactions that are read, L.", min=1)] = 50,
    validation_by: Annotated[
        Literal["time", "last_target"], typer.Option(help="The newest share, or each user's newest event.")
    ] = "time",
    validation_share: Annotated[
        float,
        typer.Option(
            help="Of the newest events, by time; 0: no validation either way, the last epoch ships.",
            min=0,
            max=0.5,
        ),
    ] = 0.05,
    seed: int = 0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    shop_events: ShopEvents = None,
    shop_seed: ShopSeed = 7,
    dataset: DataSetName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train both towers and write a checkpoint. Ctrl-C ends early and keeps the best epoch."""
    from kindred.embedding.checkpoint import check_replaceable
    from kindred.embedding.checkpoint import load as load_checkpoint
    from kindred.embedding.manifest import HeldOut
    from kindred.embedding.options import TowerOptions
    from kindred.training.options import TrainingOptions
    from kindred.training.saved_run import SavedRun

    settings = load_settings()
    directory = output or settings.checkpoint
    saved = SavedRun(directory)
    goes_on = resume and saved.exists
    if if_missing and directory.exists() and not goes_on:
        return report(directory, load_checkpoint(directory)[1], settings, as_json, trained=False)
    check_replaceable(directory)
    if goes_on:
        log, plan = saved.opened()
        progress_console.print("Going on with an interrupted training: its own events, its own options.")
    else:
        source = Source(place, generated, shop_events, shop_seed, dataset, data_dir)
        held_out = HeldOut(holdout, hold_out_last, hold_out_users, hold_out_items, seed)
        width = max(64, dimension + dimension % 2)  # even: rotary positions turn pairs
        options = TrainingOptions(
            max_minutes=max_minutes, epochs=epochs, patience=patience, learning_rate=learning_rate, loss=loss,
            validation_by="last_target" if hold_out_last else validation_by, seed=seed, threads=threads,
            batch_tokens=batch_tokens, half_life_days=half_life_days, validation_share=validation_share,
            weight_decay=weight_decay, negative_weight=negative_weight, sampled_items=sampled_items,
            towers=TowerOptions(
                dimension=dimension, width=width, feed_forward=width, max_length=max_length,
                dropout=dropout, id_dropout=id_dropout,
            ),
        )  # fmt: skip
        log, plan = _new_run(saved, source, held_out, options, align_to, settings)
    manifest = _run(log, plan, saved, directory)
    return report(directory, manifest, settings, as_json, trained=True)


def _new_run(
    saved: SavedRun,
    source: Source,
    held_out: HeldOut,
    options: TrainingOptions,
    align_to: Path | None,
    settings: Settings,
) -> tuple[EventLog, Plan]:
    from kindred.training.alignment import read_space
    from kindred.training.saved_run import Plan

    if saved.exists:
        progress_console.print(f"{saved.folder} holds an interrupted training, which this one replaces.")
    if align_to:
        read_space(align_to)  # rather now than after the events are read
    log, declaration = _events(source, held_out, settings)
    plan = Plan(declaration, options, held_out, str(align_to.absolute()) if align_to else None)
    saved.begin(log, plan)
    return log, plan


def _events(source: Source, held_out: HeldOut, settings: Settings) -> tuple[EventLog, Declaration]:
    from kindred.embedding.manifest import HeldOut
    from kindred.training.holdout import remaining

    with progress_console.status("reading events"):
        log, declaration = source.read(settings)
        nothing = HeldOut(seed=held_out.seed)
        return (log if held_out == nothing else remaining(log, declaration, held_out)), declaration


def _run(log: EventLog, plan: Plan, saved: SavedRun, directory: Path) -> Manifest:
    from datetime import UTC, datetime

    from kindred.embedding.checkpoint import read_manifest
    from kindred.local.training_bar import training_bar
    from kindred.training.train import train

    with training_bar(progress_console) as (on_progress, on_share):
        train(
            log, plan.declaration, plan.options, directory, now=datetime.now(UTC), held_out=plan.held_out,
            on_progress=on_progress, on_share=on_share, saved=saved,
            align_to=Path(plan.align_to) if plan.align_to else None, with_card=True,
        )  # fmt: skip
    return read_manifest(directory)
