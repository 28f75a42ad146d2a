"""Commands that need nothing but this machine: local, demo, generate-shop."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Annotated

import typer

from kindred.commands.output import AsJson, console, print_json, progress_console
from kindred.errors import Misconfigured


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(local)
    app.command()(demo)
    app.command("generate-shop")(generate_shop)


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
    began = time.monotonic()
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
            run(options, Screen(console), progress_console, began)
    except Interrupted as interrupted:
        progress_console.print("Stopped; no server is left running.")
        sys.exit(interrupted.exit_code)


def generate_shop(
    file: Annotated[Path, typer.Argument(help="JSON lines; packed where the name ends in .gz.")],
    events: Annotated[int | None, typer.Option(help="About so many interactions.", min=500)] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Write a generated film shop, ending now: what `train --generated` learns, for `kindred produce`."""
    from kindred.local import shop
    from kindred.local.shop_size import sized

    dataset = shop.generate(sized(events), seed=seed, ends_at_us=time.time_ns() // 1000)
    _write(file, dataset.as_lines())
    counts = {
        "items": len(dataset.items),
        "users": len(dataset.profiles),
        "events": len(dataset.interactions),
    }
    if as_json:
        return print_json({"file": str(file)} | counts)
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    return console.print(f"{file}: {told}, in time order.", highlight=False, soft_wrap=True)


def _write(file: Path, lines: Iterable[str]) -> None:
    opened: Callable[..., IO[str]] = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "wt") as output:
            output.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror}.") from error


def _announce(environment: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        print_json(environment)
        sys.stdout.flush()
        return
    console.print("[bold]Kafka, Postgres and Qdrant are running.[/] In other shells, first paste:\n")
    for name, value in environment.items():
        console.print(f"export {name}={value}", highlight=False, soft_wrap=True, markup=False)
    console.print(_NEXT, highlight=False, soft_wrap=True)


_NEXT = """
Then try:

  kindred generate-shop shop.jsonl     [dim]items, profiles and events of a film shop[/]
  kindred train --from shop.jsonl      [dim]a model, in build/model; some minutes[/]
  kindred worker                       [dim]in a shell of its own[/]
  kindred produce shop.jsonl
  kindred recommend u1
  kindred doctor

Ctrl-C stops the servers; what is in them goes with them.
"""
