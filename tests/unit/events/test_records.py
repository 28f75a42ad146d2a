"""Partitions as kafka-python's errors name them."""

from __future__ import annotations

from kafka import OffsetAndMetadata, TopicPartition

from kindred.events.records import named

P0 = TopicPartition("interactions", 0)


def test_partitions_of_an_error_with_the_offset_where_it_is_told() -> None:
    assert named({P0: 7}) == {("interactions", 0): 7}
    assert named({P0: OffsetAndMetadata(7, "", -1)}) == {("interactions", 0): 7}
    assert named({P0: None}) == {("interactions", 0): None}
    assert named([P0]) == named({P0}) == {("interactions", 0): None}
