"""A model card beside a checkpoint (Mitchell et al. 2019): what it is, made of what, how good, its limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kindred.embedding.manifest import Epoch, Manifest, TrainingRange, TrainingRun
from kindred.training.groups import Judged, by_age, by_history_length, by_popularity
from kindred.training.plots import BLUE, ORANGE, bars, panels, png

CARD = "MODEL_CARD.md"
_RECALL = "recall@10"
_FEW_CASES = 200
_MICROSECONDS = 1_000_000
_FROZEN = (
    "- Items that training did not name share a trained *unknown*, and so do categories that it met in one "
    "item or none: only attribute values that training knew tell such items apart.\n"
    "- Recommendations follow what this log shows: what was never offered was never taken, and popular items "
    "are favoured."
)
_CHOSEN_BY = (
    "- The figures above chose the best epoch, so they are a little flattering. `kindred evaluate` judges on "
    "events that nothing was chosen by."
)


def write(directory: Path, manifest: Manifest, cases: Judged) -> Path:
    """Write the card and its plots into a checkpoint's folder; returns the card's path."""
    figures = dict(_figures(manifest, cases))
    for name, (figure, _) in figures.items():
        (directory / name).write_bytes(png(figure))
    card = directory / CARD
    card.write_text(_text(manifest, cases, {name: words for name, (_, words) in figures.items()}), "utf-8")
    return card


def _text(manifest: Manifest, cases: Judged, pictures: dict[str, str]) -> str:
    plots = "\n\n".join(f"![{words}]({name})" for name, words in pictures.items())
    return (
        f"# Model {manifest.name}\n\n"
        "Two towers made by Kindred: a user's history and profile become a vector of unit length, an item "
        "becomes another; their dot product ranks items for a user, and near users are alike.\n\n"
        f"{_facts(manifest)}\n\n## Trained on\n\n{_range(manifest.trained_on)}{_kept_back(manifest)}\n\n"
        f"## How good\n\n{_metrics(manifest, cases)}\n\n{plots}\n\n## Limits\n\n{_limits(manifest, cases)}\n"
    )


def _facts(manifest: Manifest) -> str:
    towers, run = manifest.towers, manifest.training
    heads = _counted(towers.heads, "head")
    rows = {
        "made": manifest.created_at,
        "vectors": f"d = {manifest.dimension}",
        "history read": f"the newest {manifest.max_length} interactions",
        "user tower": f"{towers.blocks} causal blocks, width {towers.width}, {heads}",
        "training": f"{_counted(len(run.epochs), 'epoch')}, ended by {run.ended}" if run.ended else "none",
        "loss": str(run.options.get("loss", "")),
        "seed": str(run.options.get("seed", "")),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _range(trained_on: TrainingRange) -> str:
    counts = f"{trained_on.interactions:,} events of {trained_on.users:,} users on {trained_on.items:,} items"
    if trained_on.first_us is None or trained_on.last_us is None:
        return f"{counts}."
    return f"{counts}, from {_day(trained_on.first_us)} to {_day(trained_on.last_us)}."


def _kept_back(manifest: Manifest) -> str:
    held = manifest.held_out
    parts = [
        f"the newest {held.newest_share:.0%} of the events" if held.newest_share else "",
        "each user's newest target" if held.last_targets else "",
        f"{held.users_share:.0%} of the users" if held.users_share else "",
        f"{held.items_share:.0%} of the items" if held.items_share else "",
    ]
    kept = [part for part in parts if part]
    return f" Kept back for evaluation: {', '.join(kept)}." if kept else ""


def _metrics(manifest: Manifest, cases: Judged) -> str:
    if not len(cases.ranks):
        return "Nothing was kept back to validate by, so the last epoch ships. `kindred evaluate` judges it."
    names, values = zip(*manifest.metrics.items(), strict=True)
    written = " | ".join(f"{value:.4f}" for value in values)
    return (
        f"On {len(cases.ranks):,} validation events, never trained on: the whole catalogue ranked, seen "
        f"items left out.\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}\n| {written} |"
    )


def _limits(manifest: Manifest, cases: Judged) -> str:
    lines = []
    if 0 < len(cases.ranks) < _FEW_CASES:
        lines.append(f"- Only {len(cases.ranks)} cases were judged: these figures are rough.")
    unseen = (cases.fifths == 5).mean() if len(cases.ranks) else 0.0
    if unseen:
        lines.append(f"- {unseen:.0%} of the validation targets are items that training never saw.")
    lines.append(f"- What lies more than {manifest.max_length} interactions back is not read.")
    return "\n".join([*lines, _FROZEN, *([_CHOSEN_BY] if len(cases.ranks) else [])])


def _figures(manifest: Manifest, cases: Judged) -> Iterator[tuple[str, tuple[Figure, str]]]:
    """File names, the figures, and what they show in words."""
    if manifest.training.epochs:
        is_validated = len(cases.ranks) > 0
        words = "Loss and NDCG@10 by epoch" if is_validated else "Loss by epoch"
        yield "loss.png", (_loss_curve(manifest.training, is_validated), words)
    history, age, popularity = by_history_length(cases), by_age(cases), by_popularity(cases)
    groups = {
        "recall_by_history.png": ("Recall by length of the history", "interactions before", history),
        "recall_by_age.png": ("Recall by age of the last event", "since the last event", age),
        "recall_by_popularity.png": (
            "Recall by popularity of the target",
            "fifths of all events",
            popularity,
        ),
    }
    for name, (title, label, found) in groups.items():
        if found:
            yield name, (bars(title, _RECALL, label, found), title)


def _loss_curve(run: TrainingRun, is_validated: bool) -> Figure:
    figure, axes = panels("Training", 2 if is_validated else 1)
    numbers = [each.epoch for each in run.epochs]
    marker = "o" if len(numbers) < 30 else ""
    losses = [math.nan if each.loss is None else each.loss for each in run.epochs]
    axes[0].plot(numbers, losses, marker=marker, color=BLUE)
    axes[0].set_ylabel("training loss")
    if is_validated:
        axes[1].plot(numbers, [each.ndcg_at_10 for each in run.epochs], marker=marker, color=ORANGE)
        axes[1].set_ylabel("NDCG@10 on validation")
        _mark_best(axes[1], run.kept_epoch)
    for each in axes:
        each.set_xlabel("epoch")
        each.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _mark_best(axes: Axes, best: Epoch) -> None:
    at = (best.epoch, best.ndcg_at_10)
    axes.annotate(f"best: {best.ndcg_at_10:.4f}", at, (0, 7), textcoords="offset points", ha="right")
    axes.margins(y=0.15)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / _MICROSECONDS, UTC).strftime("%Y-%m-%d")
