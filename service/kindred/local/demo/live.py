"""The line that moves while events stream: how many are searchable, events/s, lag, freshness."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from kindred.local.demo.worker_process import Sample, freshness_ms

INTERVAL_SECONDS = 0.25
_WINDOW = 8  # samples over which a rate is taken


class LiveLine:
    """On a terminal only, and gone when it ends: a pipe gets the summary that follows."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        columns = (
            TextColumn("  {task.description:<9}"),
            BarColumn(18),
            TextColumn("{task.completed:>7,}"),
            TextColumn("{task.fields[pulse]}", style="dim"),
        )
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal, auto_refresh=False
        )
        self._task = self._progress.add_task(what, total=total, pulse="")
        self._samples: list[Sample] = []

    def show(self, sample: Sample, done: int, sent: int) -> None:
        """Redraw. `done` and `sent` count this stream's records, the worker's and ours."""
        self._samples = [*self._samples[-_WINDOW:], sample]
        self._progress.update(self._task, completed=done, pulse=self._pulse(sent - done))
        self._progress.refresh()

    def _pulse(self, lag: int) -> str:
        first, last = self._samples[0], self._samples[-1]
        seconds = max(last.at_seconds - first.at_seconds, 1e-9)
        rate = (last.records - first.records) / seconds
        freshness = freshness_ms(first, last, 0.5)
        shown = "-" if freshness is None else f"{freshness:,.0f} ms"
        return f"{rate:>6,.0f}/s  lag {max(lag, 0):>6,}  fresh {shown:>9}"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
