"""The consumer group as an operator sees it: who is in it, what it has committed, and setting it back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import NoError

from kindred.errors import Outage
from kindred.events.rebalances import Partition
from kindred.events.topics import administered
from kindred.settings import Settings

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


def set_offsets_by_hand(settings: Settings, wanted: Mapping[Partition, int]) -> list[str]:
    """The same as commands of Kafka's own tool."""
    tool = ["kafka-consumer-groups.sh", "--bootstrap-server", settings.kafka.bootstrap_servers]
    tool += ["--group", settings.topic(settings.kafka.group_id), "--reset-offsets", "--execute"]
    return [
        shlex.join([*tool, "--topic", f"{topic}:{partition}", "--to-offset", str(offset)])
        for (topic, partition), offset in sorted(wanted.items())
    ]
