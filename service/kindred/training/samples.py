"""Training samples: windows as a worker would build them, each with several targets.

A sample is the window before some event. Its last position predicts that event, as in serving; the
positions before predict theirs from a shorter window, so a pass over one sample trains many targets.
Samples overlap so that a target has some interactions behind it, or all there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.features import Events, Windows, encode_windows
from kindred.training.event_log import EventLog, ranges

_LEAST_STEPS = 32  # of an epoch
_LEAST_BEHIND = 25  # interactions; half a window where that is less


@dataclass(frozen=True, slots=True)
class Samples:
    """Windows `[start, end)` of the log; targets are the events `[first_target, end]`."""

    users: NDArray[np.int64]  # (n,)
    starts: NDArray[np.int64]  # (n,)
    ends: NDArray[np.int64]  # (n,) the newest target itself, which the window leaves out
    first_targets: NDArray[np.int64]  # (n,)

    def take(self, chosen: NDArray[np.int64]) -> Samples:
        return Samples(self.users[chosen], self.starts[chosen], self.ends[chosen], self.first_targets[chosen])


@dataclass(frozen=True, slots=True)
class Batch:
    """Input of one step; target k is read at `positions[k]` of row `rows[k]` (0: the prefix)."""

    users: NDArray[np.int64]  # (n,)
    windows: Windows
    rows: NDArray[np.int64]  # (targets,)
    positions: NDArray[np.int64]  # (targets,)
    events: NDArray[np.int64]  # (targets,) what happened then

    def where(self, asked: NDArray[np.bool_]) -> Batch:
        """The same windows with only the targets among the log's events that are `asked` (events,)."""
        kept = asked[self.events]
        return replace(self, rows=self.rows[kept], positions=self.positions[kept], events=self.events[kept])


def cut(log: EventLog, max_length: int, rng: np.random.Generator) -> Samples:
    """Samples in which every event is a target once. Where windows end is drawn anew on each call."""
    stride = max(max_length - min(max_length // 2, _LEAST_BEHIND), 1)
    counts = np.diff(log.offsets)
    shifts = rng.integers(0, stride, len(counts))
    blocks = np.where(counts > 0, (counts - 1 + shifts) // stride + 1, 0)
    users = np.repeat(np.arange(len(counts)), blocks)
    block = ranges(np.zeros(len(counts), np.int64), blocks)[0]
    first_targets = np.maximum(block * stride - shifts[users], 0)
    ends = np.minimum((block + 1) * stride - shifts[users], counts[users]) - 1
    starts = np.maximum(ends - max_length, 0)
    base = log.offsets[users]
    return Samples(users, base + starts, base + ends, base + first_targets)


def batches(
    samples: Samples, events: Events, is_target: NDArray[np.bool_], tokens: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """All samples that hold a target, in random order, those of like length together.

    A batch is as many as make up some `tokens`, the prefixes counted; fewer where the log is small, that
    an epoch may have steps enough to learn from.
    """
    chosen = rng.permutation(np.flatnonzero(_hold_any(samples, is_target)))
    lengths = 1 + samples.ends - samples.starts
    by_length = chosen[np.argsort(lengths[chosen], kind="stable")]
    before = np.cumsum(lengths[by_length]) - lengths[by_length]
    size = max(1, min(tokens, int(lengths[chosen].sum()) // _LEAST_STEPS))
    groups = np.split(by_length, np.flatnonzero(np.diff(before // size)) + 1)
    for group in rng.permutation(len(groups)):
        if len(groups[group]):  # of no samples, one group without any is made
            yield encode(samples.take(groups[group]), events, is_target)


def _hold_any(samples: Samples, is_target: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether a sample has a target at all."""
    if not len(samples.users):
        return np.zeros(0, bool)
    # Of each pair of neighbouring edges numpy adds up what lies between; every other one is a sample. An
    # edge must lie within the array, so the last sample ends before one more entry.
    edges = np.stack([samples.first_targets, samples.ends + 1], axis=1).ravel()
    found: NDArray[np.bool_] = np.logical_or.reduceat(np.append(is_target, False), edges)[::2]
    return found


def encode(samples: Samples, events: Events, is_target: NDArray[np.bool_]) -> Batch:
    """Input arrays of some samples."""
    index, offsets = ranges(samples.first_targets, samples.ends + 1)
    rows = np.repeat(np.arange(len(samples.users)), np.diff(offsets))
    kept = is_target[index]
    index, rows = index[kept], rows[kept]
    return Batch(
        users=samples.users,
        windows=encode_windows(events, samples.starts, samples.ends),
        rows=rows,
        positions=index - samples.starts[rows],
        events=index,
    )
