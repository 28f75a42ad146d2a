"""A place in the consumer group, and the watchdog that takes a new one where the group has forgotten it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from kafka import KafkaConsumer
from kafka import errors as kafka_errors
from kafka.structs import MemberState

from kindred.errors import KindredError, Misconfigured
from kindred.events.consumer import connect, missing_topics
from kindred.events.rebalances import Rebalances
from kindred.settings import KafkaSettings

LEAVE_TIMEOUT_MS = 2_000
MISSING_TOPIC_SECONDS = 10.0  # for so long the brokers' metadata may be behind


class Membership:
    """Owns the consumer, which is another one after a rejoin, and what the group has assigned to it."""

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group_id: str, batch_size: int
    ) -> None:
        """Raises Outage, or Misconfigured where a topic is missing."""
        self.rebalances = Rebalances()
        self.rejoins = 0
        self._settings = settings
        self._topics = list(topics)
        self._group_id = group_id
        self._batch_size = batch_size
        if missing := self._join():
            self.leave()
            raise _no_such_topic(missing)

    @property
    def is_joined(self) -> bool:
        return self._is_connected and bool(self.consumer.group_metadata().state is MemberState.STABLE)

    def watch(self) -> bool:
        """Called at each poll: a client can believe it is a member while the group has forgotten it.

        False after it has left, for there is nothing to poll until `rejoin`.
        """
        now = time.monotonic()
        if self.is_joined:
            self._stable_at_seconds = now
        elif now - self._stable_at_seconds > self._settings.join_timeout_seconds:
            self.rejoins += 1
            self.leave()
            self.rebalances.forget()
            return False
        self._watch_topics(now)
        return True

    def rejoin(self) -> None:
        """A new consumer after the watchdog closed the old one; raises Outage until there is one."""
        if not self._is_connected:
            self._join()

    def leave(self) -> None:
        """So that the partitions move at once."""
        self._is_connected = False
        with suppress(kafka_errors.KafkaError):  # away: then they move after the session timeout
            self.consumer.close(autocommit=False, timeout_ms=LEAVE_TIMEOUT_MS)

    def _watch_topics(self, now: float) -> None:
        """A topic that is deleted under its group gives neither records nor errors (Kafka 4.1)."""
        missing = missing_topics(self.consumer, self._topics)
        if not missing:
            self._all_topics_at_seconds = now
        elif now - self._all_topics_at_seconds > MISSING_TOPIC_SECONDS:
            raise _no_such_topic(missing)

    def _join(self) -> list[str]:
        """Returns the topics that do not exist."""
        self.consumer: KafkaConsumer = connect(self._settings, self._group_id, self._batch_size)
        self._is_connected = True
        try:
            missing = missing_topics(self.consumer, self._topics)
        except KindredError:
            self.leave()
            raise
        self.consumer.subscribe(self._topics, listener=self.rebalances)
        self._stable_at_seconds = self._all_topics_at_seconds = time.monotonic()
        return missing


def _no_such_topic(missing: Sequence[str]) -> Misconfigured:
    return Misconfigured(
        f"No such topic: {', '.join(missing)}. Create it with `kindred topics create`; "
        "a user without rights on it does not see it either."
    )
