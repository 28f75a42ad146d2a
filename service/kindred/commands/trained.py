"""What `kindred train` says at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kindred.commands.output import console, print_json
from kindred.operations.kept_history import shortfall
from kindred.settings import Settings

if TYPE_CHECKING:
    from kindred.embedding.manifest import Manifest

CARD = "MODEL_CARD.md"
_ENDINGS = {
    "epochs": "All epochs done",
    "patience": "No better for some epochs",
    "budget": "The time is spent",
    "interrupted": "Interrupted",
}


def report(directory: Path, manifest: Manifest, settings: Settings, as_json: bool, *, trained: bool) -> None:
    """Where the model is, what it learned from and how well, and how to go on where it was interrupted."""
    if as_json:
        return print_json(_as_json(directory, manifest, trained))
    how = "trained" if trained else "was there already"
    _say(f"Model [bold]{manifest.name}[/] {how}, in {directory}.")
    learned = manifest.trained_on
    measured = manifest.metrics if any(manifest.metrics.values()) else {}
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
    _say(
        f"[dim]{learned.interactions:,} events of {learned.users:,} users on {learned.items:,} items. "
        f"Validation: {metrics or 'none'}.[/]"
    )
    if trained:
        _say(f"[dim]{_ending(manifest)}[/]")
    if space := _space(manifest):
        _say(f"[dim]{space}[/]")
    if trained:
        _say(f"[dim]What it is good for, and where not: {directory / CARD}[/]")
    if trained and manifest.training.ended == "interrupted":
        _say(f"Go on with: kindred train --resume --output {directory}")
    if says := shortfall(manifest.max_length, settings):
        _say(f"[yellow]The model {says}.[/]")
    return None


def _as_json(directory: Path, manifest: Manifest, trained: bool) -> dict[str, Any]:
    learned, run = manifest.trained_on, manifest.training
    return {
        "checkpoint": str(directory), "model": manifest.name, "trained": trained,
        "interactions": learned.interactions, "users": learned.users, "items": learned.items,
        "epochs": len(run.epochs), "ended": run.ended, "validation": manifest.metrics,
        "space_of": manifest.lineage.first or manifest.name, "note": manifest.lineage.note,
    }  # fmt: skip


def _ending(manifest: Manifest) -> str:
    run = manifest.training
    epochs = len(run.epochs)
    kept = (
        f"epoch {run.kept_epoch.epoch} was the best"
        if any(manifest.metrics.values())
        else "the last one was kept"
    )
    return f"{_ENDINGS[run.ended]}, after {epochs} of {run.options['epochs']}; {kept}."


def _space(manifest: Manifest) -> str:
    lineage = manifest.lineage
    if lineage.note:
        return f"A vector space of its own: {lineage.note}."
    if lineage.first:
        return f"In the vector space of {lineage.first}, by {lineage.shared_items:,} items that both know."
    return ""


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)
