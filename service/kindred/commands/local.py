"""Commands that bring their own servers: local, demo."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kindred.commands.output import AsJson, console, print_json, progress_console


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(local)
    app.command()(demo)


def local(as_json: AsJson = False) -> None:
    """Kafka, Postgres and Qdrant on this machine, in the foreground, until Ctrl-C; nothing is kept."""
    import os
    import signal

    from kindred.local.installation import install
    from kindred.local.interrupt import Interrupted, interruptible
    from kindred.local.servers import EmbeddedServers
    from kindred.settings import load_settings

    try:
        with interruptible(), EmbeddedServers() as servers:
            os.environ.update(servers.environment())  # whatever else is set holds here as in other shells
            install(load_settings())
            _announce(servers.environment(), as_json)
            signal.pause()
    except Interrupted:
        progress_console.print("Stopped; nothing is left behind.")


def demo(
    dataset: Annotated[str, typer.Option(help="film-shop, ml-100k, ml-1m or deskdrop.")] = "film-shop",
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data set's files; the film shop needs none.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write all figures there as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="Of the generated shop, and of training.")] = 7,
    events: Annotated[int | None, typer.Option(help="Only so many interactions.", min=500)] = None,
    train_seconds: Annotated[float, typer.Option(help="Time budget of training.", min=1)] = 45.0,
    rate: Annotated[float, typer.Option(help="Events/s at which freshness is measured.", min=1)] = 500.0,
) -> None:
    """The whole service on this machine: train, stream, ask; with the figures, in about two minutes."""
    from kindred.local.demo.options import DATASETS, DemoOptions
    from kindred.local.demo.run import run
    from kindred.local.demo.screen import Screen
    from kindred.local.interrupt import Interrupted, interruptible

    if dataset not in DATASETS:
        raise typer.BadParameter(f"choose one of {', '.join(DATASETS)}", param_hint="--dataset")
    options = DemoOptions(
        dataset=dataset,
        data_dir=data_dir and data_dir.resolve(),
        report=report and report.resolve(),
        seed=seed,
        events=events,
        train_seconds=train_seconds,
        paced_rate=rate,
    )
    try:
        with interruptible():
            run(options, Screen(console), progress_console)
    except Interrupted as interrupted:
        progress_console.print("Stopped; no server is left running.")
        sys.exit(interrupted.exit_code)


def _announce(environment: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        print_json(environment)
        sys.stdout.flush()
        return
    console.print("[bold]Kafka, Postgres and Qdrant are running.[/] In other shells, first paste:\n")
    for name, value in environment.items():
        console.print(f"export {name}={value}", highlight=False, soft_wrap=True, markup=False)
    console.print(_NEXT, highlight=False)


_NEXT = """
Then try:

  kindred generate-shop shop.jsonl       [dim]a film shop's items, profiles and events[/]
  kindred train --from shop.jsonl        [dim]a model of it, in build/model; a few minutes[/]
  kindred worker                         [dim]in a shell of its own[/]
  kindred produce shop.jsonl
  kindred recommend u1
  kindred doctor

Ctrl-C stops the servers; what is in them goes with them.
"""
