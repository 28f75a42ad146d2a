"""`kindred evaluate`: how good a model is on events that its training never saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kindred.commands.output import AsJson, console, print_json, progress_console
from kindred.commands.training_source import (
    DataDir,
    DataSetName,
    From,
    Generated,
    ShopEvents,
    ShopSeed,
    Source,
)
from kindred.errors import Misconfigured
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.training.reports.evaluation import OnProgress
    from kindred.training.reports.report import Report


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(evaluate)


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder.")],
    place: From = None,
    generated: Generated = False,
    split: Annotated[
        Literal["temporal", "leave-one-out"] | None,
        typer.Option(help="Events after training, or each user's newest; as the model was trained for."),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(
            help="Only events from this share of the log on; else all after training.", min=0, max=1
        ),
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", help="Cutoff; may be repeated. Default 10 and 100.", min=1)
    ] = None,
    cases: Annotated[int, typer.Option(help="At most, evenly spaced in time.", min=1)] = 10_000,
    baselines: Annotated[
        str | None,
        typer.Option(help="Some of popularity,recent,live,knn,als,bpr; als and bpr need implicit."),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune/--no-tune", help="Choose each baseline's settings on this log.")
    ] = True,
    reports: Annotated[
        str | None,
        typer.Option(help="Some of freshness,demand,cold-start,neighbours, or none, besides the comparison."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report there, one page that needs nothing else.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    shop_events: ShopEvents = None,
    shop_seed: ShopSeed = 7,
    dataset: DataSetName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Judge a model by what its training never saw: against baselines, with stale vectors, for newcomers."""
    from kindred.embedding.checkpoint import load
    from kindred.training.reports import evaluation
    from kindred.training.reports.report import as_json as plain

    settings = load_settings()
    if html and (html.is_dir() or not html.parent.is_dir()):
        raise Misconfigured(f"{html} cannot be written: name a file in a folder that exists.")
    model, manifest = load(checkpoint)
    options = evaluation.EvaluationOptions(
        split=split, at=at, cutoffs=tuple(k or (10, 100)), most_cases=cases, tune=tune,
        baselines=None if baselines is None else tuple(_listed(baselines)),
        parts=_chosen(reports, evaluation.PARTS),
        half_life_days=settings.worker.popularity_half_life_days, threads=threads,
    )  # fmt: skip
    with progress_console.status("reading events"):
        log, _ = Source(place, generated, shop_events, shop_seed, dataset, data_dir).read(settings)
    with _progress() as on_progress:
        found = evaluation.evaluate(model, manifest, log, options, on_progress)
    if html:
        _write_page(html, found)
    if as_json:
        return print_json(plain(found))
    from kindred.commands.evaluation_tables import print_report

    print_report(console, found)
    return None


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """What is being done, and how many cases of it are; on a terminal only."""
    with progress_console.status("ranking") as status:
        yield lambda step, cases: status.update(f"{step}, {cases:,} cases" if cases else step)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _chosen(text: str | None, known: frozenset[str]) -> frozenset[str]:
    if text is None or text == "none":
        return frozenset() if text else known
    for name in (chosen := frozenset(_listed(text))):
        if name not in known:
            raise Misconfigured(
                f"There is no report {name}; choose from {', '.join(sorted(known))}, or none."
            )
    return chosen


def _write_page(file: Path, found: Report) -> None:
    from kindred.training.reports.page import page

    try:
        file.write_text(page(found), "utf-8")
    except OSError as error:
        raise Misconfigured(f"{file} cannot be written: {error.strerror}.") from error
    progress_console.print(f"The report is in {file}.", highlight=False, soft_wrap=True)
