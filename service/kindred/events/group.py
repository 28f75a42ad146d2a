"""The consumer group as an operator sees it: who is in it, what it has committed, and setting it back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, NoError

from kindred.errors import Outage
from kindred.events.access import admitted
from kindred.events.rebalances import Partition
from kindred.events.refusals import meaning
from kindred.events.topics import administered
from kindred.events.unpacking import Unreadable, raise_unreadable
from kindred.settings import Settings

READ_TIMEOUT_MS = 5_000
UNKNOWN = "Unknown"  # a broker that does not tell (Tansu)
_WITHOUT_MEMBERS = frozenset({"Empty", "Dead", UNKNOWN})


@dataclass(frozen=True, slots=True)
class Group:
    """The group at one moment."""

    name: str
    state: str
    committed: Mapping[Partition, int]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of members; Kafka refuses to alter the offsets while there are any."""
        return self.state in _WITHOUT_MEMBERS


def read_group(settings: Settings) -> Group:
    """State and committed offsets. Raises Misconfigured, Outage."""
    name = settings.topic(settings.kafka.group_id)
    with administered(settings) as admin:
        states = {group["group_id"]: group.get("group_state", UNKNOWN) for group in admin.list_groups()}
        committed = admin.list_group_offsets(name)[name] if name in states else {}
    offsets = {(each.topic, each.partition): int(found.offset) for each, found in committed.items()}
    return Group(name, states.get(name, "Dead"), {p: each for p, each in offsets.items() if each >= 0})


def set_offsets(settings: Settings, wanted: Mapping[Partition, int]) -> dict[Partition, int]:
    """Commit these for the group, which must be empty; returns what was committed.

    That is more than was wanted where retention has deleted the records. Raises Misconfigured, Outage.
    """
    name = settings.topic(settings.kafka.group_id)
    asked = [TopicPartition(*partition) for partition in wanted]
    with administered(settings) as admin:
        earliest = admin.list_partition_offsets(dict.fromkeys(asked, OffsetSpec.EARLIEST))
        offsets = {each: max(wanted[each.topic, each.partition], earliest[each].offset) for each in asked}
        commits = {each: OffsetAndMetadata(offset, "", -1) for each, offset in offsets.items()}
        answers = admin.alter_group_offsets(name, commits)
    for partition, error in answers.items():
        if error is not NoError:
            raise Outage("kafka", f"{partition.topic}[{partition.partition}]: {error.__name__}")
    return {(each.topic, each.partition): offset for each, offset in offsets.items()}


def end_offset(settings: Settings, partition: Partition, offset: int) -> int:
    """The next offset to be written to a partition that has a record at `offset`.

    Read, not asked for: the answer of Tansu 0.1.2 is too low by up to the last batch. Raises Misconfigured,
    Outage.
    """
    asked = TopicPartition(*partition)
    try:
        consumer = KafkaConsumer(**admitted(settings.kafka), enable_auto_commit=False)
        try:
            consumer.assign([asked])
            consumer.seek(asked, offset)
            raise_unreadable(consumer)
            with suppress(Unreadable):  # its end is known all the same
                consumer.poll(READ_TIMEOUT_MS, max_records=1)
            end = consumer.highwater(asked)
        finally:
            consumer.close()
    except KafkaError as error:
        raise meaning(error) from error
    if end is None:
        raise Outage("kafka", f"no answer about {partition[0]}[{partition[1]}] in {READ_TIMEOUT_MS} ms")
    return int(end)


def set_offsets_by_hand(settings: Settings, wanted: Mapping[Partition, int]) -> list[str]:
    """The same as commands of Kafka's own tool."""
    tool = ["kafka-consumer-groups.sh", "--bootstrap-server", settings.kafka.bootstrap_servers]
    if settings.kafka.security_protocol != "PLAINTEXT":
        tool += ["--command-config", "client.properties"]  # with login and CA as Kafka's own tools want them
    tool += ["--group", settings.topic(settings.kafka.group_id), "--reset-offsets", "--execute"]
    return [
        shlex.join([*tool, "--topic", f"{topic}:{partition}", "--to-offset", str(offset)])
        for (topic, partition), offset in sorted(wanted.items())
    ]
