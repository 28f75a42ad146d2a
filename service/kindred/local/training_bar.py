"""How a training run shows itself: a line an epoch, and a bar below them on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kindred.training.learner import OnShare
from kindred.training.run import OnProgress
from kindred.training.run import Progress as Epoch


@contextmanager
def training_bar(console: Console, *, log_epochs: bool = True) -> Iterator[tuple[OnProgress, OnShare]]:
    """Pass what this yields as `on_progress` and `on_share`. The bar is gone at the end."""
    columns = (
        TextColumn("  {task.description:<9}"),
        BarColumn(18),
        TimeElapsedColumn(),
        TextColumn("{task.fields[epoch]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=1.0, epoch="first epoch")

        def show(epoch: Epoch) -> None:
            progress.update(task, completed=min(epoch.share, 1.0), epoch=described(epoch))
            if log_epochs:
                progress.console.print(f"{described(epoch)}  {epoch.seconds:.0f} s", highlight=False)

        def move(share: float) -> None:
            progress.update(task, completed=min(share, 1.0))

        yield show, move


def described(epoch: Epoch) -> str:
    """Epoch, loss and validation metrics in one short line."""
    return (
        f"epoch {epoch.epoch}  loss {epoch.loss:.3f}  HR@10 {epoch.hr_at_10:.4f}  NDCG@10 "
        f"{epoch.ndcg_at_10:.4f}"
    )
