"""Retention has deleted what a stopped worker had not read: it says so, and goes on only when told to."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from kafka import TopicPartition

from kindred.composition import run_worker
from kindred.errors import KindredError, Misconfigured
from kindred.events.topics import administered
from kindred.settings import Settings
from running import (
    committed,
    eventually,
    interaction,
    is_ready,
    metric,
    one,
    prepare,
    producing,
    running,
)
from truth import assert_exact, is_searchable

READ, DELETED, THERE = 5, 12, 15  # offsets of one partition


@pytest.fixture
def with_a_gap(settings: Settings, tmp_path: Path) -> Settings:
    """Records up to READ are synced, those up to DELETED are gone. Skips where a broker cannot delete any."""
    settings = prepare(settings, tmp_path)
    with producing(settings) as produce:
        for number in range(THERE):
            if number == READ:
                with running(settings):
                    eventually(lambda: committed(settings)["interactions", 0] == READ)
            produce.raw("interactions", "ann", json.dumps(interaction("ann", "3", number)).encode(), 0)
            produce.flush()
    try:
        with administered(settings) as admin:
            admin.delete_records({TopicPartition(settings.topic("interactions"), 0): DELETED})
    except KindredError as error:
        pytest.skip(f"this broker cannot delete records: {error}")
    return settings


def test_a_worker_stops_before_a_gap(with_a_gap: Settings) -> None:
    with pytest.raises(Misconfigured, match="ON_LOST_OFFSETS=earliest to go on"):
        run_worker(with_a_gap, threading.Event())
    assert one(with_a_gap, "SELECT count(*) FROM interaction") == READ


def test_a_worker_stops_before_a_gap_also_where_kafka_has_forgotten_the_group(with_a_gap: Settings) -> None:
    """As after a week without any worker: Postgres knows up to where it has read."""
    kafka = with_a_gap.kafka.model_copy(update={"group_id": "another"})
    with pytest.raises(Misconfigured, match="ON_LOST_OFFSETS=earliest to go on"):
        run_worker(with_a_gap.model_copy(update={"kafka": kafka}), threading.Event())
    assert one(with_a_gap, "SELECT count(*) FROM interaction") == READ


def test_a_worker_goes_on_after_a_gap_where_it_may(
    with_a_gap: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = with_a_gap.kafka.model_copy(update={"on_lost_offsets": "earliest"})
    settings = with_a_gap.model_copy(update={"kafka": kafka})
    with running(settings):
        eventually(lambda: is_ready(settings))
        eventually(lambda: committed(settings)["interactions", 0] == THERE)
        eventually(lambda: metric(settings, "kindred_offset_gaps") == 1)
        eventually(lambda: is_searchable(settings))
    said = capsys.readouterr().out
    assert "offsets_lost" in said
    assert f"wanted={READ}" in said
    assert f"goes_on_from={DELETED}" in said
    left = [number for number in range(THERE) if not READ <= number < DELETED]
    assert_exact(settings, [interaction("ann", "3", number) for number in left])
