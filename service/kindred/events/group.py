"""The consumer group as an operator sees it: who is in it, what it has committed, and setting it back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import TopicPartition
from kafka.errors import NoError

from kindred.errors import Outage
from kindred.events.rebalances import Partition
from kindred.events.topics import administered
from kindred.settings import Settings

_WITHOUT_MEMBERS = frozenset({"Empty", "Dead"})


@dataclass(frozen=True, slots=True)
class Group:
    """The group at one moment."""

    name: str
    state: str
    committed: Mapping[Partition, int]

    @property
    def is_empty(self) -> bool:
        """Whether its offsets may be altered; with members in it, Kafka refuses."""
        return self.state in _WITHOUT_MEMBERS


def read_group(settings: Settings) -> Group:
    """State and committed offsets. Raises Misconfigured, Outage."""
    name = settings.topic(settings.kafka.group_id)
    with administered(settings) as admin:
        described = admin.describe_groups([name])[name]
        committed = admin.list_group_offsets(name)[name]
    offsets = {(each.topic, each.partition): int(found.offset) for each, found in committed.items()}
    return Group(name, str(described["group_state"]), {p: each for p, each in offsets.items() if each >= 0})


def set_offsets(settings: Settings, wanted: Mapping[Partition, int]) -> dict[Partition, int]:
    """Commit these for the group, which must be empty; returns what was committed.

    Kafka moves an offset that retention has deleted up to the first that is left. Raises Misconfigured,
    Outage.
    """
    name = settings.topic(settings.kafka.group_id)
    with administered(settings) as admin:
        asked = {TopicPartition(*partition): offset for partition, offset in wanted.items()}
        answers = admin.reset_group_offsets(name, asked) if asked else {}
    for partition, answer in answers.items():
        if answer["error"] is not NoError:
            raise Outage("kafka", f"{partition.topic}[{partition.partition}]: {answer['error'].__name__}")
    return {(each.topic, each.partition): int(answer["offset"]) for each, answer in answers.items()}


def set_offsets_by_hand(settings: Settings, wanted: Mapping[Partition, int]) -> list[str]:
    """The same as commands of Kafka's own tool."""
    tool = ["kafka-consumer-groups.sh", "--bootstrap-server", settings.kafka.bootstrap_servers]
    tool += ["--group", settings.topic(settings.kafka.group_id), "--reset-offsets", "--execute"]
    return [
        shlex.join([*tool, "--topic", f"{topic}:{partition}", "--to-offset", str(offset)])
        for (topic, partition), offset in sorted(wanted.items())
    ]
