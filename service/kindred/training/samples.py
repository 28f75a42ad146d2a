"""Training samples: windows as a worker would build them, each with several targets.

A sample is the window before some event. Its last position predicts that event, as in serving; the
positions before predict theirs from a shorter window, so a pass over one sample trains many targets.
Samples overlap so that a target has at least half a window behind it, or all there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.features import Events, Windows, encode_windows
from kindred.training.event_log import EventLog, ranges


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


def cut(log: EventLog, max_length: int, rng: np.random.Generator) -> Samples:
    """Samples in which every event is a target once. Where windows end is drawn anew on each call."""
    stride = max(max_length // 2, 1)
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
    samples: Samples, events: Events, is_target: NDArray[np.bool_], size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """All samples that hold a target, in random order, those of like length together."""
    targets_before = np.concatenate([[0], np.cumsum(is_target)])
    useful = targets_before[samples.ends + 1] > targets_before[samples.first_targets]
    chosen = rng.permutation(np.flatnonzero(useful))
    by_length = chosen[np.argsort((samples.ends - samples.starts)[chosen], kind="stable")]
    groups = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    for group in rng.permutation(len(groups)):
        yield encode(samples.take(groups[group]), events, is_target)


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
