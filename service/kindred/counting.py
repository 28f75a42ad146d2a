"""The metrics of a batch, as soon as it is searchable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kindred import metrics
from kindred.events.schema import Record
from kindred.history.store import Affected


def count_records(records: Sequence[Record], searchable_at_seconds: float) -> None:
    """Records whose vectors are searchable since then, in seconds since the Unix epoch."""
    metrics.BATCHES.inc()
    metrics.BATCH_RECORDS.observe(len(records))
    if records:
        stamps = np.array([record.timestamp_ms for record in records], np.float64)
        metrics.FRESHNESS.observe(np.maximum(searchable_at_seconds - stamps / 1000, 0.0))
    for topic, number in Counter(record.topic for record in records).items():
        metrics.RECORDS.labels(topic).inc(number)


def count_affected(affected: Affected) -> None:
    """What one transaction found and what of it was written."""
    metrics.INTERACTIONS.labels("fresh").inc(affected.fresh)
    metrics.INTERACTIONS.labels("duplicate").inc(affected.duplicates)
    metrics.INTERACTIONS.labels("dropped").inc(affected.dropped)
    metrics.USERS_EMBEDDED.inc(len(affected.histories))
    metrics.POINTS.labels("user").inc(len(affected.histories) * len(affected.models))
    metrics.POINTS.labels("item").inc(len(affected.items) * len(affected.models))
    metrics.POINTS.labels("tombstone").inc(len(affected.erased) + len(affected.removed_items))
    for reason, number in affected.dead_letters.items():
        metrics.DEAD_LETTERS.labels(reason).inc(number)
    for name, number in affected.event_types.items():
        metrics.EVENTS.labels(name).inc(number)
