"""A gap is never passed over in silence. Real ones, on Apache Kafka: integration/test_lost_offsets.py."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from kindred.errors import Misconfigured
from kindred.events.gaps import Gaps
from kindred.server_settings import KafkaSettings

LOST = {("interactions", 3): 17, ("users", 0): 1}
FIRSTS = {("interactions", 3): 40, ("users", 0): 2}


def test_by_default_somebody_has_to_decide() -> None:
    gaps = Gaps(KafkaSettings())
    with pytest.raises(Misconfigured, match=r"interactions\[3\], users\[0\].*ON_LOST_OFFSETS=earliest"):
        gaps.skip(LOST, FIRSTS)
    assert gaps.count == 0


def test_with_leave_to_go_on_each_gap_is_counted_and_logged_with_both_offsets() -> None:
    gaps = Gaps(KafkaSettings(on_lost_offsets="earliest"))
    with capture_logs() as logged:
        gaps.skip(LOST, FIRSTS)
    assert gaps.count == 1
    assert [(each["topic"], each["wanted"], each["goes_on_from"]) for each in logged] == [
        ("interactions", 17, 40),
        ("users", 1, 2),
    ]
    assert {each["log_level"] for each in logged} == {"error"}


def test_a_gap_that_a_rebalance_leads_back_to_is_one_gap() -> None:
    gaps = Gaps(KafkaSettings(on_lost_offsets="earliest"))
    for _ in range(2):
        gaps.skip(LOST, FIRSTS)
    assert gaps.count == 1
    with capture_logs() as logged:
        gaps.skip(LOST, FIRSTS | {("users", 0): 3})  # retention went on
    assert gaps.count == 2
    assert [each["topic"] for each in logged] == ["users"]


def test_where_kafka_names_no_offset_each_gap_is_one() -> None:
    gaps = Gaps(KafkaSettings(on_lost_offsets="earliest"))
    for _ in range(2):
        gaps.skip({("interactions", 3): None}, FIRSTS)
    assert gaps.count == 2
