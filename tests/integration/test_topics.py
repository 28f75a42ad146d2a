from __future__ import annotations

import os
import time

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from kindred.errors import Outage
from kindred.events.topics import (
    administered,
    create_topics,
    delete_topics,
    list_topics,
    missing_topics,
    short_lived_tombstones,
)
from kindred.local.processes import free_port
from kindred.settings import KafkaSettings, Settings


def test_the_topics_carry_the_namespace(settings: Settings) -> None:
    names = {f"{settings.namespace}.{topic}" for topic in ("interactions", "users", "items")}
    assert set(list_topics(settings)) == names
    assert missing_topics(settings) == []


def test_creating_again_changes_nothing(settings: Settings) -> None:
    before = list_topics(settings)
    assert create_topics(settings, partitions=9) == []
    assert list_topics(settings) == before


def test_only_what_is_missing_is_created(settings: Settings) -> None:
    people = f"{settings.namespace}.people"
    kafka = settings.kafka.model_copy(update={"users_topic": "people"})
    renamed = settings.model_copy(update={"kafka": kafka})
    assert missing_topics(renamed) == [people]
    assert create_topics(renamed, partitions=2) == [people]
    assert list_topics(renamed)[people] == 2
    delete_topics(renamed)


def test_deleted_topics_are_missing(settings: Settings) -> None:
    delete_topics(settings)
    deadline = time.monotonic() + 20
    while len(missing_topics(settings)) < 3:  # Kafka answers before every broker has heard of it
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_topic_that_forgets_its_tombstones_too_soon_is_named(settings: Settings) -> None:
    if os.environ.get("KINDRED_TEST_NATIVE") != "1":
        pytest.skip("Tansu does not tell a topic's settings; KINDRED_TEST_NATIVE=1 brings Apache Kafka")
    assert short_lived_tombstones(settings) == []
    users = settings.topic("users")
    resource = ConfigResource(ConfigResourceType.TOPIC, users, configs={"delete.retention.ms": "1000"})
    with administered(settings) as admin:
        admin.alter_configs([resource])
    assert short_lived_tombstones(settings) == [users]


def test_an_unreachable_broker_is_an_outage() -> None:
    nowhere = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"))
    with pytest.raises(Outage, match="ECONNREFUSED"):
        list_topics(nowhere)
