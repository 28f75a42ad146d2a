"""The three topics: how each has to be made, and making what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from kindred.errors import Misconfigured
from kindred.events.access import admitted
from kindred.events.refusals import meaning
from kindred.settings import Settings

DEFAULT_PARTITIONS = 6
BROKER_DEFAULT = -1
ADMIN_PATIENCE_SECONDS = 5.0

_DAY_MS = 86_400_000

# A compacted topic forgets a tombstone after delete.retention.ms, of which the broker's default is one
# day: a worker that lags longer, or a rebuild that starts later, would never hear of the erasure.
TOMBSTONE_RETENTION_MS = 90 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it has to be; `configs` in the broker's own names."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


def declared_topics(settings: Settings, partitions: int = DEFAULT_PARTITIONS) -> list[Topic]:
    """Interactions, users and items, under their physical names."""
    kafka = settings.kafka
    latest = {"cleanup.policy": "compact", "delete.retention.ms": str(TOMBSTONE_RETENTION_MS)}
    return [
        Topic(settings.topic(kafka.interactions_topic), partitions),
        Topic(settings.topic(kafka.users_topic), partitions, latest),
        Topic(settings.topic(kafka.items_topic), partitions, latest),
    ]


def create_topics(
    settings: Settings,
    partitions: int = DEFAULT_PARTITIONS,
    replication_factor: int = BROKER_DEFAULT,
) -> list[str]:
    """Create what is missing and return its names; topics that exist are left as they are.

    Returns when the brokers know a leader for every partition. Raises Misconfigured, Outage.
    """
    topics = declared_topics(settings, partitions)
    with administered(settings) as admin:
        answers = admin.create_topics(
            {topic.name: _options(topic, replication_factor) for topic in topics}, raise_errors=False
        )["topics"]
        created = [answer["name"] for answer in answers if _is_new(answer)]
        admin.wait_for_topics([topic.name for topic in topics])
    return created


def list_topics(settings: Settings) -> dict[str, int]:
    """Partitions of each of the three topics that exists. Raises Misconfigured, Outage."""
    with administered(settings) as admin:
        existing = set(admin.list_topics())
        names = [topic.name for topic in declared_topics(settings) if topic.name in existing]
        described = admin.describe_topics(names) if names else []
    return {topic["name"]: len(topic["partitions"]) for topic in described}


def missing_topics(settings: Settings) -> list[str]:
    """Physical names of those that do not exist yet. Raises Misconfigured, Outage."""
    existing = list_topics(settings)
    return [topic.name for topic in declared_topics(settings) if topic.name not in existing]


def short_lived_tombstones(settings: Settings, least_ms: int = 7 * _DAY_MS) -> list[str]:
    """Compacted topics that forget a tombstone sooner than that (rule 18). Raises Misconfigured, Outage.

    A broker that does not tell (Tansu) is not judged.
    """
    names = [topic.name for topic in declared_topics(settings) if topic.configs]
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    with administered(settings) as admin:
        told = admin.describe_configs(asked, config_filter="all").get("topic", {})
    return [name for name in names if _forgets_within(told.get(name, {}), least_ms)]


def delete_topics(settings: Settings) -> None:
    """Delete those of the three that exist, with every event in them. Raises Misconfigured, Outage."""
    with administered(settings) as admin:
        existing = set(admin.list_topics())
        names = [topic.name for topic in declared_topics(settings) if topic.name in existing]
        if names:
            admin.delete_topics(names)


@contextmanager
def administered(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An admin client, closed at the end. Raises Misconfigured or Outage for its errors."""
    try:
        admin = KafkaAdminClient(
            **admitted(settings.kafka, ADMIN_PATIENCE_SECONDS), bootstrap_timeout_ms=5_000
        )
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise meaning(error) from error


def _options(topic: Topic, replication_factor: int) -> dict[str, object]:
    return {
        "num_partitions": topic.partitions,
        "replication_factor": replication_factor,
        "configs": dict(topic.configs),
    }


def _forgets_within(configs: Mapping[str, Mapping[str, str]], least_ms: int) -> bool:
    policy = configs.get("cleanup.policy", {}).get("value", "")
    retention_ms = configs.get("delete.retention.ms", {}).get("value")
    return "compact" in policy and retention_ms is not None and int(retention_ms) < least_ms


def _is_new(answer: Mapping[str, object]) -> bool:
    code = answer["error_code"]
    if code == TopicAlreadyExistsError.errno:
        return False
    if code:
        reason = str(answer["error_message"]).rstrip(".")
        raise Misconfigured(f"Kafka refuses to create the topic {answer['name']}: {reason}.")
    return True
