"""Records that retention has deleted before they were read: never passed over in silence."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from kindred.errors import Misconfigured
from kindred.events.rebalances import Partition, spelled
from kindred.settings import KafkaSettings

log = structlog.get_logger()


class Gaps:
    """`count`: how often there was one. Used by any thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.count = 0
        self._noted: dict[Partition, tuple[int | None, int | None]] = {}
        self._may_be_skipped = settings.on_lost_offsets == "earliest"

    def skip(self, wanted: Mapping[Partition, int | None], firsts: Mapping[Partition, int]) -> None:
        """Note that reading goes on from `firsts`. Raises Misconfigured where somebody has to decide."""
        if not self._may_be_skipped:
            names = ", ".join(map(spelled, sorted(wanted)))
            raise Misconfigured(
                f"The log of {names} no longer holds the offset to read on from: retention has deleted "
                "records that were never read, or the topic was made anew. Set "
                "KINDRED_KAFKA__ON_LOST_OFFSETS=earliest to go on with the first record there is, or restore "
                "the topic."
            )
        found = {each: (offset, firsts.get(each)) for each, offset in wanted.items()}
        # A rebalance before the first commit behind a gap leads back to it, by the same offset.
        if new := {
            each: gap for each, gap in found.items() if gap[0] is None or self._noted.get(each) != gap
        }:
            for (topic, partition), (offset, first) in new.items():
                log.error("offsets_lost", topic=topic, partition=partition, wanted=offset, goes_on_from=first)
            self._noted |= new
            self.count += 1
