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
        for (topic, partition), offset in wanted.items():
            log.error(
                "offsets_lost", topic=topic, partition=partition, wanted=offset,
                goes_on_from=firsts.get((topic, partition)),
            )  # fmt: skip
        self.count += 1
